"""A proxy in front of RabbitMQ that plays foul after so many whole frames: what balancers, networks and bugs do."""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Final

import pamqp.frame
from pamqp.base import Frame
from pamqp.commands import Basic, Channel, Connection
from pamqp.header import ContentHeader

from tests.tcp_proxy import TcpProxy

#: Type, channel and size of a frame; one byte ends it.
_HEAD: Final = 7


class Foul(StrEnum):
    """What happens to a connection, as its client sees it."""

    CLOSE = "closes"
    RESET = "resets"
    STALL = "stalls"
    HALF = "ends in the middle of a frame"
    GARBLE = "garbles a frame"
    NOISE = "sends noise"
    WRONG = "sends a frame that nobody asked for"
    ASTRAY = "sends content where none belongs"
    BYE = "closes the channel"
    BYE_ALL = "closes the connection in good order"
    UNANSWERED = "does not answer two questions"


@dataclass(frozen=True)
class Blow:
    """*foul* strikes when so many whole frames of the server were let through."""

    foul: Foul
    frames: int

    def __str__(self) -> str:
        return f"{self.foul.value} after {self.frames} frames"


class FoulProxy(TcpProxy):
    """Treats the first *most* connections foully, and forwards the others."""

    def __init__(self, url: str, blow: Blow, *, most: int = 1, seed: int = 0) -> None:
        super().__init__(url)
        self._blow = blow
        self._left = most
        #: Answers to be swallowed yet.
        self._unanswered = 2
        self._dice = random.Random(f"{blow} {seed}")
        #: Set when the blow has struck.
        self.struck = threading.Event()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._left:
            await super()._accept(reader, writer)
            return
        self._left -= 1
        self.accepted += 1
        if self._blow.frames == 0 and self._blow.foul in {Foul.CLOSE, Foul.RESET}:  # a balancer without a backend
            self.struck.set()
            self._end(writer)
            return
        there_reader, there_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, there_writer}
        for work in (self._pump(reader, there_writer), self._strike(there_reader, writer)):
            pump = asyncio.create_task(work, name="foul proxy")
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _strike(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            for number in count():
                head = await source.readexactly(_HEAD)
                (size,) = struct.unpack(">I", head[3:])
                frame = head + await source.readexactly(size + 1)
                if number >= self._blow.frames:
                    if number == self._blow.frames:
                        self.struck.set()
                    frame = await self._fouled(frame, sink, number - self._blow.frames)
                sink.write(frame)
                if number + 1 == self._blow.frames and self._blow.foul is Foul.CLOSE:
                    self.struck.set()
                    break  # together with the frame
                await sink.drain()
        self._writers.discard(sink)
        sink.close()

    async def _fouled(self, frame: bytes, sink: asyncio.StreamWriter, after: int) -> bytes:
        """What is written instead of *frame*, the *after*-th since the blow (from 0)."""
        match self._blow.foul:
            case Foul.CLOSE | Foul.RESET:
                self._end(sink)
                raise ConnectionResetError
            case Foul.STALL:
                await asyncio.Event().wait()
            case Foul.HALF:
                sink.write(frame[: max(1, len(frame) // 2)])
                raise ConnectionResetError
            case Foul.GARBLE:
                return bytes(byte ^ self._dice.choice((0, 0, 0, 1, 0x80, 0xFF)) for byte in frame)
            case Foul.NOISE:
                return self._dice.randbytes(self._dice.randrange(1, 300))
            case Foul.UNANSWERED:
                if self._unanswered and _is_answer(frame):
                    self._unanswered -= 1
                    return b""
            case _ if after == 0:
                return _unasked(self._blow.foul, struct.unpack(">H", frame[1:3])[0]) + frame
        return frame

    def _end(self, writer: asyncio.StreamWriter) -> None:
        if self._blow.foul is Foul.RESET:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        writer.close()


@contextmanager
def loop_apart() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own: what shares a loop with its peer never surprises it in the middle."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="apart")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@asynccontextmanager
async def apart(proxy: FoulProxy, loop: asyncio.AbstractEventLoop) -> AsyncIterator[FoulProxy]:
    """Run *proxy* on *loop*, which is another one."""
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(proxy.__aenter__(), loop))
    try:
        yield proxy
    finally:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(proxy.__aexit__(), loop))


def _is_answer(frame: bytes) -> bool:
    _, _, answer = pamqp.frame.unmarshal(frame)
    return isinstance(answer, Frame) and answer.name.endswith("Ok")


def _unasked(foul: Foul, channel: int) -> bytes:
    frames: dict[Foul, tuple[Frame | ContentHeader, int]] = {
        Foul.WRONG: (Basic.GetEmpty(), channel or 1),
        Foul.ASTRAY: (ContentHeader(body_size=3), channel or 1),
        Foul.BYE: (Channel.Close(reply_code=541, reply_text="x", class_id=0, method_id=0), channel or 1),
        Foul.BYE_ALL: (Connection.Close(reply_code=320, reply_text="x", class_id=0, method_id=0), 0),
    }
    return pamqp.frame.marshal(*frames[foul])
