"""Looks at what the workers of a namespace share, and changes nothing.

A limiter's own connection would note that Redis was emptied, and so take the news from the workers; somebody who only
looks must not.
"""

from types import TracebackType
from typing import Self

from worker.core.quota import Hold, Operation
from worker.core.token_bucket import SECOND_US
from worker.limiter import scripts
from worker.limiter.batcher import Batcher
from worker.limiter.connection import connect, no_greeting
from worker.limiter.keys import Keys
from worker.limiter.ring import recent_slots
from worker.settings import RedisSettings


class Onlooker:
    """A connection for the block; every method raises LimiterUnavailable when Redis cannot be reached or refuses."""

    def __init__(self, redis: RedisSettings) -> None:
        """Do not connect yet."""
        self._client = connect(redis, no_greeting)
        self._batcher = Batcher(self._client)
        self._keys = Keys(redis.namespace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._batcher.aclose()
        await self._client.aclose()

    async def hold(self) -> Hold | None:
        """The account's hold, if there is one."""
        reply = await self._batcher.run(scripts.HELD, (self._keys.account,), (0,))
        if not reply:
            return None
        code, age, probe_in, probes = reply
        return Hold(code.decode(), age / SECOND_US, probe_in / SECOND_US, probes)

    async def recent_slots(self, operation: Operation) -> tuple[list[int], int]:
        """The latest slots granted to all workers, oldest first, and the time; Redis' microseconds."""
        return await recent_slots(self._client, self._keys, operation)
