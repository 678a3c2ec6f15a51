"""The socket between the library and the wire, on both event loops, against a peer that says what the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiormq
import pytest
import uvloop
from aiormq import exceptions
from pamqp.commands import Basic, Connection
from pamqp.frame import marshal, unmarshal
from yarl import URL

from tests.waiting import eventually
from worker.broker import socket as under_test
from worker.broker.socket import Socket, SocketConnection
from worker.broker.wire.cutter import Confirmed, Event, FrameError

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
ACK = marshal(Basic.Ack(delivery_tag=7), 1)
THEIRS = marshal(Basic.ConsumeOk("c"), 1)


@dataclass
class Pair:
    """A socket, what the library would read of it, and its peer."""

    socket: Socket
    reader: asyncio.StreamReader
    peer_reader: asyncio.StreamReader
    peer: asyncio.StreamWriter
    heard: list[Event] = field(default_factory=list)


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    accepted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda *ends: accepted.set_result(ends), "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    connection = SocketConnection(URL(f"amqp://{host}:{port}/"))
    reader, writer = await connection.kwargs["transport_factory"].create(connection.url, ssl_context_provider=None)
    peer_reader, peer = await accepted
    made = Pair(connection.socket, reader, peer_reader, peer)
    made.socket.claim(1, made.heard.append)
    try:
        yield made
    finally:
        connection.kwargs.clear()
        for end in (writer, peer):
            end.transport.abort()
        server.close()
        await asyncio.sleep(0.01)  # asyncio closes sockets a turn later, and warns otherwise


def run(loop: Callable[[], asyncio.AbstractEventLoop], test: Callable[[Pair], Any]) -> None:
    async def whole() -> None:
        async with pair() as made, asyncio.timeout(10):
            await test(made)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(whole())


@LOOPS
def test_what_is_ours_is_heard_and_the_rest_is_the_librarys(loop: Any) -> None:
    async def test(made: Pair) -> None:
        wire = ACK + THEIRS + ACK
        for byte in wire[:30], wire[30:]:
            made.peer.write(byte)
            await made.peer.drain()
        read = await made.reader.readexactly(len(THEIRS))
        await eventually(lambda: len(made.heard) == 2)
        # That the other end lives is told the library by a heartbeat, for it does not see what is ours.
        alive = await made.reader.readexactly(8) if read.startswith(b"\x01") else read[:8]
        assert {type(unmarshal(part)[2]).__name__ for part in (read, alive)} <= {"ConsumeOk", "Heartbeat"}
        assert made.heard == [Confirmed(1, 7, multiple=False, taken=True)] * 2

    run(loop, test)


@LOOPS
def test_everything_of_one_turn_leaves_in_one_write_and_what_can_wait_comes_with_it(loop: Any) -> None:
    class Later:
        def take(self) -> bytes:
            return b"later"

    async def test(made: Pair) -> None:
        transport: Any = made.socket._transport_now
        writes: list[bytes] = []

        class Counting:
            def is_closing(self) -> bool:
                return False

            def write(self, written: bytes) -> None:
                writes.append(written)
                transport.write(written)

        made.socket._transport_now = Counting()  # type: ignore[assignment]
        for part in (b"a", b"b", b"c"):
            made.socket.write(part)
        assert writes == []
        await asyncio.sleep(0)
        assert writes == [b"abc"]
        made.socket.write_later(Later())
        made.socket.write_later(Later())
        assert await made.peer_reader.readexactly(13) == b"abclaterlater"
        assert writes == [b"abc", b"laterlater"]
        made.socket.write_later(Later())
        made.socket.flush()
        assert writes[2:] == [b"later"]

    run(loop, test)


@LOOPS
def test_who_publishes_waits_while_the_other_end_does_not_read(loop: Any) -> None:
    async def test(made: Pair) -> None:
        made.peer.transport.pause_reading()  # type: ignore[attr-defined]
        while not made.socket.is_full:
            made.socket.write(b"x" * 1_000_000)
            await asyncio.sleep(0)
        waiting = asyncio.create_task(made.socket.until_writable())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        made.peer.transport.resume_reading()  # type: ignore[attr-defined]
        reading = asyncio.create_task(made.peer_reader.read(-1))
        await waiting
        assert not made.socket.is_full
        reading.cancel()

    run(loop, test)


@LOOPS
def test_who_waits_for_a_peer_that_goes_waits_no_longer(loop: Any) -> None:
    async def test(made: Pair) -> None:
        made.peer.transport.pause_reading()  # type: ignore[attr-defined]
        while not made.socket.is_full:
            made.socket.write(b"x" * 1_000_000)
            await asyncio.sleep(0)
        made.peer.transport.abort()
        await made.socket.until_writable()
        made.socket.write(b"to nobody")
        await asyncio.sleep(0)

    run(loop, test)


@LOOPS
@pytest.mark.parametrize(
    "broken",
    [ACK[:-1] + b"\0", ACK[:3] + b"\xff" * 4 + ACK[7:], marshal(Basic.Ack(1), 1)[:8]],
    ids=["end", "size", "cut"],
)
def test_a_frame_that_cannot_be_ends_the_library_s_reading(loop: Any, broken: bytes) -> None:
    async def test(made: Pair) -> None:
        made.socket.agree(4_096)
        made.peer.write(ACK + broken)
        made.peer.write_eof()
        if len(broken) == 8:  # the library says how much is missing
            assert (await made.reader.read(-1)).endswith(broken)
        else:
            with pytest.raises(FrameError):
                await made.reader.readexactly(100)
        assert made.heard == [Confirmed(1, 7, multiple=False, taken=True)]

    run(loop, test)


@LOOPS
def test_an_ear_that_fails_ends_the_connection_and_not_the_program(loop: Any) -> None:
    async def test(made: Pair) -> None:
        def fail(_: Event) -> None:
            raise KeyError("a bug")

        made.socket.claim(1, fail)
        made.peer.write(ACK)
        with pytest.raises(KeyError):
            await made.reader.readexactly(100)

    run(loop, test)


@LOOPS
def test_the_library_hears_that_the_other_end_lives_though_it_sees_nothing_of_it(
    loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "_ALIVE_S", 0.01)

    async def test(made: Pair) -> None:
        for _ in range(3):
            made.peer.write(ACK)
            assert await made.reader.readexactly(8) == b"\x08\0\0\0\0\0\0\xce"
            await asyncio.sleep(0.02)

    run(loop, test)


async def test_the_library_opens_its_connection_on_our_socket_and_reads_what_is_passed_on() -> None:
    """All that is taken from the library: its transport is opened by a factory, and it reads a stream of asyncio's."""

    gone = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(marshal(Connection.Start(server_properties={}, mechanisms="PLAIN"), 0))
        await reader.readexactly(7)
        writer.write(marshal(Connection.Close(403, "ACCESS_REFUSED", 0, 0), 0))
        await reader.read(-1)
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(refuse, "127.0.0.1")
    connection = SocketConnection(URL(f"amqp://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    with pytest.raises((exceptions.AMQPError, exceptions.AMQPException)):
        await connection.connect(timeout=5)
    assert isinstance(connection.socket, Socket)
    assert aiormq.TransportFactory in type(connection.kwargs["transport_factory"]).__mro__
    await asyncio.wait_for(gone.wait(), 10)
    server.close()
