"""The connections below the client: what peers do to them, and when they are used again."""

import asyncio
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.certificates import Authority
from tests.fakes import RecordingEvents
from tests.scripted_server import (
    BODY,
    OK,
    REQUEST,
    SHORT,
    SILENCE,
    Answer,
    NewLoop,
    ScriptedServer,
    answer_of,
    exchange,
    http,
    on_both_loops,
    resets,
    run,
    says,
    says_and_closes,
    scripted_server,
    settings,
)
from worker.core.outcome.outcome import Fault, Reply
from worker.provider.client import Client
from worker.provider.http.pool import Pool
from worker.provider.replies import MOST_BATCH_BYTES

GOOD = Reply(200, "OK", request_id="R-1", message_id="1008", segments=1)
WHOLE = http("200 OK", BODY)


def says_slowly(*parts: bytes) -> Answer:
    """One packet for each part, as far as that can be arranged."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.002)

    return answer


def says_and_resets(part: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.05)  # an RST overtakes what was not read yet
        await resets(writer)

    return answer


async def says_no_more(writer: asyncio.StreamWriter) -> None:
    """Half of the connection is closed, the other is still read."""
    writer.write(WHOLE)
    writer.write_eof()


async def answers_after(pause_s: float, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(pause_s)
    writer.write(WHOLE)


async def never_ends(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-More: of the same\r\n" * 100)
        await writer.drain()


# -- one call ----------------------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (says_slowly(*(WHOLE[place : place + 1] for place in range(len(WHOLE)))), GOOD),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n", WHOLE), GOOD),
        (says_slowly(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", WHOLE), GOOD),
        (says_no_more, GOOD),
        (says_and_closes(WHOLE), GOOD),
        (says(WHOLE, WHOLE), GOOD),
        (says(WHOLE, b"\0garbage"), GOOD),
        (says_and_resets(b"H"), Fault.CONNECTION_CUT),
        (never_ends, Fault.CONNECTION_CUT),
        (says(http("200 OK", BODY).replace(b"Content-Length: ", b"Content-Length: 1")), Fault.TIMEOUT),
        (says(http("200 OK", BODY[:-1]) + b"}"), Reply(200)),
        (says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), Fault.CONNECTION_CUT),
    ],
)
def test_an_answer_is_a_reply_only_when_it_is_whole(new_loop: NewLoop, answer: Answer, expected: Reply | Fault) -> None:
    limits: dict[str, Any] = {"read_timeout": SHORT} if expected is Fault.TIMEOUT else {}

    reply, calls = run(new_loop, exchange(answer, **limits))

    assert reply == expected
    assert len(calls) == 1


@on_both_loops
def test_a_timeout_is_as_long_as_it_should_be(new_loop: NewLoop) -> None:
    async def scene() -> float:
        async with (
            scripted_server(lambda writer: answers_after(0.1, writer), SILENCE) as provider,
            Client(
                settings(f"http://127.0.0.1:{provider.port}", read_timeout=timedelta(seconds=0.4)), RecordingEvents()
            ) as client,
        ):
            assert await client.send(REQUEST, 300) == GOOD  # its timer is still there
            began = monotonic()
            assert await client.send(REQUEST, 300) is Fault.TIMEOUT
            return monotonic() - began

    assert run(new_loop, scene()) >= 0.4


@on_both_loops
def test_an_answer_that_came_while_the_event_loop_was_busy_is_no_timeout(new_loop: NewLoop) -> None:
    """Otherwise a worker that stood still for a while would make unknown whatever was answered meanwhile."""

    is_busy = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            is_busy.wait()
            connection.sendall(WHOLE)
            connection.recv(1)

    def be_busy() -> None:
        is_busy.set()
        time.sleep(3 * SHORT.total_seconds())

    async def scene(port: int) -> Reply | Fault:
        asyncio.get_running_loop().call_later(SHORT.total_seconds() / 2, be_busy)
        return await answer_of(port, read_timeout=SHORT, connect_timeout=SHORT)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = threading.Thread(target=serve, args=(listener,))
        peer.start()
        assert run(new_loop, scene(listener.getsockname()[1])) == GOOD
        peer.join()


# -- the handshake -----------------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize("after", [0, 1, 5, 100, 200])
def test_a_peer_that_closes_in_the_handshake_is_not_reached(new_loop: NewLoop, after: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(after)
        writer.close()

    async def call() -> Reply | Fault:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            return await answer_of(server.sockets[0].getsockname()[1], "https")

    assert run(new_loop, call()) is Fault.NOT_REACHED


@pytest.fixture
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Of a server whose authority this machine believes."""
    authority = Authority(tmp_path, "ours")
    pair = authority.sign("server", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "expected", "connections"),
    [
        (OK, GOOD, 1),
        (says_slowly(*(WHOLE[place : place + 1] for place in range(len(WHOLE)))), GOOD, 1),
        (says_and_closes(WHOLE), GOOD, 3),
        (says(WHOLE, WHOLE), GOOD, 3),
        (says_and_closes(b"HTTP/1.1 200 OK\r\n\r\n" + BODY), GOOD, 3),
        (says_and_closes(WHOLE[:-1]), Fault.CONNECTION_CUT, 3),
        (resets, Fault.CONNECTION_CUT, 3),
    ],
)
def test_over_tls_it_is_the_same(
    new_loop: NewLoop, contexts: ssl.SSLContext, answer: Answer, expected: Reply | Fault, connections: int
) -> None:
    async def scene() -> tuple[list[Reply | Fault], int]:
        async with (
            scripted_server(answer, tls=contexts) as provider,
            Client(settings(f"https://127.0.0.1:{provider.port}"), RecordingEvents()) as client,
        ):
            return [await client.send(REQUEST, 300) for _ in range(3)], provider.connections

    assert run(new_loop, scene()) == ([expected] * 3, connections)


@on_both_loops
def test_a_handshake_that_is_given_up_leaves_nothing_behind(new_loop: NewLoop, contexts: ssl.SSLContext) -> None:
    """The next call, when the peer has come to itself, is made on a connection of its own."""

    async def scene() -> list[Reply | Fault]:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            port = deaf.getsockname()[1]
            client = Client(
                settings(f"https://127.0.0.1:{port}", connect_timeout=timedelta(seconds=1)), RecordingEvents()
            )
            await client.start()
            answers = [await client.send(REQUEST, 300)]
        async with await asyncio.start_server(ScriptedServer([OK]).serve, "127.0.0.1", port, ssl=contexts):
            answers.append(await client.send(REQUEST, 300))
            await client.aclose()
        return answers

    assert run(new_loop, scene()) == [Fault.NOT_REACHED, GOOD]


# -- the next call -----------------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize(
    "first",
    [
        says(WHOLE, WHOLE),
        says(WHOLE, b"HTTP"),
        says(http("200 OK", BODY, "Connection: close")),
        says(WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0")),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b" " * (MOST_BATCH_BYTES + 1)),
    ],
)
def test_after_an_answer_that_leaves_a_doubt_the_next_call_has_another_connection(
    new_loop: NewLoop, first: Answer
) -> None:
    async def scene() -> tuple[list[Reply | Fault], int, int]:
        async with (
            scripted_server(first, OK) as provider,
            Client(settings(f"http://127.0.0.1:{provider.port}"), RecordingEvents()) as client,
        ):
            answers = [await client.send(REQUEST, 300) for _ in range(2)]
            return answers, provider.connections, len(provider.calls)

    answers, connections, calls = run(new_loop, scene())

    assert isinstance(answers[0], Reply)
    assert answers[1] == GOOD
    assert (connections, calls) == (2, 2)


@asynccontextmanager
async def counted_peer(
    serve: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[tuple[str, Counter[str]]]:
    """Its address, and how often each nonce came."""
    nonces: Counter[str] = Counter()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                nonces[head.partition(b"x-acs-signature-nonce: ")[2].partition(b"\r\n")[0].decode()] += 1
                await serve(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(served, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", nonces


@on_both_loops
def test_a_connection_that_the_peer_closes_just_when_it_is_used_again_costs_no_call_twice(new_loop: NewLoop) -> None:
    """Each call arrives once at the most; those that did not arrive may be unknown, but none is called a success."""

    async def scene() -> None:
        nonces = iter(range(10_000))

        async def closes_soon(writer: asyncio.StreamWriter) -> None:
            writer.write(WHOLE)
            asyncio.get_running_loop().call_soon(writer.close)

        async with counted_peer(closes_soon) as (url, arrived):
            client = Client(settings(url), RecordingEvents(), nonce=lambda: f"n{next(nonces)}")
            async with client:
                answers = Counter([await client.send(REQUEST, 300) for _ in range(500)])
        assert set(answers) <= {GOOD, Fault.CONNECTION_CUT}
        assert set(arrived.values()) == {1}
        assert answers[GOOD] <= len(arrived)
        assert answers[GOOD] > 100

    run(new_loop, scene())


@on_both_loops
def test_what_comes_unasked_on_an_idle_connection_ends_it(new_loop: NewLoop) -> None:
    """It would be taken for the answer to the next call."""

    async def scene() -> tuple[list[Reply | Fault], int]:
        unasked = asyncio.Event()

        async def answers_again(writer: asyncio.StreamWriter) -> None:
            writer.write(WHOLE)

            async def later() -> None:
                await unasked.wait()
                writer.write(http("200 OK", b'{"ResponseCode":"OK","MessageId":"another"}'))

            again.append(asyncio.create_task(later()))

        again: list[asyncio.Task[None]] = []
        async with (
            scripted_server(answers_again, OK) as provider,
            Client(settings(f"http://127.0.0.1:{provider.port}"), RecordingEvents()) as client,
        ):
            answers = [await client.send(REQUEST, 300)]
            unasked.set()
            await provider.closed.wait()
            answers.append(await client.send(REQUEST, 300))
            await asyncio.gather(*again)
            return answers, provider.connections

    assert run(new_loop, scene()) == ([GOOD, GOOD], 2)


@on_both_loops
def test_an_idle_connection_is_closed_when_its_time_is_over(new_loop: NewLoop) -> None:
    async def scene() -> float:
        async with (
            scripted_server(OK) as provider,
            Client(settings(f"http://127.0.0.1:{provider.port}", keepalive=2 * SHORT), RecordingEvents()) as client,
        ):
            await client.send(REQUEST, 300)
            began = monotonic()
            async with asyncio.timeout(5):
                await provider.closed.wait()
            return monotonic() - began

    assert run(new_loop, scene()) > 0.1


@on_both_loops
def test_calls_beyond_the_limit_wait_for_a_place_and_no_longer_than_for_a_connection(new_loop: NewLoop) -> None:
    async def scene() -> tuple[Counter[Reply | Fault], int]:
        async with (
            scripted_server(SILENCE) as provider,
            Client(
                settings(
                    f"http://127.0.0.1:{provider.port}", concurrency=2, connect_timeout=SHORT, read_timeout=5 * SHORT
                ),
                RecordingEvents(),
            ) as client,
        ):
            answers = await asyncio.gather(*(client.send(REQUEST, 300) for _ in range(5)))
            return Counter(answers), provider.connections

    assert run(new_loop, scene()) == ({Fault.TIMEOUT: 2, Fault.NOT_REACHED: 3}, 2)


@on_both_loops
def test_a_place_is_free_again_after_whatever_ended_a_call(new_loop: NewLoop) -> None:
    async def scene() -> list[Reply | Fault]:
        async with (
            scripted_server(SILENCE, SILENCE, resets, says(b"\0"), OK) as provider,
            Client(
                settings(f"http://127.0.0.1:{provider.port}", concurrency=1, read_timeout=2 * SHORT), RecordingEvents()
            ) as client,
        ):
            call = asyncio.create_task(client.send(REQUEST, 300))
            await provider.called.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            return [await client.send(REQUEST, 300) for _ in range(4)]

    cut = Fault.CONNECTION_CUT
    assert run(new_loop, scene()) == [Fault.TIMEOUT, cut, cut, GOOD]


@on_both_loops
def test_many_calls_at_once_share_as_many_connections_as_are_allowed(new_loop: NewLoop) -> None:
    async def scene() -> tuple[set[Reply | Fault], int]:
        async with (
            scripted_server(lambda writer: answers_after(0.01, writer)) as provider,
            Client(settings(f"http://127.0.0.1:{provider.port}", concurrency=7), RecordingEvents()) as client,
        ):
            return set(await asyncio.gather(*(client.send(REQUEST, 300) for _ in range(100)))), provider.connections

    answers, connections = run(new_loop, scene())

    assert answers == {GOOD}
    assert 1 < connections <= 7


@on_both_loops
def test_closing_ends_the_calls_in_flight(new_loop: NewLoop) -> None:
    async def scene() -> Reply | Fault:
        async with scripted_server(SILENCE) as provider:
            client = Client(settings(f"http://127.0.0.1:{provider.port}"), RecordingEvents())
            await client.start()
            call = asyncio.create_task(client.send(REQUEST, 300))
            await provider.called.wait()
            await client.aclose()
            return await call

    assert run(new_loop, scene()) is Fault.CONNECTION_CUT


# -- names -------------------------------------------------------------------------------------------------------------


async def test_a_name_is_looked_up_once_for_many_connections_and_again_when_nobody_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    lookups = []
    getaddrinfo = loop.getaddrinfo

    async def counted(host: Any, *args: Any, **kwargs: Any) -> Any:
        lookups.append(host)
        return await getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(loop, "getaddrinfo", counted)
    async with (
        scripted_server(says(http("200 OK", BODY, "Connection: close"))) as provider,
        Client(settings(f"http://localhost:{provider.port}"), RecordingEvents()) as client,
    ):
        for _ in range(3):
            assert set(await asyncio.gather(*(client.send(REQUEST, 300) for _ in range(5)))) == {GOOD}
        assert lookups == ["localhost"]
        monkeypatch.setattr(Pool, "_connect", refused(Pool._connect))
        assert await client.send(REQUEST, 300) is Fault.NOT_REACHED
        monkeypatch.undo()
        monkeypatch.setattr(loop, "getaddrinfo", counted)
        assert await client.send(REQUEST, 300) == GOOD
    assert lookups == ["localhost"] * 2


def refused(connect: Callable[[Pool], Awaitable[Any]]) -> Callable[[Pool], Awaitable[Any]]:
    async def refusing(_: Pool) -> Any:
        raise ConnectionRefusedError

    return refusing
