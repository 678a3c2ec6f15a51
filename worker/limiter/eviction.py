"""Asks Redis whether it may throw away what it remembers: limits that are gone let too much through, silently."""

from typing import Final

from redis.exceptions import RedisError

from worker.limiter.connection import connect, no_greeting
from worker.settings import RedisSettings

#: Nothing is deleted: when the memory is full, writes are refused, and that is noticed.
_SAFE: Final = "noeviction"


async def eviction_policy(settings: RedisSettings) -> str | None:
    """The policy by which the server deletes keys when its memory is full; None when it deletes none.

    It is read from INFO, which is allowed where CONFIG is not, as on most hosted servers. A server that does not tell
    is left in peace: None as well.
    """
    client = connect(settings, no_greeting)
    try:
        memory = await client.info("memory")
    except (RedisError, OSError):
        return None
    finally:
        await client.aclose()
    policy = str(memory.get("maxmemory_policy", _SAFE))
    return policy if policy != _SAFE and memory.get("maxmemory") else None
