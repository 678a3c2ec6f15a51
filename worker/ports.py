"""What the way of a message needs from the world: one Protocol per neighbour, implemented by one adapter each."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol, TypeAlias

from worker.core.decode import RawMessage, Request
from worker.core.envelope import Outgoing
from worker.core.lane import Lane
from worker.core.ledger import Busy, Doubtful
from worker.core.outcome import Answer, Fault, Reply, Sent
from worker.core.quota import Admission, Admitted, Grant, Hold, Operation


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


Receiver: TypeAlias = Callable[[Delivery], Awaitable[None]]


class Settler(Protocol):
    """The only place that acknowledges."""

    async def hand_over(self, delivery: Delivery, message: Outgoing) -> None:
        """Publish *message*, wait for the broker's confirm, then acknowledge *delivery*.

        A failed publish is tried again as long as the delivery can be acknowledged.

        Raises:
            BrokerUnavailable: not confirmed, and the delivery comes again.
            Unroutable: no queue took the message, and the delivery comes again.
        """

    async def give_back(self, delivery: Delivery) -> None:
        """Return *delivery* to its queue as it came; never raises on a connection that is gone."""


class Limiter(Protocol):
    """The limits shared by all workers. Every method raises LimiterUnavailable when nothing may be sent."""

    async def grant(self, operation: Operation, lane: Lane, want: int) -> Grant:
        """Book up to *want* slots (at least one is meant) for requests of *lane*."""

    async def admit(self, request: Request, token: str) -> Admission:
        """Claim *request* in the ledger and count it in every window and cap, or do nothing and say why not.

        *token* names the asker; claiming again with the same one changes nothing.
        """

    async def recall(self, request: Request) -> Sent | Busy | Doubtful | None:
        """What the ledger knows of *request*, that stands against giving it up; None when nothing does."""

    async def record(self, admitted: Admitted, news: Answer | str | None) -> int:
        """Write what became of the call into the ledger.

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

    async def hold(self, code: str) -> bool:
        """The provider says that nothing of the account can succeed: hold, or lengthen the hold after a probe.

        Returns:
            Whether the hold begins with this.
        """

    async def lift(self) -> None:
        """A call succeeded: lift the account's hold, if there is one."""

    async def held(self) -> Hold | None:
        """The account's hold, if there is one."""


class Provider(Protocol):
    """The API that sends."""

    async def send(self, request: Request, validity_s: int) -> Reply | Fault:
        """Make one call; *validity_s* is how long the message is of use. Failures are values: it never raises."""
