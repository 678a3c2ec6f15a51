"""What people see and change of what the workers of a namespace share.

A limiter's own connection would note that Redis was emptied, and so take the news from the workers; somebody who only
looks, sets and releases holds, or cancels, must not.
"""

import secrets
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from worker.core.limits.learned import LearnedRate
from worker.core.limits.quota import Operation, Quota
from worker.core.standing import Standing
from worker.limiter.batcher import Batcher
from worker.limiter.connection import connect, disconnect, no_greeting, opener
from worker.limiter.keys import Keys
from worker.limiter.learned_rates import LearnedRates
from worker.limiter.limits import Limits
from worker.limiter.overrides import RedisOverrides
from worker.limiter.redis_cancels import RedisCancels
from worker.limiter.redis_holds import Prober, RedisHolds
from worker.limiter.ring import Shared, recent_slots, shared
from worker.limiter.standings import standings
from worker.limiter.throttles import recent_throttles
from worker.settings.sections import HoldSettings, RedisSettings


class OperatorLimiter:
    """A connection for the block; every method raises LimiterUnavailable when Redis cannot be reached or refuses."""

    def __init__(self, redis: RedisSettings, hold: HoldSettings) -> None:
        """Do not connect yet."""
        self._client = connect(redis, no_greeting)
        self._batcher = Batcher(opener(self._client), redis.timeout.total_seconds())
        self._keys = Keys(redis.namespace)
        #: For the operator: set, release.
        self.holds = RedisHolds(self._batcher, self._keys, hold, Prober(secrets.token_hex(8), 0), lambda: 0)
        self.overrides = RedisOverrides(self._client, self._batcher, self._keys)
        self.cancels = RedisCancels(self._batcher, self._keys, lambda: 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._batcher.aclose()
        await disconnect(self._client)

    async def recent_slots(self, operation: Operation) -> tuple[list[int], int]:
        """The latest slots granted to all workers, oldest first, and the time; Redis' microseconds."""
        return await recent_slots(self._client, self._keys, operation)

    async def learned(self, rates: Mapping[Operation, int]) -> Mapping[Operation, LearnedRate]:
        """What refused calls have taught of each operation that has a rate, of quotas with these *rates*."""
        limits = Limits({operation: Quota(rate) for operation, rate in rates.items()}, (), ())
        return await LearnedRates(self._batcher, self._keys, limits, lambda: 0).list()

    async def recent_throttles(self, operation: Operation) -> int:
        """How many calls of *operation* the provider refused because of its limit in the last minute."""
        return await recent_throttles(self._client, self._keys, operation)

    async def standings(self) -> Mapping[str, Standing]:
        """How all workers stand that told it lately."""
        return await standings(self._client, self._keys)

    async def shared(self, operation: Operation) -> Shared:
        """What the workers share of the quota of *operation*."""
        return await shared(self._client, self._keys, operation)
