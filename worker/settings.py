"""The configuration: every key, its default and its check; ``config/worker.toml`` documents each.

Later sources win: defaults, then each TOML file in order, then ``SMS_WORKER__SECTION__KEY`` variables (or the same name
with ``_FILE``: the value is read from that file), then flags. All faults are reported together. Adapters get their own
section, nobody gets all of it.
"""

import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from worker.core.lane import Lane
from worker.core.outcome import ErrorClass, Period

_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a number and a unit, one of ms, s, m, h, d: for example 30s")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


#: A length of time, written as a number and a unit.
Duration = Annotated[timedelta, BeforeValidator(_duration)]
PositiveDuration = Annotated[Duration, Field(gt=timedelta(0))]


class Section(BaseModel):
    """Base of every section: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


class BrokerSettings(Section):
    """RabbitMQ."""

    url: SecretStr = SecretStr("amqp://guest:guest@127.0.0.1:5672/")
    namespace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] = "sms"
    heartbeat: PositiveDuration = timedelta(seconds=10)
    connect_timeout: PositiveDuration = timedelta(seconds=10)
    publish_timeout: PositiveDuration = timedelta(seconds=15)
    reconnect_pause: PositiveDuration = timedelta(seconds=1)
    declare: bool = True


class RedisSettings(Section):
    """Redis."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    namespace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] = "sms"
    timeout: PositiveDuration = timedelta(milliseconds=500)
    connect_timeout: PositiveDuration = timedelta(seconds=1)


class ProviderSettings(Section):
    """The provider's API."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/\s]+/?$")] = "https://dysmsapi.ap-southeast-1.aliyuncs.com"
    connect_timeout: PositiveDuration = timedelta(seconds=3)
    read_timeout: PositiveDuration = timedelta(seconds=10)
    keepalive: PositiveDuration = timedelta(seconds=15)
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 200
    channel_id: str | None = None
    access_key_id: str | None = None
    access_key_secret: SecretStr | None = None
    security_token: SecretStr | None = None

    @model_validator(mode="after")
    def _key_is_whole(self) -> "ProviderSettings":
        if (self.access_key_id is None) != (self.access_key_secret is None):
            raise ValueError("give access_key_id and access_key_secret together, or neither")
        return self


class QuotaSettings(Section):
    """Calls per second, shared by all workers."""

    send_message_to_globe: Annotated[int, Field(ge=0, le=4000)] = 30
    send_message_with_template: Annotated[int, Field(ge=0, le=4000)] = 30
    guard: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(milliseconds=500))] = timedelta(milliseconds=10)


class LaneSettings(Section):
    """One lane."""

    prefetch: Annotated[int, Field(ge=1, le=2000)]
    floor: Annotated[float, Field(ge=0, le=1)]
    lifetime: PositiveDuration
    resends: Annotated[int, Field(ge=0, le=10)]


class LanesSettings(Section):
    """The lanes."""

    otp: LaneSettings = LaneSettings(prefetch=200, floor=0.0, lifetime=timedelta(minutes=5), resends=1)
    notify: LaneSettings = LaneSettings(prefetch=200, floor=0.15, lifetime=timedelta(hours=24), resends=0)
    marketing: LaneSettings = LaneSettings(prefetch=200, floor=0.05, lifetime=timedelta(hours=72), resends=0)

    def of(self, lane: Lane) -> LaneSettings:
        """The section of *lane*."""
        section: LaneSettings = getattr(self, lane.value)
        return section


class WindowSettings(Section):
    """At most *limit* messages to one recipient in *period*."""

    limit: Annotated[int, Field(ge=1, le=1000)]
    period: Period | PositiveDuration
    lanes: Annotated[tuple[Lane, ...], Field(min_length=1)] = tuple(Lane)


class CapSettings(Section):
    """At most *limit* messages in a calendar period, of the account or to the numbers that begin with *prefix*."""

    limit: Annotated[int, Field(ge=1)]
    period: Period
    prefix: Annotated[str, Field(pattern=r"^[0-9]{0,15}$")] = ""


class LimitsSettings(Section):
    """Windows per recipient, caps per country and account."""

    recipient: tuple[WindowSettings, ...] = (
        WindowSettings(limit=1, period=timedelta(seconds=30), lanes=(Lane.OTP,)),
        WindowSettings(limit=5, period=timedelta(hours=1), lanes=(Lane.OTP,)),
        WindowSettings(limit=15, period=Period.DAY, lanes=(Lane.OTP,)),
        WindowSettings(limit=20, period=Period.DAY),
    )
    caps: tuple[CapSettings, ...] = ()


class RetrySettings(Section):
    """Exponential backoff with full jitter."""

    first: PositiveDuration = timedelta(seconds=5)
    ceiling: PositiveDuration = timedelta(minutes=10)


class HoldSettings(Section):
    """How an account that cannot send is tried again."""

    first_probe: PositiveDuration = timedelta(seconds=5)
    slowest_probe: PositiveDuration = timedelta(minutes=2)


class WorkerSettings(Section):
    """The process."""

    lanes: Annotated[tuple[Lane, ...], Field(min_length=1)] = tuple(Lane)
    grace: PositiveDuration = timedelta(seconds=25)
    patience: PositiveDuration = timedelta(minutes=10)


class OutcomesSettings(Section):
    """The outcome events on ``<namespace>.done``."""

    length: Annotated[int, Field(ge=1)] = 1_000_000
    age: PositiveDuration = timedelta(days=7)
    show_numbers: bool = False


class CatalogSettings(Section):
    """The operator's own class for some codes."""

    classes: dict[str, ErrorClass] = Field(default_factory=dict)


class HttpSettings(Section):
    """Health and metrics."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 9464


class LogSettings(Section):
    """Logs."""

    level: Annotated[str, Field(pattern=r"^(debug|info|warning|error)$")] = "info"
    format: Annotated[str, Field(pattern=r"^(json|console)$")] = "json"


class SentrySettings(Section):
    """Sentry."""

    dsn: SecretStr | None = None
    environment: str = "production"


class Settings(Section):
    """The whole configuration."""

    broker: BrokerSettings = BrokerSettings()
    redis: RedisSettings = RedisSettings()
    provider: ProviderSettings = ProviderSettings()
    quota: QuotaSettings = QuotaSettings()
    lanes: LanesSettings = LanesSettings()
    limits: LimitsSettings = LimitsSettings()
    retry: RetrySettings = RetrySettings()
    hold: HoldSettings = HoldSettings()
    worker: WorkerSettings = WorkerSettings()
    outcomes: OutcomesSettings = OutcomesSettings()
    catalog: CatalogSettings = CatalogSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    sentry: SentrySettings = SentrySettings()
