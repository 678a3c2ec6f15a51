"""One connection on which commands follow each other without waiting for the replies, which come in the same order.

redis-py opens it: address, TLS, user, database and greeting are its business. What costs is asking: a pool, a task, two
timeouts and three copies for each call. So once it is open, the transport is taken over, and redis-py sees nothing of
it any more but its end.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as RedisTimeoutError

from worker.limiter.resp import Replies

#: Is told the replies of what was sent at once, in their order, errors among them; or why there are none: what was
#: sent may or may not have been carried out.
Settle: TypeAlias = Callable[[list[Any] | Exception], None]
#: Is told that this one is of no use any more, and why, after all that was under way.
Lost: TypeAlias = Callable[["Link", Exception], None]


@dataclass(slots=True)
class _Batch:
    """What was sent at once."""

    commands: int
    settle: Settle
    #: When its last reply is late, by the loop's clock.
    late_at: float
    replies: list[Any] = field(default_factory=list)


class Link(asyncio.Protocol):
    """Matches replies with commands. Whatever goes wrong ends it: after that nobody knows which reply is whose."""

    def __init__(self, transport: asyncio.WriteTransport, patience_s: float, lost: Lost) -> None:
        """Take *transport* over; all replies to what is sent at once must be there within *patience_s*."""
        self._transport: Final = transport
        self._before: Final = transport.get_protocol()
        self._patience_s: Final = patience_s
        self._lost: Final = lost
        self._loop: Final = asyncio.get_running_loop()
        self._replies: Final = Replies()
        self._under_way: deque[_Batch] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._has_ended = False
        transport.set_protocol(self)

    @classmethod
    async def over(cls, connection: AbstractConnection, patience_s: float, lost: Lost) -> Self:
        """Take over the transport of *connection*, which is open, and must be closed when the link has ended.

        Raises:
            redis.exceptions.ConnectionError: It has ended, or the other end says what nobody asked for.
        """
        writer = connection._writer  # noqa: SLF001 - the library has no name for its transport
        if writer is None or await connection.can_read() or writer.transport.is_closing():
            raise RedisConnectionError("the connection broke as soon as it was there")
        return cls(writer.transport, patience_s, lost)

    @property
    def is_open(self) -> bool:
        """Whether it is worth sending anything: an end may be known before anybody was told."""
        return not self._has_ended and not self._transport.is_closing()

    @property
    def under_way(self) -> int:
        """How often something was sent of which the replies are missing."""
        return len(self._under_way)

    def send(self, commands: Sequence[bytes], settle: Settle) -> None:
        """Send *commands* in one write.

        Who calls this bounds what is under way, and by that what the transport has to keep for a peer that reads
        nothing. Not to be called by *settle*: replies that nobody asked for would be taken for those of what is new.
        """
        late_at = self._loop.time() + self._patience_s
        self._under_way.append(_Batch(len(commands), settle, late_at))
        if self._timer is None:
            self._timer = self._loop.call_at(late_at, self._look)
        try:
            self._transport.write(b"".join(commands))
        except Exception as error:  # noqa: BLE001 - uvloop raises RuntimeError, others what they like
            self.end(error)

    def end(self, reason: Exception) -> None:
        """Break it off: who waits for replies is told *reason*."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._transport.abort()
        left, self._under_way = self._under_way, deque()
        for batch in left:
            batch.settle(reason)
        self._lost(self, reason)

    def data_received(self, data: bytes) -> None:
        """Settle what is answered."""
        if self._has_ended:
            return
        try:
            replies = self._replies.feed(data)
        except Exception as error:  # noqa: BLE001 - see Replies
            self.end(error)
            return
        for reply in replies:
            if isinstance(reply, RedisConnectionError):  # such as LOADING: it speaks of the connection, not of a script
                self.end(reply)
                return
            if not self._under_way:
                self.end(InvalidResponse("a reply that nobody asked for"))
                return
            batch = self._under_way[0]
            batch.replies.append(reply)
            if len(batch.replies) == batch.commands:
                self._under_way.popleft()
                batch.settle(batch.replies)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended; redis-py, which waits for that when it closes, is told, too."""
        self._before.connection_lost(exc)
        self.end(exc or RedisConnectionError("the other end closed the connection"))

    def _look(self) -> None:
        """Whether the oldest reply is late: one timer for all, which nobody touches while replies come."""
        self._timer = None
        if not self._under_way:
            return
        late_at = self._under_way[0].late_at
        if late_at <= self._loop.time():
            self.end(RedisTimeoutError(f"it did not answer within {self._patience_s:g} s"))
        else:
            self._timer = self._loop.call_at(late_at, self._look)
