"""Connections to RabbitMQ: how one is opened, what the library's errors mean, and how one is kept for good.

A connection is a session: when it breaks, everything in it is dropped and a new one is built. The library's own
restoring connection is not used: it did not always bring a consumer back.
"""

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Any, Final, Literal, NoReturn, TypeAlias, cast
from urllib.parse import urlsplit

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.abc import AbstractConnection as Transport
from aiormq.channel import Channel
from aiormq.exceptions import AMQPError, InvalidFrameError

from worker.broker.leniency import tolerate_hostile_properties
from worker.core.backoff import Backoff
from worker.errors import BrokerUnavailable, WorkerError
from worker.ports import Events
from worker.settings import BrokerSettings

#: A connection, for those who only pass it on.
Connection: TypeAlias = AbstractConnection
#: What a connection is for; the word in events and in the broker's list of connections.
Role: TypeAlias = Literal["consume", "publish", "operate"]
#: Lives on one connection until the connection is lost, which it tells by raising.
Session: TypeAlias = Callable[[AbstractConnection], Awaitable[None]]

#: What a broken connection was seen to raise; a closed channel or connection is a RuntimeError of the library.
LOST: Final = (AMQPError, OSError, TimeoutError, RuntimeError)

#: The longest pause between two tries to connect: a broker that comes back is found soon.
_LONGEST_PAUSE: Final = timedelta(seconds=15)
#: A goodbye that takes longer is not worth waiting for: the other end is gone. Seconds.
_GOODBYE_S: Final = 3.0


async def connect(settings: BrokerSettings, role: Role) -> AbstractConnection:
    """Open one connection.

    Raises:
        BrokerUnavailable: it cannot be reached, or refuses.
    """
    tolerate_hostile_properties()
    url = settings.url.get_secret_value()
    with translated(f"RabbitMQ at {place(url)}"):
        return await aio_pika.connect(
            url,
            timeout=settings.connect_timeout.total_seconds(),
            heartbeat=max(1, round(settings.heartbeat.total_seconds())),
            name=f"sms-worker {role} {platform.node()} {os.getpid()}",
        )


@asynccontextmanager
async def connected(settings: BrokerSettings, role: Role) -> AsyncIterator[AbstractConnection]:
    """Open one connection for the block; raises what `connect` raises."""
    connection = await connect(settings, role)
    try:
        yield connection
    finally:
        with suppress(*LOST):
            async with asyncio.timeout(_GOODBYE_S):
                await connection.close()


async def open_channel(connection: AbstractConnection, *, confirms: bool = False) -> Channel:
    """Open a channel; with *confirms* every publish is answered, and one that no queue takes raises.

    Channels are the lower library's: on them a consumed message costs half of the CPU, and nothing restores itself.

    Raises:
        BrokerUnavailable: the connection broke.
    """
    with translated("opening a channel"):
        channel = await transport_of(connection).channel(publisher_confirms=confirms, on_return_raises=True)
    return cast("Channel", channel)  # the interface leaves out what makes publishing cheap


def transport_of(connection: AbstractConnection) -> Transport:
    """The connection below *connection*; raises BrokerUnavailable when it is closed."""
    if connection.transport is None:
        raise BrokerUnavailable("the connection is closed")
    return connection.transport.connection


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when the first of *waits* does, and end the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def until_closed(*resources: Transport | AbstractChannel) -> None:
    """Wait until the first of *resources* is closed, by whomever; returns at once when one is."""
    closings = [resource.closing for resource in resources]
    try:
        await asyncio.wait(closings, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for closing in closings:
            closing.cancel()


def why_closed(*resources: Transport | AbstractChannel) -> str:
    """Why the first closed one of *resources* was closed, as far as the library knows."""
    for resource in resources:
        closing = resource.closing
        if closing.done() and not closing.cancelled():
            return sentence(closing.exception())
        closing.cancel()
    return "it was closed"


async def forever(
    session: Session, settings: BrokerSettings, role: Role, events: Events, dice: Callable[[], float]
) -> NoReturn:
    """Run *session* on one connection after the other, with a growing pause between, until cancelled."""
    loop = asyncio.get_running_loop()
    pauses = Backoff(first=settings.reconnect_pause, ceiling=max(_LONGEST_PAUSE, settings.reconnect_pause))
    failures, pause_s, good_s = 0, 0.0, 0.0
    while True:
        began = loop.time()
        try:
            async with connected(settings, role) as connection:
                version = transport_of(connection).server_properties.get("version")
                events.emit("broker.connected", role=role, version=str(version), duration_s=loop.time() - began)
                began = loop.time()
                try:
                    await session(connection)
                finally:
                    good_s = loop.time() - began
        except WorkerError as error:
            events.emit("broker.lost", role=role, kind=type(error).__name__, error=error)
        # What lasted longer than the pause before it was worth it: connect again at once. Else it is refused, or flaps.
        failures = 1 if good_s > pause_s else failures + 1
        pause_s, good_s = pauses.delay(failures, (1 + dice()) / 2).total_seconds(), 0.0
        await asyncio.sleep(pause_s)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise the library's errors as BrokerUnavailable, *doing* first in its text."""
    try:
        yield
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        raise BrokerUnavailable(f"{doing}: the connection broke") from None
    except LOST as error:
        raise BrokerUnavailable(f"{doing}: {sentence(error)}") from error


def is_cancelled() -> bool:
    """Whether the running task itself was asked to stop.

    A cut connection rejects what waits on it with CancelledError too; that must not look like a stop.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def sentence(error: BaseException | None) -> str:
    """Say *error* in words that hold no password: the library's text for a closed connection quotes its address."""
    match error:
        case None | asyncio.CancelledError():
            return "the connection broke"
        case TimeoutError():
            return "no answer in time"
        case InvalidFrameError():  # its text is the library's own objects; seen when the virtual host does not exist
            return "it ended the connection at once; does the virtual host exist, and may the user use it?"
        case AMQPError() | OSError():
            return str(error) or type(error).__name__
        case _:
            return "the connection is closed"


def place(url: str) -> str:
    """Host and port of *url*, which is all of it that may be shown."""
    parts: Any = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (5671 if parts.scheme == 'amqps' else 5672)}"
