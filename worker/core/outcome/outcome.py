"""What happened to a request, and why, coarse: the closed set that every decision is made from."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias


class ErrorClass(StrEnum):
    """Why, coarse. The word is the same in the catalogue, the queues, the logs and the metrics."""

    ACCEPTED = "accepted"
    THROTTLED = "throttled"
    LIMITED = "limited"
    TRANSIENT = "transient"
    ACCOUNT = "account"
    INVALID = "invalid"
    RECIPIENT = "recipient"
    CONTENT = "content"
    UNKNOWN = "unknown"
    QUERY = "query"
    EXPIRED = "expired"
    INTERNAL = "internal"
    MALFORMED = "malformed"
    POISON = "poison"
    UNROUTABLE = "unroutable"
    CANCELLED = "cancelled"


#: The classes that have a dead-letter queue, in the order in which an operator should look at them.
DEAD_CLASSES: Final = (
    ErrorClass.INTERNAL,
    ErrorClass.POISON,
    ErrorClass.UNKNOWN,
    ErrorClass.ACCOUNT,
    ErrorClass.UNROUTABLE,
    ErrorClass.MALFORMED,
    ErrorClass.INVALID,
    ErrorClass.RECIPIENT,
    ErrorClass.CONTENT,
    ErrorClass.LIMITED,
    ErrorClass.EXPIRED,
)


class Scope(StrEnum):
    """Whom a code is about: what else cannot succeed while its cause lasts."""

    REQUEST = "request"
    RECIPIENT = "recipient"
    SENDER = "sender"
    COUNTRY = "country"
    ACCOUNT = "account"


class Table(StrEnum):
    """Where a code comes from."""

    #: The provider's table of API codes (``ResponseCode``).
    API = "api"
    #: The provider's gateway in front of the API (``Code`` in an HTTP error).
    GATEWAY = "gateway"
    #: Codes of the provider's older tables, which may still be met.
    LEGACY = "legacy"
    #: Delivery status of a receipt.
    STATUS = "status"
    #: Error code of a receipt.
    RECEIPT = "receipt"
    #: What this program itself found.
    LOCAL = "local"


class Period(StrEnum):
    """The calendar period, in Asia/Singapore, at whose end a limit of the provider reopens."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the catalogue."""

    table: Table
    #: As the provider writes it; a trailing ``*`` stands for any continuation.
    code: str
    error_class: ErrorClass
    scope: Scope
    description: str
    #: What to do about it.
    remedy: str
    smpp_code: str | None = None
    #: For class limited: when the limit reopens.
    period: Period | None = None


class Reply(NamedTuple):
    """The facts of one answer of the provider, or of its gateway, whatever shape it came in."""

    #: HTTP status.
    status: int
    #: ``ResponseCode`` or ``Code``; None when the answer has none that can be read.
    code: str | None = None
    #: Whether the code came in the gateway's shape.
    from_gateway: bool = False
    request_id: str | None = None
    message_id: str | None = None
    #: Segments as billed.
    segments: int | None = None
    country: str | None = None
    #: Header ``x-acs-retry-after``, given in milliseconds.
    retry_after: timedelta | None = None


class Fault(StrEnum):
    """A call that brought no answer; the value is the code of its row in the catalogue's local table."""

    #: Certainly nothing was sent: refused, no such name, TLS failed, no credentials.
    NOT_REACHED = "local.not_reached"
    #: Bytes may have left; no answer came in time.
    TIMEOUT = "local.timeout"
    #: Bytes may have left; the connection broke before the answer was whole.
    CONNECTION_CUT = "local.connection_cut"


class Accepted(NamedTuple):
    """The provider took the message; it is paid for."""

    message_id: str | None
    request_id: str | None
    segments: int | None
    country: str | None = None
    #: When its answer came; None until somebody with a clock says it.
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The request was not, or not certainly, accepted."""

    row: Row
    #: Whether a call reached, or may have reached, the provider: then it is an attempt.
    called: bool
    #: The code as it came, when it is not the row's own (an unlisted code, a pattern's match).
    code: str
    request_id: str | None = None
    retry_after: timedelta | None = None
    #: For our own errors: where to look. Never holds a number or a text.
    detail: str | None = None
    #: For class unknown: unknown calls for this request that the ledger knows of, this one included.
    unknowns: int = 0
    #: It is that of a batch call, of which enough members have told already how calls go.
    echoes: bool = False


class Acceptance(NamedTuple):
    """The provider's acceptance, as the done outcome tells it."""

    accepted: Accepted
    #: Calls made for the request up to then, as far as its history knew.
    attempts: int
    first_tried: datetime | None


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider accepted an earlier call for the same request id: no other was made."""

    answer: Acceptance
    #: Calls for it whose outcome stayed unknown.
    unknowns: int


@dataclass(frozen=True, slots=True)
class Underway:
    """Somebody else calls for the same request id, or died doing so: no call was made."""

    #: How long until the caller is taken for dead.
    left: timedelta


@dataclass(frozen=True, slots=True)
class Cancelled:
    """An operator cancelled the request or its campaign: no call was made, and none will be."""

    #: Calls before that which stayed unknown: one of them may have been accepted.
    unknowns: int = 0


@dataclass(frozen=True, slots=True)
class OnHold:
    """Sending is stopped for the request's sender or country: no call was made."""

    #: What is held: ``sender ACME``, ``country 65``.
    name: str
    code: str
    #: The shortest time after which it makes sense to ask again.
    after: timedelta


@dataclass(frozen=True, slots=True)
class Closed:
    """A local limit is reached: no call was made."""

    #: Which limit, in words for people: ``otp 5 per hour``.
    window: str
    #: How long until one more fits; a length, because the limiter's clock need not be ours.
    after: timedelta


@dataclass(frozen=True, slots=True)
class Early:
    """The request may not be sent before *until*: no call was made."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Unserved:
    """No turn came in reasonable time, or the worker is leaving: no call was made."""

    reason: str


Outcome: TypeAlias = Accepted | Failed | Sent | Underway | Cancelled | OnHold | Closed | Early | Unserved
