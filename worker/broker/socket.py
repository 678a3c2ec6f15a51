"""The socket below the library's connection: what is ours goes straight in and out, the rest is the library's.

The library lets its user open the transport, which asks for a protocol of asyncio; ours is asyncio's own for streams,
and cuts the frames of the hot path out before the library's reader sees them. What the library writes and what is
written here are whole frames each, so they may take turns.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias, cast

import aio_pika
from aiormq import TransportFactory
from aiormq.exceptions import AMQPConnectionError

from worker.broker.wire.cutter import Cutter, Event
from worker.errors import BrokerUnavailable

#: Hears what comes for a channel that was claimed.
Ear: TypeAlias = Callable[[Event], None]

#: What of an acknowledgement can wait does so for this long, for others: one write for each was a quarter of the CPU of
#: receiving. What it costs is that many more deliveries that come again when the program dies. Seconds.
_GATHER_S: Final = 0.002
#: A frame without content, by which the other end says that it lives.
_HEARTBEAT: Final = b"\x08\0\0\0\0\0\0\xce"
#: The library hears at least so often that the other end lives, as long as it does. Seconds.
_ALIVE_S: Final = 1.0


class Waiting(Protocol):
    """A channel with something to write that can wait for others."""

    def take(self) -> bytes:
        """What it has to write now; nothing when it is no longer open."""


class Socket(asyncio.StreamReaderProtocol):
    """One connection's end: its frames in and out."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        """*reader* is what the library reads."""
        super().__init__(reader, loop=loop)
        self._reader = reader
        self._turns = loop
        self._cutter = Cutter()
        self._ears: dict[int, Ear] = {}
        self._transport_now: asyncio.Transport | None = None
        self._due: list[bytes] = []
        self._waiting: list[Waiting] = []
        self._gathering: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._told_alive = 0.0

    def agree(self, frame_max: int) -> None:
        """Take no frame that is larger than was agreed."""
        self._cutter.agree(frame_max)

    def claim(self, channel: int, ear: Ear) -> None:
        """Let *ear* hear from now on what is ours on *channel*."""
        self._ears[channel] = ear
        self._cutter.claim(channel)

    def disown(self, channel: int, ear: Ear) -> None:
        """Leave *channel* to the library again, unless another ear has it by now."""
        if self._ears.get(channel) == ear:
            del self._ears[channel]
            self._cutter.disown(channel)

    @property
    def is_full(self) -> bool:
        """Whether the other end reads more slowly than is written: who publishes waits until it `is_writable`."""
        return not self._writable.is_set()

    async def until_writable(self) -> None:
        """Return when the other end has read enough, or is gone."""
        await self._writable.wait()

    def write(self, frames: bytes) -> None:
        """Write whole *frames*, together with everything else of this turn of the event loop."""
        if not self._due:
            self._turns.call_soon(self.flush)
        self._due.append(frames)

    def write_later(self, waiting: Waiting) -> None:
        """Write what *waiting* has to write, some milliseconds later and together with others."""
        self._waiting.append(waiting)
        if self._gathering is None:
            self._gathering = self._turns.call_later(_GATHER_S, self.flush)

    def flush(self) -> None:
        """Write now all that waits."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        frames = [*self._due, *(waiting.take() for waiting in self._waiting)]
        self._due.clear()
        self._waiting.clear()
        transport = self._transport_now
        if frames and transport is not None and not transport.is_closing():
            transport.write(b"".join(frames))

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport_now = cast("asyncio.Transport", transport)  # uvloop's is one without being asyncio's
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Cut what came: what is ours is heard at once, the rest is left for the library's reader."""
        events, passed = self._cutter.cut(data)
        if passed:
            super().data_received(passed)
        try:
            for event in events:
                if (ear := self._ears.get(event.channel)) is not None:
                    ear(event)
        except Exception as error:  # noqa: BLE001 - asyncio would abort the transport, and no one would learn why
            self._fail(error)
        if self._cutter.error is not None:
            self._fail(self._cutter.error)
        elif events:
            self._tell_alive()

    def eof_received(self) -> bool | None:
        """Let the library have what was not complete: it says how much was missing."""
        if rest := self._cutter.rest():
            super().data_received(rest)
        return super().eof_received()

    def pause_writing(self) -> None:
        """Note that too much is written and not read."""
        self._writable.clear()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that enough was read."""
        self._writable.set()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: nobody waits any more for the other end to read."""
        self._writable.set()
        super().connection_lost(exc)

    def _tell_alive(self) -> None:
        """The library ends a connection on which it sees nothing for long: it does not see what is ours."""
        now = self._turns.time()
        if now - self._told_alive >= _ALIVE_S:
            self._told_alive = now
            super().data_received(_HEARTBEAT)

    def _fail(self, error: Exception) -> None:
        """Let the library's reader raise *error*, which ends the connection as any frame does that cannot be read."""
        if self._reader.exception() is None:
            self._reader.set_exception(error)


class _Sockets(TransportFactory):
    """Opens the transport of one connection."""

    def __init__(self) -> None:
        self.opened: Socket | None = None

    async def create(self, url: Any, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Do what the library's own factories do, with our protocol."""
        provider, context = kwargs.pop("ssl_context_provider"), None
        if url.scheme == "amqps":
            context = await provider.get_context()
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        opened = Socket(reader, loop)
        try:
            transport, _ = await loop.create_connection(lambda: opened, url.host, url.port, ssl=context, **kwargs)
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self.opened = opened
        return reader, asyncio.StreamWriter(transport, opened, reader, loop)


class SocketConnection(aio_pika.Connection):
    """The library's connection on a socket of ours."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As the library's own."""
        super().__init__(*args, **kwargs)
        self._sockets = _Sockets()
        self.kwargs["transport_factory"] = self._sockets

    @property
    def socket(self) -> Socket:
        """The socket; raises BrokerUnavailable when there is none."""
        if self._sockets.opened is None:
            raise BrokerUnavailable("the connection is closed")
        return self._sockets.opened
