"""The configuration: every key, its default and its check; ``config/worker.toml`` documents each.

Later sources win: defaults, then each TOML file in order, then ``SMS_WORKER__SECTION__KEY`` variables (or the same name
with ``_FILE``: the value is read from that file), then flags. All faults are reported together. Adapters get their own
section, nobody gets all of it.
"""

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass, Period
from worker.settings.address import BROKER, DSN, ENDPOINT, REDIS, parse
from worker.settings.types import (
    Duration,
    Host,
    KeySecret,
    KeyText,
    Namespace,
    PositiveDuration,
    Section,
    Share,
    Whole,
    address,
    chosen_classes,
    matches,
    period,
)

#: A call is given up no sooner: a network that is merely slow would make every outcome unknown.
_SHORTEST_TIMEOUT: Final = timedelta(milliseconds=100)


class BrokerSettings(Section):
    """RabbitMQ."""

    url: Annotated[SecretStr, address(BROKER)] = SecretStr("amqp://guest:guest@127.0.0.1:5672/")
    namespace: Namespace = "sms"
    heartbeat: PositiveDuration = timedelta(seconds=10)
    connect_timeout: PositiveDuration = timedelta(seconds=10)
    publish_timeout: PositiveDuration = timedelta(seconds=15)
    reconnect_pause: PositiveDuration = timedelta(seconds=1)
    declare: bool = True


class RedisSettings(Section):
    """Redis."""

    url: Annotated[SecretStr, address(REDIS)] = SecretStr("redis://127.0.0.1:6379/0")
    namespace: Namespace = "sms"
    timeout: PositiveDuration = timedelta(milliseconds=500)
    connect_timeout: PositiveDuration = timedelta(seconds=1)


class ProviderSettings(Section):
    """The provider's API."""

    endpoint: Annotated[str, address(ENDPOINT)] = "https://dysmsapi.ap-southeast-1.aliyuncs.com"
    allow_plain_http: bool = False
    connect_timeout: Annotated[Duration, Field(ge=_SHORTEST_TIMEOUT, le=timedelta(seconds=30))] = timedelta(seconds=3)
    read_timeout: Annotated[Duration, Field(ge=_SHORTEST_TIMEOUT, le=timedelta(minutes=2))] = timedelta(seconds=10)
    keepalive: PositiveDuration = timedelta(seconds=15)
    concurrency: Annotated[Whole, Field(ge=1, le=10_000)] = 200
    channel_id: str | None = None
    access_key_id: KeyText | None = None
    access_key_secret: KeySecret | None = None
    security_token: KeySecret | None = None

    @model_validator(mode="after")
    def _is_private(self) -> "ProviderSettings":
        where = parse(self.endpoint, ENDPOINT)
        if where.scheme == "http" and not (where.is_loopback or self.allow_plain_http):
            raise ValueError(
                "endpoint is http:// on another machine: numbers and texts could be read on the way; "
                "use https://, or give allow_plain_http = true"
            )
        return self

    @model_validator(mode="after")
    def _key_is_whole(self) -> "ProviderSettings":
        if (self.access_key_id is None) != (self.access_key_secret is None):
            raise ValueError("give access_key_id and access_key_secret together, or neither")
        if self.security_token is not None and self.access_key_id is None:
            raise ValueError("security_token belongs to an access key: give access_key_id and access_key_secret too")
        return self


class QuotaSettings(Section):
    """Calls per second, shared by all workers."""

    send_message_to_globe: Annotated[Whole, Field(ge=0, le=4000)] = 30
    send_message_with_template: Annotated[Whole, Field(ge=0, le=4000)] = 30
    batch_send_message_to_globe: Annotated[Whole, Field(ge=0, le=100)] = 1
    guard: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(milliseconds=500))] = timedelta(milliseconds=10)


class BatchSettings(Section):
    """Calls that send several messages."""

    size: Annotated[Whole, Field(ge=0, le=1000)] = 0
    most_bytes: Annotated[Whole, Field(ge=7500, le=1_000_000)] = 163_840
    parameters: Literal["query", "form"] = "query"


class LaneSettings(Section):
    """One lane."""

    prefetch: Annotated[Whole, Field(ge=1, le=2000)]
    floor: Share
    lifetime: PositiveDuration
    resends: Annotated[Whole, Field(ge=0, le=10)]


class LanesSettings(Section):
    """The lanes."""

    otp: LaneSettings = LaneSettings(prefetch=200, floor=0.0, lifetime=timedelta(minutes=5), resends=1)
    notify: LaneSettings = LaneSettings(prefetch=200, floor=0.15, lifetime=timedelta(hours=24), resends=0)
    marketing: LaneSettings = LaneSettings(prefetch=200, floor=0.05, lifetime=timedelta(hours=72), resends=0)

    def of(self, lane: Lane) -> LaneSettings:
        """The section of *lane*."""
        section: LaneSettings = getattr(self, lane.value)
        return section

    @model_validator(mode="after")
    def _floors_fit(self) -> "LanesSettings":
        if sum(self.of(lane).floor for lane in Lane) > 1:
            raise ValueError("the floors of all lanes together must be at most 1, the whole quota")
        return self


class WindowSettings(Section):
    """At most *limit* messages to one recipient in *period*."""

    limit: Annotated[Whole, Field(ge=1, le=1000)]
    period: Annotated[Period | timedelta, BeforeValidator(period)]
    lanes: Annotated[tuple[Lane, ...], Field(min_length=1)] = tuple(Lane)


class CapSettings(Section):
    """At most *limit* messages in a calendar period, of the account or to the numbers that begin with *prefix*."""

    limit: Annotated[Whole, Field(ge=1)]
    period: Period
    prefix: Annotated[str, matches(r"[0-9]{0,15}", "must be digits: the beginning of the numbers, as 852")] = ""


class LimitsSettings(Section):
    """Windows per recipient, caps per country and account."""

    # Each admission counts every window of its recipient.
    recipient: Annotated[tuple[WindowSettings, ...], Field(max_length=20)] = (
        WindowSettings(limit=1, period=timedelta(seconds=30), lanes=(Lane.OTP,)),
        WindowSettings(limit=5, period=timedelta(hours=1), lanes=(Lane.OTP,)),
        WindowSettings(limit=15, period=Period.DAY, lanes=(Lane.OTP,)),
        WindowSettings(limit=20, period=Period.DAY),
    )
    caps: tuple[CapSettings, ...] = ()


class LedgerSettings(Section):
    """What is remembered of each request id."""

    # Shorter than an hour, a request that is retried could be forgotten between two tries.
    memory: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=31))] = timedelta(hours=72)


class RetrySettings(Section):
    """Exponential backoff with full jitter."""

    first: PositiveDuration = timedelta(seconds=5)
    ceiling: PositiveDuration = timedelta(minutes=10)

    @model_validator(mode="after")
    def _grows(self) -> "RetrySettings":
        if self.first > self.ceiling:
            raise ValueError("first must not be longer than ceiling")
        return self


class HoldSettings(Section):
    """When sending stops for a sender, how what is held is tried again, and how sending begins again."""

    first_probe: PositiveDuration = timedelta(seconds=10)
    slowest_probe: PositiveDuration = timedelta(minutes=2)
    ramp: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(hours=1))] = timedelta(seconds=10)
    sender_failures: Annotated[Whole, Field(ge=0, le=1000)] = 3

    @model_validator(mode="after")
    def _grows(self) -> "HoldSettings":
        if self.first_probe > self.slowest_probe:
            raise ValueError("first_probe must not be longer than slowest_probe")
        return self


class BrakeSettings(Section):
    """When intake pauses because too much goes wrong."""

    internal: Share = 0.05
    dead: Share = 0.5
    # It is counted anew for every delivery, so it is bounded.
    sample: Annotated[Whole, Field(ge=20, le=1000)] = 100
    pause: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=10))] = timedelta(seconds=30)


class WorkerSettings(Section):
    """The process."""

    lanes: Annotated[tuple[Lane, ...], Field(min_length=1)] = tuple(Lane)
    grace: PositiveDuration = timedelta(seconds=25)
    # The broker closes a channel whose oldest delivery is half an hour old.
    patience: Annotated[PositiveDuration, Field(le=timedelta(minutes=20))] = timedelta(minutes=10)


class OutcomesSettings(Section):
    """The outcome events on ``<namespace>.done``."""

    length: Annotated[Whole, Field(ge=1, le=1_000_000_000)] = 1_000_000
    age: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=365))] = timedelta(days=7)
    show_numbers: bool = False


class CatalogSettings(Section):
    """The operator's own class for some codes."""

    classes: Annotated[dict[str, ErrorClass], AfterValidator(chosen_classes)] = Field(default_factory=dict)


class HttpSettings(Section):
    """Health and metrics."""

    enabled: bool = True
    host: Host = "127.0.0.1"
    port: Annotated[Whole, Field(ge=0, le=65_535)] = 9464


class LogSettings(Section):
    """Logs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class SentrySettings(Section):
    """Sentry."""

    dsn: Annotated[SecretStr, address(DSN)] | None = None
    environment: str = "production"


class Settings(Section):
    """The whole configuration."""

    broker: BrokerSettings = BrokerSettings()
    redis: RedisSettings = RedisSettings()
    provider: ProviderSettings = ProviderSettings()
    quota: QuotaSettings = QuotaSettings()
    batch: BatchSettings = BatchSettings()
    lanes: LanesSettings = LanesSettings()
    limits: LimitsSettings = LimitsSettings()
    ledger: LedgerSettings = LedgerSettings()
    retry: RetrySettings = RetrySettings()
    hold: HoldSettings = HoldSettings()
    brake: BrakeSettings = BrakeSettings()
    worker: WorkerSettings = WorkerSettings()
    outcomes: OutcomesSettings = OutcomesSettings()
    catalog: CatalogSettings = CatalogSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    sentry: SentrySettings = SentrySettings()
