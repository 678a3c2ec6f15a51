"""The cancels in the language of their scripts; what they promise is in `core/limits/cancels.py`."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from math import ceil

from worker.core.limits.cancels import Cancel, meaning, until_certain
from worker.limiter import scripts
from worker.limiter.batcher import Batcher
from worker.limiter.border import understood
from worker.limiter.keys import Keys


class RedisCancels:
    """For the operator; every method raises LimiterUnavailable when Redis cannot be reached or refuses.

    Then some of what was asked may be done. To do it again changes nothing else.
    """

    def __init__(self, batcher: Batcher, keys: Keys, now_us: Callable[[], int]) -> None:
        self._batcher = batcher
        self._keys = keys
        self._now_us = now_us

    async def cancel(self, request_ids: Sequence[str], lasts: timedelta) -> list[Cancel]:
        """Cancel each of *request_ids* for *lasts*; returns what that does to it, in their order.

        All of them are under way at once: who has many gives them in parts.
        """
        entries = [self._keys.entry(each) for each in request_ids]
        args = (self._now_us(), _seconds(lasts))
        told = await asyncio.gather(
            *(self._batcher.run(scripts.CANCEL, (self._keys.cancelled(entry), entry), args) for entry in entries)
        )
        with understood:
            return [meaning(each) for each in told]

    async def restore(self, request_ids: Sequence[str]) -> list[bool]:
        """Take the cancel of each of *request_ids* back; returns whether there was one, in their order."""
        keys = [self._keys.cancelled(self._keys.entry(each)) for each in request_ids]
        return list(await asyncio.gather(*map(self._restore, keys)))

    async def cancel_campaign(self, name: str, lasts: timedelta, connect_timeout: timedelta) -> None:
        """Cancel for *lasts* all requests whose metadata name the campaign *name*.

        Returns when no call for one of them can begin any more, which takes some seconds: *connect_timeout* is how long
        the workers' calls wait for a connection.
        """
        await self.mark_campaign(name, lasts)
        await asyncio.sleep(until_certain(connect_timeout).total_seconds())

    async def mark_campaign(self, name: str, lasts: timedelta) -> None:
        """As `cancel_campaign`, but a call that was claimed before may still begin for some seconds."""
        await self._batcher.run(scripts.CANCEL, (self._keys.campaign(name),), (self._now_us(), _seconds(lasts)))

    async def restore_campaign(self, name: str) -> bool:
        """Take the cancel of the campaign *name* back; returns whether there was one."""
        return await self._restore(self._keys.campaign(name))

    async def _restore(self, key: bytes) -> bool:
        was_there = await self._batcher.run(scripts.RESTORE, (key,))
        with understood:
            return int(was_there) == 1


def _seconds(length: timedelta) -> int:
    return max(1, ceil(length.total_seconds()))
