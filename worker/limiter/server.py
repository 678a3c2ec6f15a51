"""What is asked of the Redis server itself, beside the scripts: whether it can be relied upon, and to forget all."""

from typing import Final

from redis.asyncio import Redis

from worker.errors import LimiterUnavailable
from worker.limiter.border import translated
from worker.limiter.connection import connect, disconnect, no_greeting
from worker.limiter.keys import Keys
from worker.settings.sections import RedisSettings

#: The key is gone when no worker has been there for so long.
_KEPT_S: Final = 60
#: Nothing is deleted: when the memory is full, writes are refused, and that is noticed.
_SAFE: Final = "noeviction"
#: Keys that are looked for, and deleted, at once.
_AT_ONCE: Final = 1000


async def write_sign_of_life(client: Redis, keys: Keys) -> None:
    """Write a key that nobody reads.

    Raises:
        LimiterUnavailable: Redis cannot be reached or refuses.
    """
    with translated():
        taken = await client.set(keys.alive, b"", ex=_KEPT_S)
    if taken is not True:
        raise LimiterUnavailable("Redis answered what this version does not know")


async def eviction_policy(settings: RedisSettings) -> str | None:
    """The policy by which the server deletes keys when its memory is full; None when it deletes none.

    Limits that are gone let too much through, silently.

    It is read from INFO, which is allowed where CONFIG is not, as on most hosted servers. A server that does not tell
    is left in peace: None as well.
    """
    client = connect(settings, no_greeting)
    try:
        with translated():
            try:
                memory = await client.info("memory")
            finally:
                await disconnect(client)
            policy = str(memory.get("maxmemory_policy", _SAFE))
            return policy if policy != _SAFE and memory.get("maxmemory") else None
    except LimiterUnavailable:
        return None


async def forget(redis: RedisSettings) -> None:
    """Delete every key of the namespace of *redis*: its limits begin anew.

    Raises:
        LimiterUnavailable: Redis cannot be reached or refuses; perhaps some keys are left.
    """
    client = connect(redis, no_greeting)
    with translated():
        try:
            cursor, is_done = 0, False
            while not is_done:
                cursor, keys = await client.scan(cursor, match=Keys(redis.namespace).pattern, count=_AT_ONCE)
                if keys:
                    await client.unlink(*keys)
                is_done = cursor == 0
        finally:
            await disconnect(client)
