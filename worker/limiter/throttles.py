"""How often the provider refused calls lately because of its limit, as throttled.lua counts it."""

from collections.abc import Mapping
from typing import Final

from redis.asyncio import Redis

from worker.core.limits.quota import Operation
from worker.limiter.border import translated, understood
from worker.limiter.keys import Keys

#: Calls that were refused in so many seconds are counted; as throttled.lua has it.
COUNTED_S: Final = 60


async def recent_throttles(client: Redis, keys: Keys, operation: Operation) -> int:
    """Calls of *operation* that were refused in the last `COUNTED_S` seconds, of all workers.

    Raises:
        LimiterUnavailable: Redis cannot be reached or refuses.
    """
    with translated():
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(keys.throttles(operation).decode())
            pipeline.time()
            counted, (now_s, _) = await pipeline.execute()
    with understood:
        return lately({int(second): int(count) for second, count in counted.items()}, int(now_s))


def lately(counted: Mapping[int, int], now_s: int) -> int:
    """What was *counted* by second, as far as it is no older than `COUNTED_S`.

    >>> lately({100: 1, 101: 2, 160: 4}, 160)
    6
    """
    return sum(count for second, count in counted.items() if now_s - COUNTED_S < second <= now_s)
