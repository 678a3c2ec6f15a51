"""Takes the keys of a namespace away again: for namespaces that were made for a demo."""

from redis.exceptions import RedisError

from worker.errors import LimiterUnavailable
from worker.limiter.connection import connect, no_greeting
from worker.limiter.keys import Keys
from worker.settings import RedisSettings

#: Keys that are looked for, and deleted, at once.
_AT_ONCE = 1000


async def forget(redis: RedisSettings) -> None:
    """Delete every key of the namespace of *redis*: its limits begin anew.

    Raises:
        LimiterUnavailable: Redis cannot be reached or refuses; perhaps some keys are left.
    """
    client = connect(redis, no_greeting)
    try:
        cursor, is_done = 0, False
        while not is_done:
            cursor, keys = await client.scan(cursor, match=Keys(redis.namespace).pattern, count=_AT_ONCE)
            if keys:
                await client.unlink(*keys)
            is_done = cursor == 0
    except (RedisError, OSError) as error:
        raise LimiterUnavailable(f"Redis cannot be asked: {type(error).__name__}") from None
    finally:
        await client.aclose()
