"""Knows how Redis and the account are: asked twice a second, so what readiness and gauges tell is that old."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn

from worker.core.limits.holds import ACCOUNT, Hold
from worker.core.limits.learned import LearnedRate
from worker.core.limits.quota import Operation
from worker.core.standing import Standing
from worker.errors import LimiterUnavailable
from worker.limiter.limiter import RedisLimiter
from worker.limiter.server import eviction_policy
from worker.ports import Events
from worker.settings.sections import RedisSettings

#: What an operator changes is in force in all workers within a second.
_POLL_S: Final = 0.5


class LimiterWatch:
    """Polls the limiter, and says when it becomes unavailable and available again; tells how this worker stands."""

    def __init__(
        self,
        limiter: RedisLimiter,
        settings: RedisSettings,
        events: Events,
        standing: Callable[[], Standing] = Standing,
    ) -> None:
        """Nothing is asked or told yet."""
        self._limiter = limiter
        self._settings = settings
        self._events = events
        self._standing = standing
        #: None until it was asked for the first time.
        self._is_available: bool | None = None
        self.holds: Sequence[Hold] = ()
        self.learned: Mapping[Operation, LearnedRate] = {}

    @property
    def is_available(self) -> bool:
        """Whether Redis answered when it was last asked."""
        return self._is_available is True

    @property
    def is_account_held(self) -> bool:
        """Whether the account was held when Redis was last asked."""
        return any(hold.name == ACCOUNT for hold in self.holds)

    async def run(self) -> NoReturn:
        """Poll until cancelled."""
        while True:
            try:
                if not self._is_available:
                    await self._limiter.start()
                    await self._warn_of_eviction()
                await self._limiter.overrides.poll()
                await self._limiter.check_writable()
                self.holds = await self._limiter.holds.list()
                self.learned = await self._limiter.learned.list()
                await self._limiter.standings.tell(self._standing())
                self._note(is_available=True)
            except LimiterUnavailable as error:
                self._note(is_available=False, kind=str(error))
            await asyncio.sleep(_POLL_S)

    async def _warn_of_eviction(self) -> None:
        policy = await eviction_policy(self._settings)
        if policy is not None:
            self._events.emit("limiter.may_evict", policy=policy)

    def _note(self, *, is_available: bool, **fields: str) -> None:
        if is_available != self._is_available:
            self._events.emit("limiter.available" if is_available else "limiter.unavailable", **fields)
        self._is_available = is_available
