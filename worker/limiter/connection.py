"""Connections to Redis, as a limiter needs them: few, impatient, and never a repeat behind our back."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from worker.errors import LimiterUnavailable
from worker.limiter.border import translated
from worker.settings.address import REDIS, advice
from worker.settings.sections import RedisSettings

#: Connections for what is asked beside the scripts, which have one of their own.
_MOST: Final = 4

#: What is done on a new connection before anything else may use it.
Greeting = Callable[[AbstractConnection], Awaitable[None]]


async def no_greeting(connection: AbstractConnection) -> None:
    """For somebody who grants nothing: whether it answers at all."""
    await connection.send_command("PING", check_health=False)
    await connection.read_response()


def connect(settings: RedisSettings, greet: Greeting) -> Redis:
    """A client that has not connected yet.

    redis-py repeats a command ten times by default, also a script whose answer was late: a stalled Redis then books
    two slots for one call. Here a failure is a failure.
    """
    url = settings.url.get_secret_value()

    async def on_connect(connection: AbstractConnection) -> None:
        is_greeted = False
        try:
            with translated():
                await connection.on_connect_check_health(check_health=False)
                await greet(connection)
            is_greeted = True
        except LimiterUnavailable as error:
            raise LimiterUnavailable(f"{error}{advice(url, REDIS, str(error))}") from None
        finally:
            if not is_greeted:  # the library would keep it, and let others use it, unless the error is one of its own
                await connection.disconnect(nowait=True)

    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_MOST,
        timeout=settings.timeout.total_seconds(),
        socket_timeout=settings.timeout.total_seconds(),
        socket_connect_timeout=settings.connect_timeout.total_seconds(),
        retry=Retry(NoBackoff(), 0),
        redis_connect_func=on_connect,
        protocol=2,
        driver_info=None,  # CLIENT SETINFO, which tells only the library's name, would be one more right to give
    )
    return Redis.from_pool(pool)


def opener(client: Redis) -> Callable[[], Awaitable[AbstractConnection]]:
    """What opens a connection like those of *client*, greeted as they are, that belongs to who asked for it."""

    async def open_connection() -> AbstractConnection:
        connection: AbstractConnection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        with translated():
            await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    return open_connection


async def disconnect(client: Redis) -> None:
    """Close *client*; that the other end broke it off before is no error any more."""
    with suppress(LimiterUnavailable), translated():
        await client.aclose()
