"""What the library's errors become, and what may be shown of them."""

import asyncio
import errno

import pytest
from aiormq.exceptions import AMQPConnectionError, ChannelInvalidStateError, ConnectionClosed

from worker.broker.connection import place, translated
from worker.errors import BrokerUnavailable


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
