"""A server in the middle that does to each connection what was written down, and then none of it any more.

A mishap strikes a connection when so many answers of the real server have passed: it meets each step of a handshake and
of the life after it.
"""

import asyncio
import random
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self
from urllib.parse import urlsplit

_CHUNK: Final = 65_536
#: SO_LINGER on, zero seconds: closing says RST.
_NO_LINGER: Final = b"\1\0\0\0\0\0\0\0"
#: Answers that still come on a connection after one that was something else; then it ends.
_AFTERWARDS: Final = 3


class Mishap(StrEnum):
    """What happens to a connection."""

    #: The end of the stream instead of an answer.
    CLOSES = "closes"
    #: RST instead of an answer.
    RESETS = "resets"
    #: No answer, for ever.
    STALLS = "stalls"
    #: Something else than the answer.
    GARBLES = "garbles"
    #: The first half of the answer, then the end.
    HALVES = "halves"
    #: The answer byte by byte, slower than anybody waits.
    DRIPS = "drips"
    #: The answer, and right after it the end.
    CLOSES_IDLE = "closes idle"
    #: The answer, and right after it RST.
    RESETS_IDLE = "resets idle"


@dataclass(frozen=True)
class Strike:
    """*mishap* in place of answer number *step* of a connection; step 0 is before the client has said anything."""

    mishap: Mishap
    step: int
    #: What is said instead of an answer.
    garbage: bytes = b""


def strikes(dice: random.Random, count: int, steps: int, garbage: Sequence[bytes]) -> list[Strike]:
    """Every mishap at every step before *steps* and *count* random ones after them, in a random order."""
    every = [Strike(mishap, step, dice.choice(garbage)) for mishap in Mishap for step in range(steps)]
    more = [Strike(dice.choice(list(Mishap)), dice.randrange(steps), dice.choice(garbage)) for _ in range(count)]
    dice.shuffle(every)
    return every + more


class HostilePeer:
    """Stands before the server of *url*; `url` is the address to give to the client instead.

    Each connection meets the next strike; when there are none left the server is as good as the real one.
    """

    def __init__(self, url: str, strikes: Iterable[Strike]) -> None:
        self._target = urlsplit(url)
        self._strikes = list(strikes)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0
        self.connections = 0
        #: Strikes that came to their step.
        self.struck: list[Strike] = []

    @property
    def url(self) -> str:
        user, at, _ = self._target.netloc.rpartition("@")
        return self._target._replace(netloc=f"{user}{at}127.0.0.1:{self._port}").geturl()

    @property
    def is_good(self) -> bool:
        """Whether nothing is left to strike."""
        return not self._strikes

    def be_good(self) -> None:
        """Strike no more; connections that were struck stay so, and end."""
        self._strikes.clear()
        for writer in self._writers:
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="hostile peer")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        strike = self._strikes.pop(0) if self._strikes else None
        there_reader, there_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        mine = {writer, there_writer}
        self._writers |= mine
        forth = asyncio.create_task(_pump(reader, there_writer), name="hostile peer, forth")
        try:
            with suppress(OSError, RuntimeError):  # the client has left
                await self._answer(there_reader, writer, strike, forth)
        finally:
            forth.cancel()
            await asyncio.wait([forth])
            for each in mine:
                each.close()
            self._writers -= mine

    async def _answer(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        strike: Strike | None,
        forth: "asyncio.Task[None]",
    ) -> None:
        step = 0
        if strike and strike.step == 0:
            await self._strike(strike, b"", sink, forth)
        while chunk := await source.read(_CHUNK):
            step += 1
            if strike and strike.step == step:
                await self._strike(strike, chunk, sink, forth)
            elif strike and step > strike.step + _AFTERWARDS:
                return
            else:
                sink.write(chunk)
                await sink.drain()

    async def _strike(
        self, strike: Strike, answer: bytes, sink: asyncio.StreamWriter, forth: "asyncio.Task[None]"
    ) -> None:
        self.struck.append(strike)
        match strike.mishap:
            case Mishap.STALLS:
                await asyncio.wait([forth])  # until the client gives up
            case Mishap.GARBLES:
                sink.write(strike.garbage)
                await sink.drain()
                return
            case Mishap.HALVES:
                sink.write(answer[: len(answer) // 2])
            case Mishap.DRIPS:
                await _drip(answer, sink, forth)
            case Mishap.CLOSES_IDLE | Mishap.RESETS_IDLE:
                sink.write(answer)
                await asyncio.sleep(0.02)  # so that the answer is read before the end throws it away
        if strike.mishap in {Mishap.RESETS, Mishap.RESETS_IDLE}:
            sink.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            sink.transport.abort()
        else:
            sink.close()


async def _drip(answer: bytes, sink: asyncio.StreamWriter, forth: "asyncio.Task[None]") -> None:
    for byte in answer:
        sink.write(bytes([byte]))
        await asyncio.wait([forth], timeout=0.05)
        if forth.done():
            return


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError, RuntimeError):
        while chunk := await source.read(_CHUNK):
            sink.write(chunk)
            await sink.drain()


#: Answers that Redis never gives to what a worker asks, or never there.
REDIS_GARBAGE: Final = (
    b"+OK\r\n",
    b"+PONG\r\n",
    b":5\r\n",
    b":-9223372036854775808\r\n",
    b":many\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"$0\r\n\r\n",
    b"$3\r\n\xff\xfe\xfd\r\n",
    b"$many\r\n",
    b"$99999999999999\r\nx",
    b"*99999999999999\r\n",
    b"*2\r\n$5\r\nSLOTS\r\n$4\r\nmany\r\n",
    b"*2\r\n$4\r\nTURN\r\n$-1\r\n",
    b"*3\r\n$4\r\nHELD\r\n:5\r\n:5\r\n",
    b"*1\r\n*1\r\n*1\r\n:0\r\n",
    b"*2\r\n*-1\r\n$3\r\nabc\r\n",
    b"*2\r\n*1\r\n*2\r\n$3\r\nabc\r\n*0\r\n*0\r\n",
    b"-ERR no\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"-NOSCRIPT No matching script.\r\n",
    b"-MOVED 5 127.0.0.1:1\r\n",
    b"-\r\n",
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b">2\r\n$6\r\nMOVING\r\n:5\r\n",
    b"%1\r\n+a\r\n:1\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",inf\r\n",
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"AMQP\0\0\x09\x01",
    b"\0" * 64,
    b"\r\n\r\n",
    bytes(range(256)),
)

#: Answers that no HTTP server gives, or only a broken one.
HTTP_GARBAGE: Final = (
    b"\0" * 64,
    b"\r\n\r\n",
    b"+OK\r\n",
    b"AMQP\0\0\x09\x01",
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    bytes(range(256)),
    b"HTTP/1.1\r\n\r\n",
    b"HTTP/9.9 999 \xff\r\n\r\n",
    b"HTTP/1.1 -5 no\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n\0",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nxyz",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=\xff\r\nContent-Length: 3\r\n\r\n\xff\xfe\xfd",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nx-acs-retry-after: 1e999\r\n\r\n[[[[[[[[[",
    b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n" + b'{"Code":"\\ud800","a":1e9}',
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
    b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff=\xfe; Domain=..\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\n: \r\n x\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
)
