"""Connections to RabbitMQ: how one is opened, what the library's errors mean, and how one is kept for good.

A connection is a session: when it breaks, everything in it is dropped and a new one is built. The library's own
restoring connection is not used: it did not always bring a consumer back.
"""

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Literal, NoReturn, TypeAlias, cast
from urllib.parse import urlsplit

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.abc import AbstractConnection as Transport
from aiormq.channel import Channel
from aiormq.exceptions import AMQPError, InvalidFrameError

from worker.broker.lenient_decoding import tolerate_hostile_properties
from worker.broker.retry import growing, until_it_works
from worker.broker.socket import SocketConnection
from worker.errors import BrokerUnavailable, WorkerError
from worker.ports import Events
from worker.settings.address import BROKER, advice
from worker.settings.sections import BrokerSettings

#: A connection, for those who only pass it on.
Connection: TypeAlias = SocketConnection
#: What a connection is for; the word in events and in the broker's list of connections.
Role: TypeAlias = Literal["consume", "publish", "operate"]
#: Lives on one connection until the connection is lost, which it tells by raising.
Session: TypeAlias = Callable[[SocketConnection], Awaitable[None]]

#: What a library that is used rightly raises when its connection breaks. Anything else is taken for a broken
#: connection too, for nobody can list what a library raises; but it may be a bug of ours, so it is told loudly.
USUAL: Final = (AMQPError, OSError, TimeoutError, RuntimeError, StopAsyncIteration, asyncio.CancelledError)

#: A goodbye that takes longer is not worth waiting for: the other end is gone. Seconds.
_GOODBYE_S: Final = 3.0
#: An answer that takes longer will not come: the other end does not do what it should. Seconds.
ANSWER_S: Final = 30.0


async def connect(settings: BrokerSettings, role: Role) -> SocketConnection:
    """Open one connection.

    Raises:
        BrokerUnavailable: it cannot be reached, or refuses.
    """
    tolerate_hostile_properties()
    url, timeout_s = settings.url.get_secret_value(), settings.connect_timeout.total_seconds()
    try:
        with translated(f"RabbitMQ at {place(url)}"):
            async with asyncio.timeout(timeout_s + _GOODBYE_S):  # the library's own bounds less than all of it
                connection = await aio_pika.connect(
                    url,
                    connection_class=SocketConnection,
                    timeout=timeout_s,
                    heartbeat=max(1, round(settings.heartbeat.total_seconds())),
                    name=f"sms-worker {role} {platform.node()} {os.getpid()}",
                )
            connection.socket.agree(transport_of(connection).connection_tune.frame_max)
            return connection
    except BrokerUnavailable as error:
        raise BrokerUnavailable(f"{error}{advice(url, BROKER, str(error))}") from error.__cause__


@asynccontextmanager
async def connected(settings: BrokerSettings, role: Role) -> AsyncIterator[SocketConnection]:
    """Open one connection for the block; raises what `connect` raises."""
    connection = await connect(settings, role)
    try:
        yield connection
    finally:
        with suppress(BrokerUnavailable), translated("closing"):
            connection.socket.flush()  # acknowledgements wait some milliseconds for others
            async with asyncio.timeout(_GOODBYE_S):
                await connection.close()


async def open_channel(connection: AbstractConnection, *, confirms: bool = False) -> Channel:
    """Open a channel; with *confirms* every publish is answered, and one that no queue takes raises.

    Channels are the lower library's: on them a consumed message costs half of the CPU, and nothing restores itself.

    Raises:
        BrokerUnavailable: the connection broke.
    """
    with translated("opening a channel"):
        async with asyncio.timeout(ANSWER_S):
            opened = await transport_of(connection).channel(publisher_confirms=confirms, on_return_raises=True)
    channel = cast("Channel", opened)  # the interface leaves out what makes publishing cheap
    # A channel that meets a frame which it cannot read says goodbye, and nobody is left to read the answer. The library
    # waits for that as long as a heartbeat, gives up after this, and if this is shorter the channel stays half closed.
    channel.CHANNEL_CLOSE_TIMEOUT = _heartbeat_s(channel) + _GOODBYE_S  # type: ignore[assignment]
    return channel


def _heartbeat_s(channel: Channel) -> float:
    return float(channel.connection.connection_tune.heartbeat or 0)


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
            task.add_done_callback(_hear)


async def together(transport: Transport, *parts: Coroutine[Any, Any, object]) -> NoReturn:
    """Run *parts* of a session until *transport* is closed or one of them ends, which none may; then end them all.

    Raises:
        BrokerUnavailable: why the connection was closed, or which part ended by itself; its error is the cause.
    """
    tasks = [asyncio.ensure_future(part) for part in parts]
    closed = asyncio.ensure_future(until_closed(transport))
    try:
        done, _ = await asyncio.wait((*tasks, closed), return_when=asyncio.FIRST_COMPLETED)
        if transport.is_closed:
            raise why_closed(transport)
        for task in done:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, WorkerError):
                raise error
            name = getattr(task.get_coro(), "__qualname__", task.get_name())
            raise BrokerUnavailable(f"a part of the session ended by itself: {name}") from (error or _Ended(name))
        raise BrokerUnavailable("the session ended by itself")
    finally:
        for task in (*tasks, closed):
            task.cancel()
            task.add_done_callback(_hear)


class _Ended(Exception):  # noqa: N818 - the cause that is told when a part of a session just returned, or was cancelled
    """A part of a session ended by itself."""


def _hear(task: "asyncio.Future[Any]") -> None:
    """Take the error of a task that nobody waits for any more, or asyncio complains."""
    if not task.cancelled():
        task.exception()


async def until_closed(*resources: Transport | AbstractChannel) -> None:
    """Wait until the first of *resources* is closed, by whomever; returns at once when one is."""
    closings = [resource.closing for resource in resources]
    try:
        await asyncio.wait(closings, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for closing in closings:
            closing.cancel()


def why_closed(*resources: Transport | AbstractChannel) -> BrokerUnavailable:
    """Why the first closed one of *resources* was closed, as far as the library knows; its error is the cause."""
    cause: BaseException | None = None
    for resource in resources:
        closing = resource.closing
        if closing.done():
            cause = asyncio.CancelledError() if closing.cancelled() else closing.exception()
            break
        closing.cancel()
    error = BrokerUnavailable(sentence(cause))
    error.__cause__ = cause
    return error


async def forever(
    session: Session, settings: BrokerSettings, role: Role, events: Events, dice: Callable[[], float]
) -> NoReturn:
    """Run *session* on one connection after the other, with a growing pause between, until cancelled."""
    loop = asyncio.get_running_loop()
    pause, failures, pause_s, good_s = growing(settings.reconnect_pause, dice), 0, 0.0, 0.0

    async def live() -> NoReturn:
        nonlocal good_s
        began, good_s = loop.time(), 0.0
        with translated(f"the connection to {role}"):
            async with connected(settings, role) as connection:
                version = transport_of(connection).server_properties.get("version")
                events.emit("broker.connected", role=role, version=str(version), duration_s=loop.time() - began)
                began = loop.time()
                try:
                    await session(connection)
                finally:
                    good_s = loop.time() - began
        raise BrokerUnavailable("the session ended by itself")

    def wait(_: int) -> float:
        # What lasted longer than the pause before it was worth it: connect again at once. Else it is refused, or flaps.
        nonlocal failures, pause_s
        failures = 1 if good_s > pause_s else failures + 1
        pause_s = pause(failures)
        return pause_s

    await until_it_works(live, on=(WorkerError,), wait=wait, tell=lambda error: tell_lost(events, role, error))
    raise AssertionError("unreachable")  # a session only ends by an error


def tell_lost(events: Events, role: Role, error: WorkerError) -> None:
    """Tell that a connection or a channel was lost by *error*, loudly when its cause is none that a loss has."""
    cause = error.__cause__
    kind = type(error if cause is None else cause).__name__
    events.emit("broker.lost", role=role, kind=kind, error=error)
    if cause is not None and not isinstance(cause, (*USUAL, WorkerError)) and type(cause) is not Exception:
        events.emit("broker.failed", role=role, kind=kind, error=cause)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise whatever the library raises as BrokerUnavailable, *doing* first in its text and the error as its cause.

    Only errors of our own and a cancellation that was really asked for pass.
    """
    try:
        yield
    except asyncio.CancelledError as thrown:
        if is_cancelled():
            raise
        raise BrokerUnavailable(f"{doing}: the connection broke") from thrown
    except WorkerError:
        raise
    except Exception as error:
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
            text = "the connection broke"
        case TimeoutError():
            text = "no answer in time"
        case StopAsyncIteration():
            text = "it closed the connection at once"
        case InvalidFrameError():  # its text is the library's own objects; seen when the virtual host does not exist
            text = "it ended the connection at once; does the virtual host exist, and may the user use it?"
        case AMQPError() | OSError():
            text = str(error) or type(error).__name__
        case RuntimeError():
            text = "the connection is closed"
        case _:  # no text of its own: that may quote anything
            text = f"the connection cannot be used ({type(error).__name__})"
    return text


def place(url: str) -> str:
    """Host and port of *url*, which is all of it that may be shown."""
    parts: Any = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (5671 if parts.scheme == 'amqps' else 5672)}"
