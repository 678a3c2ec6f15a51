"""Scripts travel together over one connection; each asker gets its own reply, or LimiterUnavailable, and none twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio.connection import AbstractConnection

from tests.wire import Connection, Wire
from worker.errors import LimiterUnavailable
from worker.limiter.batcher import Batcher
from worker.limiter.scripts import CLOSE, HELD, Script

#: Never over in these tests, and soon over.
PATIENT_S, SHORT_S = 60, 0.05
MISSING = b"-NOSCRIPT No matching script.\r\n"


class Server:
    """Opens connections to the test."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.wires: list[Wire] = []
        #: Whether connections are opened.
        self.lets_in = asyncio.Event()
        self.lets_in.set()
        #: Why none is.
        self.refuses: str | None = None
        self.has_said = False

    async def connect(self) -> AbstractConnection:
        await self.lets_in.wait()
        if self.refuses:
            raise LimiterUnavailable(self.refuses)
        self.wires.append(Wire())
        self.connections.append(Connection(self.wires[-1], has_said=self.has_said))
        return self.connections[-1]  # type: ignore[return-value]

    @property
    def wire(self) -> Wire:
        """The latest."""
        return self.wires[-1]


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def batcher(server: Server) -> AsyncIterator[Batcher]:
    """One that has connected."""
    batcher = Batcher(server.connect, PATIENT_S)
    first = ask(batcher, 0)
    await turn(5)
    server.wire.say(b":0\r\n")
    assert await first == 0
    server.wire.writes.clear()
    yield batcher
    assert not batcher._under_way
    assert not batcher._waiting


def ask(batcher: Batcher, number: int, script: Script = HELD) -> "asyncio.Task[Any]":
    return asyncio.ensure_future(batcher.run(script, [b"key"], [number]))


async def turn(times: int = 2) -> None:
    """Let what is ready run."""
    for _ in range(times):
        await asyncio.sleep(0)


async def outcomes(asks: "list[asyncio.Task[Any]]") -> list[Any]:
    """What became of all *asks*: replies, and the words of failures."""
    replies = await asyncio.gather(*asks, return_exceptions=True)
    for reply in replies:
        assert not isinstance(reply, Exception) or isinstance(reply, LimiterUnavailable)
    return [str(reply) if isinstance(reply, BaseException) else reply for reply in replies]


def numbers(write: list[list[bytes]]) -> list[int]:
    """Who asked in *write*."""
    return [int(words[-1]) for words in write if words[0] == b"EVALSHA"]


async def test_what_is_asked_in_one_turn_is_one_write_and_each_gets_its_reply(server: Server, batcher: Batcher) -> None:
    asks = [ask(batcher, number) for number in range(5)]
    await turn()
    server.wire.say(b":10\r\n:11\r\n:12\r\n:13\r\n:14\r\n")

    assert await outcomes(asks) == [10, 11, 12, 13, 14]
    assert [numbers(write) for write in server.wire.writes] == [[0, 1, 2, 3, 4]]
    assert len(server.wires) == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.lists(st.integers(1, 12), max_size=30))
def test_however_the_replies_are_cut_each_is_its_askers(writes: list[int], cuts: list[int]) -> None:
    async def scene() -> None:
        server = Server()
        batcher = Batcher(server.connect, PATIENT_S)
        asks: list[asyncio.Task[Any]] = []
        for count in writes:
            asks += [ask(batcher, len(asks) + number) for number in range(count)]
            await turn(5)
        stream = b"".join(b"*2\r\n:%d\r\n$3\r\nabc\r\n" % number for number in range(len(asks)))
        for cut in [*cuts, len(stream)]:
            server.wire.say(stream[:cut])
            stream = stream[cut:]
            await turn()
        assert await outcomes(asks) == [[number, b"abc"] for number in range(len(asks))]

    asyncio.run(scene())


async def test_an_error_in_the_middle_is_its_askers_alone(server: Server, batcher: Batcher) -> None:
    asks = [ask(batcher, number) for number in range(3)]
    await turn()
    server.wire.say(b":10\r\n-WRONGTYPE of {sms}:1:m:85251234567\r\n:12\r\n")

    assert await outcomes(asks) == [10, "Redis refuses: WRONGTYPE", 12]
    assert not batcher.available
    assert len(server.wires) == 1


async def test_an_error_that_speaks_of_the_connection_ends_it(server: Server, batcher: Batcher) -> None:
    asks = [ask(batcher, number) for number in range(3)]
    await turn()
    server.wire.say(b":10\r\n-LOADING Redis is loading the dataset in memory\r\n:12\r\n")

    assert set(await outcomes(asks)) == {"Redis cannot be reached: Redis is loading the dataset in memory"}
    assert server.wire.is_closing()


async def test_what_redis_says_unasked_is_nobodys_reply(server: Server, batcher: Batcher) -> None:
    asks = [ask(batcher, number) for number in range(2)]
    await turn()
    server.wire.say(b">1\r\n+hello\r\n:10\r\n>1\r\n+hello\r\n:11\r\n>1\r\n+hello\r\n")

    assert await outcomes(asks) == [10, 11]


async def test_a_reply_too_many_ends_the_connection(server: Server, batcher: Batcher) -> None:
    """From there on nobody knows which is whose."""
    asks = [ask(batcher, number) for number in range(2)]
    await turn()
    server.wire.say(b":10\r\n:11\r\n:12\r\n")
    later = ask(batcher, 2)
    await turn(5)
    server.wire.say(b":13\r\n")

    assert await outcomes([*asks, later]) == [10, 11, 13]
    assert len(server.wires) == 2
    assert server.wires[0].is_closing()


async def test_noise_fails_all_and_the_next_goes_over_a_new_connection(server: Server, batcher: Batcher) -> None:
    asks = [ask(batcher, number) for number in range(2)]
    await turn()
    server.wire.say(b"HTTP/1.1 400 Bad Request\r\n")

    assert set(await outcomes(asks)) == {"Redis refuses: InvalidResponse"}
    assert not batcher.available
    again = ask(batcher, 2)
    await turn(5)
    server.wire.say(b":12\r\n")
    assert await again == 12
    assert batcher.available
    assert server.connections[0].is_closed


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, "Redis cannot be reached: the other end closed the connection"),
        (ConnectionResetError(104, "reset by peer"), "Redis cannot be reached: [Errno 104] reset by peer"),
    ],
)
async def test_a_connection_cut_in_the_middle_fails_the_whole_write_and_nothing_is_asked_again(
    server: Server, batcher: Batcher, error: Exception | None, told: str
) -> None:
    asks = [ask(batcher, number) for number in range(3)]
    await turn()
    server.wire.say(b":10\r\n:1")
    server.wire.break_off(error)

    assert await outcomes(asks) == [told] * 3
    await turn(5)
    assert len(server.wires) == 1
    assert not batcher.available


async def test_a_write_that_fails_is_a_connection_that_broke(server: Server, batcher: Batcher) -> None:
    server.wire.fails = RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    assert await outcomes([ask(batcher, 1), ask(batcher, 2)]) == [
        "Redis cannot be reached: the connection broke (RuntimeError)"
    ] * 2  # fmt: skip


async def test_a_connection_that_ended_while_nobody_asked_costs_nobody_anything(
    server: Server, batcher: Batcher
) -> None:
    server.wire.break_off(ConnectionResetError(104, "reset by peer"))
    soon = ask(batcher, 1)  # before the limiter was told of the end
    await turn(5)
    server.wire.say(b":11\r\n")

    assert await soon == 11
    assert numbers(server.wire.writes[0]) == [1]
    assert len(server.wires) == 2
    assert server.connections[0].is_closed


async def test_who_opened_the_connection_hears_of_its_end(server: Server, batcher: Batcher) -> None:
    """Else closing would wait for it."""
    server.wire.break_off(None)
    await turn()

    assert server.wire.before.ends == [None]


async def test_a_redis_that_does_not_answer_in_time_fails_all_who_wait_at_once(server: Server) -> None:
    batcher = Batcher(server.connect, SHORT_S)
    loop = asyncio.get_running_loop()
    began, asks = loop.time(), []
    for number in range(10):  # of which some are not written any more
        asks.append(ask(batcher, number))
        await turn(5)
    server.wire.say(b":1")

    assert await outcomes(asks) == ["Redis cannot be reached: it did not answer within 0.05 s"] * 10
    assert loop.time() - began < SHORT_S * 5
    assert sum(len(write) for write in server.wire.writes) < 10
    assert server.wire.is_closing()


async def test_replies_that_come_in_time_push_the_end_away(server: Server) -> None:
    batcher = Batcher(server.connect, SHORT_S)
    loop = asyncio.get_running_loop()
    began, number = loop.time(), 0
    while loop.time() - began < SHORT_S * 4:
        asked = ask(batcher, number)
        await turn(5)
        await asyncio.sleep(SHORT_S / 5)
        server.wire.say(b":%d\r\n" % number)
        assert await asked == number
        number += 1

    assert len(server.wires) == 1


async def test_few_writes_are_under_way_and_the_rest_travels_together(server: Server, batcher: Batcher) -> None:
    asks = []
    for number in range(20):
        asks.append(ask(batcher, number))
        await turn()
    most = len(server.wire.writes)
    for number in range(20):
        server.wire.say(b":%d\r\n" % number)
        await turn()

    assert await outcomes(asks) == list(range(20))
    assert most < 10
    assert [number for write in server.wire.writes for number in numbers(write)] == list(range(20))
    assert len(server.wire.writes) == most + 1


async def test_who_gives_up_leaves_the_others_their_replies(server: Server, batcher: Batcher) -> None:
    asks = [ask(batcher, number) for number in range(4)]
    asks[0].cancel()  # never asked
    await turn()
    asks[2].cancel()  # asked, and its reply comes
    await turn()
    server.wire.say(b":11\r\n:12\r\n:13\r\n")

    assert await asks[1] == 11
    assert await asks[3] == 13
    assert asks[0].cancelled()
    assert asks[2].cancelled()


async def test_scripts_that_redis_does_not_know_are_loaded_and_run_once(server: Server, batcher: Batcher) -> None:
    asks = [ask(batcher, 0), ask(batcher, 1, CLOSE), ask(batcher, 2)]
    await turn()
    server.wire.say(MISSING + b":11\r\n" + MISSING)
    await turn()
    server.wire.say(b"$40\r\n" + HELD.sha.encode() + b"\r\n:10\r\n:12\r\n")

    assert await outcomes(asks) == [10, 11, 12]
    first, second = server.wire.writes
    assert numbers(first) == [0, 1, 2]
    assert second[0] == [b"SCRIPT", b"LOAD", HELD.text.encode()]
    assert numbers(second[1:]) == [0, 2]
    assert batcher.available


async def test_a_script_that_stays_unknown_is_given_up(server: Server, batcher: Batcher) -> None:
    asks = [ask(batcher, 0), ask(batcher, 1)]
    await turn()
    server.wire.say(MISSING * 2)
    await turn()
    server.wire.say(b"-NOPERM User sms has no permissions to run the 'script|load' command\r\n" + MISSING * 2)

    for told in await outcomes(asks):
        assert "to run SCRIPT|LOAD" in told
    assert len(server.wire.writes) == 2


async def test_a_connection_that_ends_before_a_script_is_loaded_fails_who_asked(
    server: Server, batcher: Batcher
) -> None:
    asked = ask(batcher, 0)
    await turn()
    server.wire.say(MISSING + b":5\r\n")

    assert await outcomes([asked]) == ["Redis refuses: InvalidResponse"]


async def test_all_who_wait_for_a_connection_share_its_failure(server: Server) -> None:
    server.lets_in.clear()
    server.refuses = "Redis cannot be reached: no route"
    batcher = Batcher(server.connect, PATIENT_S)
    asks = [ask(batcher, 0)]
    await turn(5)
    asks.append(ask(batcher, 1))
    await turn(5)
    server.lets_in.set()

    assert await outcomes(asks) == ["Redis cannot be reached: no route"] * 2
    assert not batcher.available
    server.refuses = None
    again = ask(batcher, 2)
    await turn(5)
    server.wire.say(b":12\r\n")
    assert await again == 12


async def test_a_connection_that_says_what_nobody_asked_for_is_not_taken(server: Server) -> None:
    batcher = Batcher(server.connect, PATIENT_S)
    server.has_said = True

    assert await outcomes([ask(batcher, 0)]) == [
        "Redis cannot be reached: the connection broke as soon as it was there"
    ]
    await batcher.aclose()
    assert server.connections[0].is_closed


async def test_closing_waits_for_what_is_asked(server: Server, batcher: Batcher) -> None:
    asked = ask(batcher, 0)
    await turn()
    closing = asyncio.ensure_future(batcher.aclose())
    await turn(5)
    assert not closing.done()
    server.wire.say(b":10\r\n")
    await closing

    assert await asked == 10
    assert server.connections[0].is_closed
