"""A channel of the library's on which the hot path is ours: it hears deliveries and confirms, and writes frames."""

import asyncio

from aiormq.channel import Channel

from worker.broker.connection import open_channel
from worker.broker.socket import Ear, Socket, SocketConnection
from worker.broker.wire.cutter import Closed, Event
from worker.broker.wire.frames import ack_frame, requeue_frame


class DirectChannel:
    """One open channel. Everything but the hot path is asked of `library`."""

    def __init__(self, library: Channel, socket: Socket, ear: Ear | None) -> None:
        """*ear* hears what is ours on the channel; without one the library keeps all that comes."""
        self.library = library
        self.number = library.number
        self.socket = socket
        self.frame_max = library.connection.connection_tune.frame_max
        #: The broker has not said that it closed the channel.
        self._is_known = True
        self._settled: list[bytes] = []
        self._ear = ear
        if ear is not None:
            socket.claim(self.number, self._hear)
            library.closing.add_done_callback(self._closed)

    @property
    def is_open(self) -> bool:
        """Whether the broker still knows the channel: a frame for one that it has closed ends the whole connection.

        The library takes a channel off the connection's list when it reads that the broker closed it, some turns of
        the event loop before the channel itself learns of it; what is cut here learns of it earlier still.
        """
        library = self.library
        return self._is_known and not library.is_closed and library.connection.channels.get(self.number) is library

    def ack(self, tag: int) -> None:
        """Acknowledge the delivery *tag*, some milliseconds later; not at all when the channel is gone by then."""
        self._settle(ack_frame(self.number, tag))

    def requeue(self, tag: int) -> None:
        """Return the delivery *tag* to its queue, as late as `ack`."""
        self._settle(requeue_frame(self.number, tag))

    def take(self) -> bytes:
        """What was settled and not yet written: nothing for a channel that is gone, for the broker delivers again."""
        settled = b"".join(self._settled) if self.is_open else b""
        self._settled.clear()
        return settled

    def _settle(self, frame: bytes) -> None:
        if not self._settled:
            self.socket.write_later(self)
        self._settled.append(frame)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Closed):
            self._is_known = False
        elif self._ear is not None:
            self._ear(event)

    def _closed(self, _: "asyncio.Future[object]") -> None:
        self.socket.disown(self.number, self._hear)


async def open_direct(connection: SocketConnection, ear: Ear | None = None, *, confirms: bool = False) -> DirectChannel:
    """Open a channel; what is ours on it goes to *ear*.

    Raises:
        BrokerUnavailable: the connection broke.
    """
    return DirectChannel(await open_channel(connection, confirms=confirms), connection.socket, ear)
