"""Fills the slots of the batch quota: when a call is worth it, which key it is for, and who goes.

A slot of the batch quota need not be used. It is booked when a key is worth a call, and who goes in it is chosen
shortly before it is due: whoever took a single slot meanwhile has left, and whoever came may come along.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from math import inf
from time import monotonic
from typing import Final

from worker.core.batch import BatchKey, Likeness, Member, fill, likeness_of, worthy
from worker.core.limits.quota import Grant, Held, Operation, Quota, Slots, Turn
from worker.core.message.lane import Lane
from worker.delivery.batch_call import BatchCalls
from worker.delivery.canaries import Canaries
from worker.delivery.waiting import Slot, Waiting
from worker.delivery.waiting_room import WaitingRoom
from worker.errors import LimiterUnavailable
from worker.ports import Events, Limiter, Provider

#: Time for the claims before a call is due: for the first, and for each more on a busy machine. Seconds.
_LEAD_S: Final = 0.03
_LEAD_EACH_S: Final = 0.0004
#: How often is looked whether a deadline comes near. Seconds.
_LOOK_S: Final = 0.25
#: And how soon again when one after the other joins. Seconds.
_LOOK_PAUSE_S: Final = 0.02
#: A call for one alone would cost a slot and save nothing.
_FEWEST: Final = 2
#: Pause after the limiter failed, after outcomes could not be published, and while the account is held. Seconds.
_LIMITER_PAUSE_S: Final = 0.5
_UNSETTLED_PAUSE_S: Final = 0.1
_HELD_POLL_S: Final = 2.0


class Batches:
    """Books the slots of the batch quota, and gives each to those who go together."""

    def __init__(
        self,
        limiter: Limiter,
        provider: Provider,
        room: WaitingRoom,
        calls: BatchCalls,
        canaries: Canaries,
        events: Events,
        *,
        quota: Quota,
        singles_per_s: Callable[[], float],
        size: Callable[[], int],
        can_settle: Callable[[], bool],
        now: Callable[[], datetime],
    ) -> None:
        """At most *size* members go in a call (0: there are no batch calls)."""
        self._limiter = limiter
        self._provider = provider
        self._room = room
        self._calls = calls
        self._canaries = canaries
        self._events = events
        self.change(quota)
        self._singles_per_s = singles_per_s
        self._size = size
        self._can_settle = can_settle
        self._now = now
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_draining = False

    def change(self, quota: Quota) -> None:
        """Go by *quota* from now on."""
        self._guard_s = quota.guard.total_seconds() if quota.rate else inf

    async def run(self) -> None:
        """Book and call until cancelled."""
        groups = self._room.groups
        while True:
            groups.joined.clear()
            if self._is_draining or not self._worthy():
                with suppress(TimeoutError):
                    await asyncio.wait_for(groups.joined.wait(), _LOOK_S)
                await asyncio.sleep(_LOOK_PAUSE_S)
            elif not self._can_settle():
                await asyncio.sleep(_UNSETTLED_PAUSE_S)
            else:
                await self._book()

    async def drain(self) -> None:
        """Book no more, and wait for the calls under way."""
        self._is_draining = True
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _worthy(self) -> Sequence[BatchKey]:
        """The keys that are worth a call, the best first."""
        size = self._size()
        return worthy(self._room.groups.look(self._now()), self._singles_per_s(), size) if size else ()

    async def _book(self) -> None:
        match await self._grant():
            case Slots() as slots:
                for wait_s in slots.waits_s:
                    await self._use(slots, wait_s)
            case Turn(after_s):
                await asyncio.sleep(after_s)
            case Held(after_s, _):
                await asyncio.sleep(min(after_s, _HELD_POLL_S))

    async def _grant(self) -> Grant:
        try:
            return await self._limiter.grant(Operation.BATCH, Lane.MARKETING, 1)
        except LimiterUnavailable:
            return Turn(_LIMITER_PAUSE_S)

    async def _use(self, slots: Slots, wait_s: float) -> None:
        """Choose who goes when the slot comes near, and let them go."""
        due = (monotonic() if slots.since is None else slots.since) + wait_s
        most = 1 if slots.probe else self._size()
        lead_s = _LEAD_S + _LEAD_EACH_S * min(most, self._room.groups.largest())
        if (early_s := due - lead_s - monotonic()) > 0:
            await asyncio.sleep(early_s)
        members = await self._choose(most)
        fresh_s = inf if slots.probe else self._guard_s - min(slots.doubt_s, self._guard_s / 2)
        lane = members[0].request.lane if members else Lane.MARKETING
        slot = Slot(Operation.BATCH, lane, due, due + fresh_s, slots.floor, slots.probe)
        task = asyncio.get_running_loop().create_task(self._call(members, slot), name="batch call")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        if not members:  # a quota without limit has the next slot at once
            await asyncio.sleep(_LOOK_PAUSE_S)

    async def _choose(self, most: int) -> Sequence[Waiting]:
        """Take the members of the next call out of their lines: of the best key that has more than one for it."""
        try:
            most_bytes = await self._limiter.call_size.most() - self._provider.base_size
        except LimiterUnavailable:
            return ()
        for key in self._worthy():
            waiting = self._room.groups.most_urgent_first(key)
            chosen = [*fill(map(self._member, waiting), most, most_bytes, self._canaries.allowance)]
            if len(chosen) >= min(most, _FEWEST):
                members = [one for one in [waiting[index] for index in chosen] if self._room.remove(one)]
                self._canaries.began(_likenesses(members))
                return members
        return ()

    def _member(self, waiting: Waiting) -> Member:
        if waiting.member is None:
            request = waiting.request
            waiting.member = Member(request.sms.number, self._provider.size_of(request), likeness_of(request))
        return waiting.member

    async def _call(self, members: Sequence[Waiting], slot: Slot) -> None:
        accepted = await self._calls.make(members, slot) if members else None
        self._canaries.ended(_likenesses(members), accepted=accepted)
        if accepted is None:
            self._events.emit("slot.unused", operation=slot.operation.value)
            if slot.probe:
                await self._calls.unprobed()


def _likenesses(members: Iterable[Waiting]) -> set[Likeness]:
    return {member.member.likeness for member in members if member.member is not None}
