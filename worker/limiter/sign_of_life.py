"""Finds out whether Redis takes writes."""

from typing import Final

from redis.asyncio import Redis

from worker.errors import LimiterUnavailable
from worker.limiter.border import translated
from worker.limiter.keys import Keys

#: The key is gone when no worker has been there for so long.
_KEPT_S: Final = 60


async def write_sign_of_life(client: Redis, keys: Keys) -> None:
    """Write a key that nobody reads.

    Raises:
        LimiterUnavailable: Redis cannot be reached or refuses.
    """
    with translated():
        taken = await client.set(keys.alive, b"", ex=_KEPT_S)
    if taken is not True:
        raise LimiterUnavailable("Redis answered what this version does not know")
