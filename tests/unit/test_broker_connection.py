"""What the library's errors become, and what may be shown of them."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
from aiormq.exceptions import AMQPConnectionError, ChannelInvalidStateError, ConnectionClosed

from tests.fakes import RecordingEvents
from worker.broker import connection
from worker.broker.connection import place, translated
from worker.errors import BrokerUnavailable
from worker.settings import BrokerSettings


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


def test_a_bug_is_not_translated() -> None:
    with pytest.raises(KeyError), translated("asking"):
        raise KeyError


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
