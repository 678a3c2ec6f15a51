"""Connections to Redis, as a limiter needs them: few, impatient, and never a repeat behind our back."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from worker.errors import LimiterUnavailable
from worker.limiter.batcher import LINES
from worker.settings import RedisSettings

#: What is done on a new connection before anything else may use it.
Greeting = Callable[[AbstractConnection], Awaitable[None]]


@contextmanager
def translated() -> Iterator[None]:
    """Raise the library's errors as LimiterUnavailable; a refusal's own text may quote somebody's key."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        raise LimiterUnavailable(f"Redis cannot be reached: {error}") from None
    except RedisError as error:
        raise LimiterUnavailable(f"Redis refuses: {type(error).__name__}") from None


async def no_greeting(_connection: AbstractConnection) -> None:
    """For somebody who grants nothing."""


def connect(settings: RedisSettings, greet: Greeting) -> Redis:
    """A client that has not connected yet.

    redis-py repeats a command ten times by default, also a script whose answer was late: a stalled Redis then books
    two slots for one call. Here a failure is a failure.
    """

    async def on_connect(connection: AbstractConnection) -> None:
        await connection.on_connect_check_health(check_health=False)
        await greet(connection)

    pool = BlockingConnectionPool.from_url(
        settings.url.get_secret_value(),
        max_connections=LINES,
        timeout=settings.timeout.total_seconds(),
        socket_timeout=settings.timeout.total_seconds(),
        socket_connect_timeout=settings.connect_timeout.total_seconds(),
        retry=Retry(NoBackoff(), 0),
        redis_connect_func=on_connect,
        protocol=2,
    )
    return Redis.from_pool(pool)
