"""What becomes of a request: the closed set that settling carries out."""

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, TypeAlias

from worker.core.message.history import History
from worker.core.outcome.outcome import Accepted, ErrorClass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, in the catalogue's words; it travels with the request in its headers."""

    error_class: ErrorClass
    code: str
    #: What happened; never holds a number or a text.
    text: str
    remedy: str


class Done(NamedTuple):
    """Publish the outcome event: the provider accepted the message."""

    accepted: Accepted
    history: History
    #: The ledger knew it: the call was made earlier, for another delivery or publication of the same request id.
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Publish the outcome event: the request was cancelled in time, and certainly never sent."""

    reason: Reason
    history: History


@dataclass(frozen=True, slots=True)
class Retry:
    """Due again on its lane after *delay*; at once when it is zero."""

    delay: timedelta
    reason: Reason
    history: History


@dataclass(frozen=True, slots=True)
class Dead:
    """To the dead-letter queue of the reason's class."""

    reason: Reason
    history: History
    #: Of the same batch call as others: whoever judges how calls go has heard of it.
    echoes: bool = False


@dataclass(frozen=True, slots=True)
class Requeue:
    """Nothing happened: return the delivery to the broker as it came."""

    reason: str


Disposition: TypeAlias = Done | Withdrawn | Retry | Dead | Requeue
