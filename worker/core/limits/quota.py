"""The limits as values: what may be asked of the limiter and what it answers.

Instants of the limiter are Redis' own; what crosses to a worker is relative, in seconds (names end in ``_s``), and is
counted on the worker's monotonic clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from worker.core.limits.holds import HoldName
from worker.core.limits.ledger import Known
from worker.core.message.lane import Lane
from worker.core.message.request import SmsRequest
from worker.core.outcome.outcome import Closed, OnHold, Period


class Operation(StrEnum):
    """An operation of the provider; each has a quota of its own (per region and main account)."""

    GLOBE = "SendMessageToGlobe"
    TEMPLATE = "SendMessageWithTemplate"
    #: Up to 1,000 messages in one call.
    BATCH = "BatchSendMessageToGlobe"

    @classmethod
    def of(cls, sms: SmsRequest) -> "Operation":
        """The operation that sends *sms* alone."""
        return cls.GLOBE if sms.template is None else cls.TEMPLATE


#: The operations that send one message each: a request that goes alone needs a slot of one of them.
SINGLES: Final = (Operation.GLOBE, Operation.TEMPLATE)


@dataclass(frozen=True, slots=True)
class Quota:
    """Calls per second of one operation, shared by all workers."""

    #: Calls in any second; 0 means no limit of ours.
    rate: int
    #: Added to the second in which `rate` calls are counted, and the latest that a slot may be used after its instant:
    #: what is granted as N per second + guard arrives as at most N per second when the path's jitter is under it.
    guard: timedelta = timedelta(milliseconds=10)
    #: Calls per second that a lane gets even when a more urgent one could use them all.
    floors: Mapping[Lane, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slots:
    """Turns to call: one per wait, in order."""

    #: Seconds from *since* until each slot's instant.
    waits_s: tuple[float, ...]
    #: When they were booked, on the worker's monotonic clock, never too early; None is the moment of the answer.
    since: float | None = None
    #: It may be so much too late.
    doubt_s: float = 0.0
    #: The slots are the lane's guaranteed share: they are for its own requests first.
    floor: bool = False
    #: The slot is the one call that tests whether the account's hold can be lifted.
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """No slot within the lane's reach: ask again after this many seconds."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """The account is held because of *code*: ask again after this many seconds."""

    after_s: float
    code: str


Grant: TypeAlias = Slots | Turn | Held


@dataclass(frozen=True, slots=True)
class Window:
    """At most *limit* messages to one recipient in *period*."""

    limit: int
    #: A rolling length of time, or a calendar period of Asia/Singapore.
    period: timedelta | Period
    #: Lanes that it limits and whose messages it counts.
    lanes: frozenset[Lane]


@dataclass(frozen=True, slots=True)
class Cap:
    """At most *limit* messages of the whole account, or to one country, in a calendar period of Asia/Singapore."""

    limit: int
    period: Period
    #: Digits that a number begins with (``852``); empty for the whole account.
    prefix: str = ""


class Shadow(NamedTuple):
    """Windows and caps that count what they would refuse, and refuse nobody."""

    windows: tuple[Window, ...] = ()
    caps: tuple[Cap, ...] = ()


class Admitted(NamedTuple):
    """The request is counted in every window and cap, and the ledger says that it is called for."""

    #: The limiter's own, for `record`; opaque to everybody else.
    claim: object = None
    #: Holds of which this call is the probe.
    probes: frozenset[HoldName] = frozenset()


@dataclass(frozen=True, slots=True)
class Soon:
    """The request's place has come, but somebody before it was late: ask again after this many seconds.

    They are few: another way through the delays would take longer.
    """

    after_s: float


Admission: TypeAlias = Admitted | Held | Soon | Closed | OnHold | Known
