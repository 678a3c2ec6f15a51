"""Ends the wait of those whose turn would come after their deadline: nothing is gained by waiting.

Where more waits than can be sent in time, the earliest deadline still goes first, and whoever is too far behind to have
a turn is expired at once: its publisher knows sooner, and its place in the worker is free. The prediction flatters: it
counts those before it in this worker and lane alone, at all that the workers have together as far as it is learned.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, NoReturn

from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import Catalog
from worker.core.plan import doomed
from worker.delivery.attempt import Attempts
from worker.delivery.waiting import Waiting
from worker.delivery.waiting_room import WaitingRoom
from worker.errors import LimiterUnavailable

#: How often it looks. Seconds.
_LOOK_S: Final = 1.0


class Overload:
    """Looks after those in one room."""

    def __init__(
        self,
        room: WaitingRoom,
        attempts: Attempts,
        catalog: Catalog,
        *,
        per_s: Callable[[Operation, Lane], float],
        put_back: Callable[[Waiting], None],
        now: Callable[[], datetime],
    ) -> None:
        """Of a lane no more go in a second than *per_s* says; *put_back* takes those who wait on all the same."""
        self._room = room
        self._attempts = attempts
        self._expired: Final = catalog.failed(
            "local.expired", called=False, detail="(so many wait before it that its turn would come too late)"
        )
        self._per_s = per_s
        self._put_back = put_back
        self._now = now

    async def run(self) -> NoReturn:
        """Look every second until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.look()

    async def look(self) -> None:
        """End the wait of those who cannot be in time."""
        now = self._now()
        for (operation, lane), line in self._room.lines.items():
            waiting = sorted(line, key=lambda one: one.request.deadline)
            left_s = [(one.request.deadline - now).total_seconds() for one in waiting]
            late = [waiting[index] for index in doomed(left_s, self._per_s(operation, lane))]
            await asyncio.gather(*(self._end(one) for one in late if self._room.remove(one)))

    async def _end(self, waiting: Waiting) -> None:
        """What was called for before is not expired: the ledger knows."""
        try:
            known = await self._attempts.known(waiting.request)
        except LimiterUnavailable:  # nobody knows
            self._put_back(waiting)
            return
        waiting.resolve(known or self._expired)
