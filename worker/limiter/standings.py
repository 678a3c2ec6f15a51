"""What workers tell of themselves: each writes over what it told before, and what is old counts no more."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from worker.core.limits.bucket import SECOND_US
from worker.core.standing import Standing
from worker.limiter import scripts
from worker.limiter.batcher import Batcher
from worker.limiter.border import translated, understood
from worker.limiter.keys import Keys

#: Who told nothing for so long is gone, or knows nothing of Redis; workers tell twice a second.
_FRESH_US: Final = 5 * SECOND_US
_STANDING: Final = TypeAdapter(Standing)


class Standings:
    """Tells how this worker stands; raises LimiterUnavailable when Redis cannot be reached or refuses."""

    def __init__(self, batcher: Batcher, keys: Keys, name: str, now_us: Callable[[], int]) -> None:
        """*name* is this worker's, and no other's."""
        self._batcher = batcher
        self._keys = keys
        self._name = name
        self._now_us = now_us

    async def tell(self, standing: Standing) -> None:
        """This worker stands so."""
        args = (self._now_us(), self._name, _STANDING.dump_json(standing))
        await self._batcher.run(scripts.STAND, (self._keys.workers,), args)


async def standings(client: Redis, keys: Keys) -> Mapping[str, Standing]:
    """How all workers stand, by the names that they gave themselves.

    Those of a version that tells nothing are not there, nor is what cannot be read.

    Raises:
        LimiterUnavailable: Redis cannot be reached or refuses.
    """
    with translated():
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(keys.workers.decode())
            pipeline.time()
            told, (seconds, microseconds) = await pipeline.execute()
    with understood:
        return fresh(told, int(seconds) * SECOND_US + int(microseconds))


def fresh(told: Mapping[bytes, bytes], now_us: int) -> dict[str, Standing]:
    """What was *told* lately, read."""
    found: dict[str, Standing] = {}
    for name, text in told.items():
        at_us, _, stated = text.partition(b" ")
        if at_us.isdigit() and abs(now_us - int(at_us)) <= _FRESH_US and (standing := _read(stated)):
            found[name.decode(errors="replace")] = standing
    return found


def _read(text: Any) -> Standing | None:
    try:
        return _STANDING.validate_json(text)
    except ValidationError:
        return None
