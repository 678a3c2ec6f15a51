"""One connection: a call at a time, and the certainty whether a byte of it may have left.

Before `transport.write` nothing has left; from then on anything may have, because nobody can tell what the kernel did.
"""

import asyncio
from time import monotonic
from typing import Final, NamedTuple, cast

from worker.core.outcome.outcome import Fault
from worker.provider.http.answer import Answer, AnswerReader

#: Bytes that are read at one go: an answer has less than 2 KiB.
_BUFFER: Final = 4_096
#: When the time is over, the event loop gets so long to read what has come while something else kept it busy. Seconds.
_LAST_LOOK_S: Final = 0.01


class Limits(NamedTuple):
    """How long a connection waits, in seconds."""

    #: For the next byte of an answer.
    read_s: float
    #: For the next call.
    keepalive_s: float


class Connection(asyncio.BufferedProtocol):
    """Made by `loop.create_connection`; free for a call at once."""

    def __init__(self, reader: AnswerReader, limits: Limits, alive: set["Connection"]) -> None:
        """Read answers with *reader*; stand in *alive* as long as there is a transport."""
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._limits = limits
        self._alive = alive
        #: Set when the transport is gone.
        self.closed = asyncio.Event()
        self._view = memoryview(bytearray(_BUFFER))
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer | Fault] | None = None
        #: The one timer, for the call and for the rest after it. It is not moved with each of them: when it is early,
        #: it is set again. Instants of `time.monotonic`; the one of the event loop may be that of its last turn.
        self._timer: asyncio.TimerHandle | None = None
        self._wakes = self._due = self._ends = 0.0
        self._is_overdue = False

    @property
    def is_usable(self) -> bool:
        """Whether a call could be written now, as far as anybody knows here."""
        return self._transport is not None and not self._transport.is_closing() and self._due > monotonic()

    async def exchange(self, request: bytes, ends: float) -> Answer | Fault | None:
        """Write *request* and wait for its answer, at the latest until the instant *ends*.

        A fault means that bytes may have left. None means that not one has: the connection was closing already. It is
        closed after whatever could make the next answer doubtful, a cancellation above all.
        """
        if self._waiting is not None:
            raise RuntimeError("one call at a time")
        transport = self._transport
        if transport is None or transport.is_closing():
            return None
        self._reader.expect()
        waiting: asyncio.Future[Answer | Fault] = self._loop.create_future()
        self._waiting = waiting
        self._ends = ends
        self._wait_for(self._limits.read_s)
        try:
            transport.write(request)
            return await waiting
        finally:
            if self._waiting is not None:
                self._waiting = None
                self.abort()

    def abort(self) -> None:
        """Close at once; nothing is on its way that must still arrive. A call in flight ends as cut."""
        if self._transport is not None:
            self._transport.abort()
        self._settle(Fault.CONNECTION_CUT)

    # -- called by the transport ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Free from now on."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        self._alive.add(self)
        self._rest()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - more comes with the next read
        """Where to put what comes."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Read on; what comes unasked makes every later answer doubtful."""
        reader = self._reader
        if self._waiting is None:
            self.abort()
            return
        reader.feed(self._view[:nbytes])
        if reader.answer is not None:
            self._conclude(reader.answer)
        elif reader.is_broken:
            self.abort()
        else:
            self._wait_for(self._limits.read_s)

    def eof_received(self) -> None:
        """The peer says no more. It may still listen, but nobody needs such a connection."""
        self._end()
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone. Some transports tell of the end of the stream in no other way."""
        if exc is None:
            self._end()
        self._transport = None
        self._settle(Fault.CONNECTION_CUT)
        if self._timer is not None:
            self._timer.cancel()
        self._alive.discard(self)
        self.closed.set()

    def _end(self) -> None:
        if self._waiting is not None:
            self._reader.end()
            if self._reader.answer is not None:
                self._settle(self._reader.answer)

    def _conclude(self, answer: Answer) -> None:
        # A request that is not all out yet may never be read, so the next one would be taken for its rest.
        if self._reader.is_kept and self._transport is not None and not self._transport.get_write_buffer_size():
            self._rest()
            self._settle(answer)
        else:
            self._settle(answer)
            self.abort()

    def _settle(self, result: Answer | Fault) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(result)

    # -- time ----------------------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        self._ends = float("inf")
        self._wait_for(self._limits.keepalive_s)

    def _wait_for(self, patience_s: float) -> None:
        now = monotonic()
        self._is_overdue = False
        self._due = min(now + patience_s, self._ends)
        if self._timer is None:
            self._wake_after(self._due - now)
        elif self._due < self._wakes:
            self._timer.cancel()
            self._wake_after(self._due - now)

    def _wake_after(self, seconds: float) -> None:
        self._wakes = monotonic() + seconds
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        left = self._due - monotonic()
        if left > 0:
            self._wake_after(left)
        elif self._waiting is not None and not self._is_overdue:
            self._is_overdue = True
            self._wake_after(_LAST_LOOK_S)
        else:
            self._settle(Fault.TIMEOUT)
            self.abort()
