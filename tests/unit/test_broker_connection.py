"""What the library's errors become, and what may be shown of them."""

import asyncio
import errno
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiormq.exceptions import AMQPConnectionError, ChannelInvalidStateError, ConnectionClosed

from tests.fakes import RecordingEvents
from worker.broker import connection
from worker.broker.connection import first_of, place, tell_lost, together, translated
from worker.errors import BrokerUnavailable, TopologyMismatch, Unroutable
from worker.settings.sections import BrokerSettings


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (AMQPConnectionError(errno.ECONNREFUSED, "Connect call failed"), "Connect call failed"),
        (TimeoutError(), "no answer in time"),
        (ConnectionClosed(320, "CONNECTION_FORCED"), "CONNECTION_FORCED"),
        (ChannelInvalidStateError("amqp://me:s3cret@host"), "the connection is closed"),
        (OSError(), "OSError"),
    ],
)
def test_an_error_of_the_library_is_translated_and_shows_no_address(error: Exception, text: str) -> None:
    with pytest.raises(BrokerUnavailable, match=f"asking: .*{text}") as raised, translated("asking"):
        raise error
    assert "s3cret" not in str(raised.value)


async def test_a_cut_connection_is_no_cancellation_though_the_library_says_so() -> None:
    with pytest.raises(BrokerUnavailable), translated("asking"):
        raise asyncio.CancelledError


async def test_a_cancellation_stays_one() -> None:
    async def ask() -> None:
        with translated("asking"):
            await asyncio.Event().wait()

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize(
    "error",
    [
        StopAsyncIteration(),
        StopIteration(),
        Exception(),
        KeyError("s3cret"),
        struct.error("s3cret"),
        ValueError("s3cret"),
    ],
)
async def test_whatever_the_library_raises_means_that_the_connection_is_lost(error: Exception) -> None:
    """Nobody can list what a library raises; two of these become RuntimeError in a generator."""

    @asynccontextmanager
    async def inside() -> AsyncIterator[None]:
        with translated("asking"):
            raise error
        yield

    with pytest.raises(BrokerUnavailable, match="asking: ") as raised:
        async with inside():
            pass
    assert raised.value.__cause__ is error
    assert "s3cret" not in str(raised.value)


async def test_errors_of_our_own_and_the_end_of_the_program_pass() -> None:
    for error in (TopologyMismatch("differs"), Unroutable("?"), KeyboardInterrupt(), SystemExit()):
        with pytest.raises(type(error)), translated("asking"):
            raise error


def test_a_usual_loss_is_a_warning_and_an_unheard_of_one_is_reported_by_its_cause() -> None:
    for cause in (ConnectionClosed(320, "x"), StopAsyncIteration(), OSError(), asyncio.CancelledError(), Exception()):
        events = RecordingEvents()
        error = BrokerUnavailable("?")
        error.__cause__ = cause
        tell_lost(events, "publish", error)
        assert events.told == [("broker.lost", {"role": "publish", "kind": type(cause).__name__, "error": error})]

    events, bug, error = RecordingEvents(), KeyError("a bug of ours"), BrokerUnavailable("?")
    error.__cause__ = bug
    tell_lost(events, "publish", error)
    assert events.named("broker.failed") == [{"role": "publish", "kind": "KeyError", "error": bug}]


def test_of_an_address_only_host_and_port_are_shown() -> None:
    assert place("amqp://me:s3cret@rabbit/vhost?name=x") == "rabbit:5672"
    assert place("amqps://me:s3cret@rabbit:1234/") == "rabbit:1234"
    assert place("amqps://rabbit") == "rabbit:5671"


@pytest.mark.parametrize(("lasts_s", "grows"), [(0.05, False), (0.0, True)], ids=["useful", "refused at once"])
async def test_pauses_grow_only_between_sessions_that_were_shorter_than_the_pause(
    monkeypatch: pytest.MonkeyPatch, lasts_s: float, grows: bool
) -> None:
    """A connection that is cut every few seconds is worth having at once, one that is never taken is not."""
    loop, pauses = asyncio.get_running_loop(), list[float]()
    enough, ended = asyncio.Event(), loop.time()

    @asynccontextmanager
    async def connected(*_: object) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(server_properties={})

    async def session(_: object) -> None:
        nonlocal ended
        pauses.append(loop.time() - ended)
        if len(pauses) == 7:
            enough.set()
        await asyncio.sleep(lasts_s)
        ended = loop.time()
        raise BrokerUnavailable("cut")

    monkeypatch.setattr(connection, "connected", connected)
    monkeypatch.setattr(connection, "transport_of", lambda of: of)
    settings = BrokerSettings(reconnect_pause=timedelta(milliseconds=10))
    running = asyncio.create_task(connection.forever(session, settings, "consume", RecordingEvents(), lambda: 1.0))
    await asyncio.wait_for(enough.wait(), 10)
    running.cancel()
    await asyncio.wait([running])

    assert (pauses[-1] > 0.2) is grows, pauses


class Transport:
    """A connection of which only the end matters."""

    def __init__(self) -> None:
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def closing(self) -> "asyncio.Future[None]":
        return self._closing if self._closing.done() else asyncio.ensure_future(asyncio.shield(self._closing))

    @property
    def is_closed(self) -> bool:
        return self._closing.done()

    def close(self, error: Exception) -> None:
        self._closing.set_exception(error)


async def lives() -> None:
    await asyncio.Event().wait()


async def returns() -> None:
    return


async def fails() -> None:
    raise KeyError


async def is_cancelled_by_the_library() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("part", [returns, fails, is_cancelled_by_the_library])
async def test_a_part_of_a_session_that_ends_by_itself_ends_the_session_and_is_named(
    part: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    transport: Any = Transport()
    async with asyncio.timeout(5):
        with pytest.raises(BrokerUnavailable, match=part.__name__) as raised:
            await together(transport, lives(), part())
    events = RecordingEvents()
    tell_lost(events, "consume", raised.value)
    assert [name for name, _ in events.told] == ["broker.lost", "broker.failed"]
    assert all(task is asyncio.current_task() or task.cancelling() for task in asyncio.all_tasks())


async def test_a_session_ends_with_its_connection_and_says_why() -> None:
    transport: Any = Transport()
    session = asyncio.create_task(together(transport, lives(), lives()))
    await asyncio.sleep(0)
    transport.close(ConnectionClosed(320, "CONNECTION_FORCED"))
    with pytest.raises(BrokerUnavailable, match="CONNECTION_FORCED"):
        await asyncio.wait_for(session, 5)


async def test_the_first_of_several_waits_is_enough_though_another_fails_later() -> None:
    async with asyncio.timeout(5):
        await first_of(returns(), lives())
        await first_of(fails(), lives())
