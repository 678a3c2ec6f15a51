"""Finds those whom Redis knows before they get a slot: cancelled ones, and those whose call was made or is under way.

Who meets in a slot what is known of it takes a trip to Redis out of the few milliseconds in which the slot is fresh,
and where many in a row do so, it is burnt. They come in runs: of a campaign that is cancelled, a file that is published
again, a worker that died. So for a while after one did, those who wait, and those who come, are looked for in Redis
beforehand. What is found there is what would be found in the slot; who is not found, or cannot be, goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, NoReturn

from worker.core.message.decode import Request
from worker.core.outcome.outcome import Outcome
from worker.delivery.waiting import Waiting
from worker.delivery.waiting_room import WaitingRoom
from worker.errors import LimiterUnavailable

#: How long it goes on after the last that was found: longer than until a call under way is looked at again. Seconds.
_LASTS_S: Final = 3.0


class LookAhead:
    """Off until one was met, and costs nothing then."""

    def __init__(self, room: WaitingRoom, known: Callable[[Request], Awaitable[Outcome | None]]) -> None:
        """Look after those in *room*; *known* says what stands against a request, or raises LimiterUnavailable."""
        self._room = room
        self._known = known
        self._until = 0.0
        self._begin = asyncio.Event()

    def met(self) -> None:
        """Somebody met in a slot what is known of it: others may, too."""
        now = monotonic()
        if now >= self._until:
            self._begin.set()
        self._until = now + _LASTS_S

    async def run(self) -> NoReturn:
        """Look for those who wait, each time that one is met after a while without; until cancelled."""
        while True:
            await self._begin.wait()
            self._begin.clear()
            await asyncio.gather(*map(self._look_for, self._room))

    async def of(self, request: Request) -> Outcome | None:
        """What stands against *request*, which has just come; None when it may wait for a slot."""
        if monotonic() >= self._until:
            return None
        try:
            outcome = await self._known(request)
        except LimiterUnavailable:
            return None
        if outcome is not None:
            self.met()
        return outcome

    async def _look_for(self, waiting: Waiting) -> None:
        outcome = await self.of(waiting.request)
        if outcome is not None and self._room.remove(waiting):  # else it has got its slot meanwhile
            waiting.resolve(outcome)
