"""Finds out whether Redis takes writes."""

from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.errors import LimiterUnavailable
from worker.limiter.keys import Keys

#: The key is gone when no worker has been there for so long.
_KEPT_S: Final = 60


async def write_sign_of_life(client: Redis, keys: Keys) -> None:
    """Write a key that nobody reads.

    Raises:
        LimiterUnavailable: Redis cannot be reached or refuses.
    """
    try:
        await client.set(keys.alive, b"", ex=_KEPT_S)
    except (RedisError, OSError) as error:
        raise LimiterUnavailable(f"Redis takes no writes: {type(error).__name__}") from None
