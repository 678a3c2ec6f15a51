"""What can be set about the sandbox, from the start or while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final, Self

from worker.sandbox import gateway
from worker.sandbox.operation import REQUIRED

#: What may be changed while the sandbox runs.
SWITCHES: Final = frozenset({"latency_s", "jitter_s", "qps", "day_limit", "account_code"})
#: The provider does not say which of these it answers above the quota.
THROTTLE_CODES: Final = ("QPS_LIMIT_CONTROL", "Throttling.User")


class Second(StrEnum):
    """Which seconds the quota is counted in."""

    #: Any second, wherever it begins: the strict reading.
    SLIDING = "sliding"
    #: The seconds of the clock, as a gateway with counters would.
    CALENDAR = "calendar"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """How the sandbox answers; raises ValueError when a value cannot be meant."""

    access_key_id: str = "sandbox"
    access_key_secret: str = field(default="sandbox-secret", repr=False)  # the documented key of a double
    #: Off: calls need no authorization, timestamp or nonce.
    check_signature: bool = True
    #: Calls per second, per operation; an operation that is not named, or 0, has no quota.
    qps: Mapping[str, int] = field(default_factory=dict)
    second: Second = Second.SLIDING
    throttle_code: str = "QPS_LIMIT_CONTROL"
    #: Messages per number and Singapore day; 0 is no limit.
    day_limit: int = 0
    #: Every answer of the API comes after this many seconds ...
    latency_s: float = 0.0
    #: ... plus an even draw of up to this many.
    jitter_s: float = 0.0
    #: While set, every send is answered with this code.
    account_code: str | None = None
    #: Of request ids, message ids and jitter; None draws one.
    seed: int | None = None

    def __post_init__(self) -> None:
        faults = [
            *(
                f"{name}: must be 0 or more"
                for name in ("latency_s", "jitter_s", "day_limit")
                if getattr(self, name) < 0
            ),
            *(f"qps: there is no operation {name}" for name in self.qps if name not in REQUIRED),
            *(f"qps: {name} must be 0 or more" for name, rate in self.qps.items() if rate < 0),
        ]
        if self.throttle_code not in THROTTLE_CODES:
            faults.append(f"throttle_code: must be one of {', '.join(THROTTLE_CODES)}")
        if self.account_code is not None and not gateway.is_refusal(self.account_code):
            faults.append("account_code: must be a code of the provider other than OK")
        if faults:
            raise ValueError("; ".join(faults))

    def switched(self, changes: Mapping[str, object]) -> Self:
        """These settings with *changes*, which came from outside: keys and types are checked.

        Raises:
            ValueError: a key is not in `SWITCHES`, or its value cannot be meant.
        """
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})

    def switches(self) -> dict[str, object]:
        """The values of `SWITCHES`."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name in SWITCHES}


def _checked(name: str, value: object) -> Any:
    match name, value:
        case "latency_s" | "jitter_s", int() | float() if not isinstance(value, bool):
            return float(value)
        case "day_limit", int() if not isinstance(value, bool):
            return value
        case "qps", int() if not isinstance(value, bool):
            return dict.fromkeys(REQUIRED, value)
        case "qps", dict() if all(type(rate) is int for rate in value.values()):
            return value
        case "account_code", str() | None:
            return value or None
        case _ if name in SWITCHES:
            raise ValueError(f"{name}: has the wrong type")
        case _:
            raise ValueError(f"{name}: is not a switch; those are {', '.join(sorted(SWITCHES))}")
