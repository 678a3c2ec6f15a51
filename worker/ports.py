"""What the way of a message needs from the world: one Protocol per neighbour, implemented by one adapter each."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeAlias

from worker.core.decision.feedback import Refused
from worker.core.limits.holds import Hold, HoldName, Refusal
from worker.core.limits.ledger import Known, Token
from worker.core.limits.quota import Admission, Admitted, Grant, Operation
from worker.core.message.decode import RawMessage, Request
from worker.core.message.lane import Lane
from worker.core.message.request import SmsRequest
from worker.core.outcome.members import BatchReply
from worker.core.outcome.outcome import Acceptance, Fault, OnHold, Reply
from worker.core.outgoing.envelope import Outgoing


class Events(Protocol):
    """Where everything worth knowing goes; whatever it does never changes a disposition."""

    def emit(self, name: str, /, **fields: Any) -> None:
        """Tell that *name* happened; names and fields are listed in telemetry/events.py. Never raises."""


class Delivery(Protocol):
    """One delivery of the broker: it is settled once."""

    @property
    def raw(self) -> RawMessage:
        """The message."""

    @property
    def redelivered(self) -> bool:
        """Whether somebody had it before and did not settle it."""

    @property
    def deliveries(self) -> int:
        """How often the broker delivered it before, as far as the broker tells."""

    @property
    def is_open(self) -> bool:
        """Whether it can still be settled; if not, the broker delivers it again, whatever is done with this one."""


Receiver: TypeAlias = Callable[[Delivery], Coroutine[Any, Any, None]]


class Settler(Protocol):
    """The only place that acknowledges."""

    async def publish_and_ack(self, delivery: Delivery, message: Outgoing) -> None:
        """Publish *message*, wait for the broker's confirm, then acknowledge *delivery*.

        A failed publish is tried again as long as the delivery can be acknowledged.

        Raises:
            BrokerUnavailable: not confirmed, and the delivery comes again.
            Unroutable: no queue took the message, and the delivery comes again.
        """

    async def requeue(self, delivery: Delivery) -> None:
        """Return *delivery* to its queue as it came; never raises on a connection that is gone."""


class Holds(Protocol):
    """The scopes for which sending is stopped, shared by all workers.

    Every coroutine raises LimiterUnavailable when Redis cannot be asked.
    """

    async def refused(self, refused: Refused) -> Refusal:
        """The provider refuses everything of a scope: hold it, at once or when it repeats.

        When the call was the probe of the hold, the next one comes later.
        """

    async def undecided(self, name: HoldName) -> None:
        """The probe of *name* showed nothing, or nobody knows what: the next one comes later."""

    async def unprobed(self, name: HoldName) -> None:
        """The probe of *name* was not made: somebody else may make it now."""

    async def works(self, name: HoldName, *, probed: bool) -> Hold | None:
        """The provider accepted a call, which was the probe of *name* when *probed*; returns the hold that is lifted.

        Costs nothing for the usual call.
        """

    async def list(self) -> Sequence[Hold]:
        """All holds, that of the account first."""

    def on_hold(self, sms: SmsRequest) -> OnHold | None:
        """The hold of its sender or country that stands against *sms*, and needs no probe now, without asking anybody.

        It may be a second old, and knows nothing of the ledger: only for requests whose deadline is not near.
        """


class CallSize(Protocol):
    """How large a batch call may be, found out once for all workers. Every method raises LimiterUnavailable."""

    async def most(self) -> int:
        """Bytes of the next call at the most."""

    async def accepted(self, size: int) -> None:
        """A call of *size* bytes reached the provider."""

    async def refused(self, size: int, *, certainly: bool) -> None:
        """A call of *size* bytes was too large for something on the way.

        Not *certainly*: its connection was cut, which says something of a call larger than all that were accepted.
        """


class Limiter(Protocol):
    """The limits shared by all workers. Every method raises LimiterUnavailable when nothing may be sent."""

    @property
    def holds(self) -> Holds:
        """The scopes for which sending is stopped."""

    @property
    def call_size(self) -> CallSize:
        """How large a batch call may be."""

    async def grant(self, operation: Operation, lane: Lane, want: int) -> Grant:
        """Book up to *want* slots (at least one is meant) for requests of *lane*."""

    async def admit(
        self, request: Request, token: Token, *, left: timedelta = timedelta(0), probe: bool = False
    ) -> Admission:
        """Claim *request* in the ledger and count it in every window and cap, or do nothing and say why not.

        A window that is full promises the request a place in the order in which it reopens, and `Closed` says when
        that is, unless it is later than *left* from now: then it is of no use, and there is no promise.

        *token* names the claim. A caller that does not know what became of its claim, because this raised, claims again
        with the next number, and is not counted twice. *probe* says that the slot is the probe of the account's hold:
        while there is one, nobody else is admitted.
        """

    async def recall(self, request: Request) -> Known | None:
        """What the ledger knows of *request*, that stands against giving it up; None when nothing does."""

    async def record(self, admitted: Admitted, news: Acceptance | str | None) -> int:
        """Write what became of the call into the ledger; when this raises, the limiter goes on trying by itself.

        Args:
            admitted: What `admit` returned.
            news: The acceptance; the code for which it is unknown; None when the request was certainly not accepted:
                it is taken out of the windows and caps again.

        Returns:
            How many calls for the request are unknown.
        """

    async def close(self, number: str, code: str, length: timedelta) -> None:
        """The provider takes no more for *number* for *length*, because of *code*: refuse it from now on."""

    async def throttled(self, operation: Operation, retry_after_s: float | None) -> None:
        """The provider throttled a call: slow the shared bucket down."""


class Provider(Protocol):
    """The API that sends."""

    async def send(self, request: Request, validity_s: int) -> Reply | Fault:
        """Make one call; *validity_s* is how long the message is of use.

        Failures are values. It raises only for a bug of ours that shows before the first byte is written.
        """

    async def send_batch(self, requests: Sequence[Request], validity_s: int, task_id: str) -> BatchReply | Fault:
        """Make one call for all of *requests*: free texts of one type and sender, each to another number.

        *task_id* comes back in the receipt of each. Otherwise as `send`.
        """

    def size_of(self, request: Request) -> int:
        """Bytes that *request* adds to a call with several messages, in the form in which they are sent."""

    @property
    def base_size(self) -> int:
        """Bytes of a call with several messages without any of them, at most."""
