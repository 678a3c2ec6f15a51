"""What refused calls teach of the operations' rates, in the language of throttled.lua and rates.lua."""

from collections.abc import Callable, Mapping
from typing import Final

from worker.core.limits.bucket import SECOND_US, UNLIMITED_PAUSE_US
from worker.core.limits.learned import LearnedRate
from worker.core.limits.quota import Operation
from worker.limiter import scripts
from worker.limiter.batcher import Batcher
from worker.limiter.border import understood
from worker.limiter.keys import Keys
from worker.limiter.limits import Limits

#: A provider that asks for a longer pause is not believed.
_LONGEST_PAUSE_US: Final = 60 * SECOND_US


class LearnedRates:
    """Each method raises LimiterUnavailable when Redis cannot be reached or refuses."""

    def __init__(self, batcher: Batcher, keys: Keys, limits: Limits, now_us: Callable[[], int]) -> None:
        """The rates of *limits* are never exceeded."""
        self._batcher = batcher
        self._keys = keys
        self._limits = limits
        self._now_us = now_us

    async def throttled(self, operation: Operation, retry_after_s: float | None) -> None:
        """Learn from a call that the provider refused because of its limit, and pause; see `ports.Limiter`."""
        rate = self._limits.rates[operation]
        least = 0 if rate else UNLIMITED_PAUSE_US
        pause = min(max(round((retry_after_s or 0.0) * SECOND_US), least), _LONGEST_PAUSE_US)
        keys = (self._keys.rate(operation), self._keys.throttles(operation))
        await self._batcher.run(scripts.THROTTLED, keys, (self._now_us(), rate, pause))

    async def list(self) -> Mapping[Operation, LearnedRate]:
        """The rate of every operation that has a quota."""
        limited = {operation: rate for operation, rate in self._limits.rates.items() if rate}
        if not limited:
            return {}
        keys = [self._keys.rate(operation) for operation in limited]
        told = await self._batcher.run(scripts.RATES, keys, (self._now_us(), *limited.values()))
        with understood:
            return {
                operation: LearnedRate(float(now), rate)
                for (operation, rate), now in zip(limited.items(), told, strict=True)
            }
