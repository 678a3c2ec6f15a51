"""The only place that sees several requests at once: who gets the next slot of the quota.

Token first, then message. For each operation and lane a pump books slots of the shared quota, as many as requests
wait. Shortly before a slot is due the most urgent waiting request takes it, so an OTP that arrives now overtakes
everything that waits; it is admitted meanwhile, and called when the slot is due. A refused recipient leaves the slot to
the next request. A slot that is used later than the quota's guard would break the promise of N calls in any second: it
is dropped and another is booked.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count
from math import inf
from time import monotonic
from typing import Final

from worker.core.limits.quota import Grant, Held, Operation, Quota, Slots, Turn
from worker.core.message.decode import Request
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Scope, Unserved
from worker.core.plan import lease
from worker.delivery.attempt import Attempts, Use
from worker.delivery.look_ahead import LookAhead
from worker.delivery.waiting import Slot, Waiting
from worker.delivery.waiting_room import WaitingRoom
from worker.errors import LimiterUnavailable
from worker.ports import Events, Limiter

#: How long before its slot a request is chosen: in this time Redis admits it, on a busy machine too.
_LEAD_S: Final = 0.02
#: Pause of a pump after the limiter failed; it sends nothing meanwhile.
_LIMITER_PAUSE_S: Final = 0.5
#: How often the waiting requests are looked through for those whose time is over.
_SWEEP_S: Final = 1.0
#: And with a patience that is very short.
_SHORTEST_SWEEP_S: Final = 0.1
#: A held pump asks again at least this often: somebody else may have lifted the hold.
_HELD_POLL_S: Final = 2.0
#: How often a pump polls whether outcomes can be published again.
_UNSETTLED_POLL_S: Final = 0.1
_LEAVING: Final = Unserved("the worker is draining")


class Dispatch:
    """Sends requests within the limits, most urgent first."""

    def __init__(
        self,
        limiter: Limiter,
        attempts: Attempts,
        events: Events,
        *,
        quotas: Mapping[Operation, Quota],
        concurrency: int,
        patience: timedelta,
        room: WaitingRoom | None = None,
        can_settle: Callable[[], bool] = lambda: True,
    ) -> None:
        """At most *concurrency* slots are in use; a request that waited for *patience* goes back to its queue.

        While *can_settle* is false nobody gets a slot: the outcome could not be published, so the call would be made
        again. Requests wait in *room*, from which batch calls may take them.
        """
        self._limiter = limiter
        self._attempts = attempts
        self._events = events
        self._quotas = quotas
        self._free = concurrency
        self._patience_s = patience.total_seconds()
        self._can_settle = can_settle
        self._room = room or WaitingRoom()
        self._look_ahead = LookAhead(self._room, attempts.known)
        attempts.claims.met_known = self._met_known
        self._in_use = 0
        #: Set while no slot is in use.
        self._idle = asyncio.Event()
        self._idle.set()
        #: Held here, because the event loop holds its tasks weakly.
        self._unprobing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._draining = False
        self._me, self._serial = secrets.token_hex(6), count()

    async def run(self) -> None:
        """Pump until cancelled."""
        async with asyncio.TaskGroup() as pumps:
            for operation, lane in self._room.lines:
                pumps.create_task(self._pump(operation, lane), name=f"pump {operation.value} {lane.value}")
            pumps.create_task(self._sweep_forever(), name="sweep")
            pumps.create_task(self._look_ahead.run(), name="look ahead")

    async def join(self, request: Request, is_wanted: Callable[[], bool] = lambda: True) -> Waiting:
        """Let *request* wait for its turn, which is a slot, or its outcome when it gets none.

        It gets none when *is_wanted* is false at its turn. Whoever has the slot gives it to `release`.
        """
        waiting = Waiting(request, monotonic(), self._loop.create_future(), is_wanted, self._caller_name())
        waiting.key = self._room.key_of(request)
        if self._draining:
            waiting.resolve(_LEAVING)
        elif self._attempts.refusal(waiting) is None or not await self._is_refused(waiting):
            if (against := await self._look_ahead.of(request) or self._attempts.on_hold(request)) is not None:
                waiting.resolve(against)
            else:
                self._room.join(waiting)
        return waiting

    def _met_known(self, slot: Slot) -> None:
        """Redis knows something against who had *slot*; where slots do not age, others may find it out in theirs."""
        if self._quotas[slot.operation].rate > 0:
            self._look_ahead.met()

    def release(self, slot: Slot, use: Use, again: Waiting | None = None) -> None:
        """End the *use* of *slot*: it goes to the next best if nobody called in it and it is still fresh.

        *again* had it, has no outcome yet, and waits for another, or for the same.
        """
        if again is not None:
            again.turn = self._loop.create_future()
            self.put_back(again)
        heir = self._next(slot) if use is Use.FREE else None
        if heir is not None:  # its place among the calls goes with the slot
            heir.resolve(slot)
            return
        if slot.probe and use is not Use.CALLED:
            self._unprobe()
        self._in_use -= 1
        if not self._in_use:
            self._idle.set()
        self._free_places(1)

    def put_back(self, waiting: Waiting) -> None:
        """Let *waiting* wait again: it had a turn, and has no outcome."""
        rest_s, waiting.rest_s = waiting.rest_s, 0.0
        if self._draining:
            waiting.resolve(_LEAVING)
        elif rest_s > 0:
            self._room.join_after(waiting, rest_s)
        else:
            self._room.join(waiting, at_the_front=True)

    def _caller_name(self) -> str:
        return f"{self._me}{next(self._serial):x}"

    async def _is_refused(self, waiting: Waiting) -> bool:
        """End the wait of *waiting* if it is too early or too late; whether it has ended."""
        try:
            refused = await self._attempts.refused(waiting)
        except LimiterUnavailable:  # it waits, and is asked about again
            return False
        if refused is not None:
            waiting.resolve(refused)
        return refused is not None

    def shorten_patience(self, most: timedelta) -> timedelta:
        """Requeue what has waited for *most*, from now on; never longer than before. Returns what holds."""
        self._patience_s = min(self._patience_s, most.total_seconds())
        return timedelta(seconds=self._patience_s)

    def change(self, quotas: Mapping[Operation, Quota]) -> None:
        """Go by *quotas* from now on."""
        self._quotas = quotas

    def waiting(self) -> Mapping[Lane, int]:
        """How many requests wait for a slot, per lane."""
        return self._room.count()

    async def drain(self) -> None:
        """Requeue what waits, and wait for the calls in flight."""
        self._draining = True
        for waiting in self._room:
            if self._room.remove(waiting):
                waiting.resolve(_LEAVING)
        await self._idle.wait()

    # -- booking slots ------------------------------------------------------------------------------------------

    async def _pump(self, operation: Operation, lane: Lane) -> None:
        line = self._room.lines[operation, lane]
        while True:
            line.wake.clear()
            if line.unbooked <= 0 or self._free <= 0:
                await line.wake.wait()
                continue
            if not self._can_settle():
                await asyncio.sleep(_UNSETTLED_POLL_S)
                continue
            grant = await self._grant(operation, lane, self._lease(operation, min(line.unbooked, self._free)))
            match grant:
                case Slots():
                    self._book(operation, lane, grant)
                case Turn(after_s):
                    await asyncio.sleep(after_s)
                case Held(after_s, _):
                    await asyncio.sleep(min(after_s, _HELD_POLL_S))

    def _lease(self, operation: Operation, want: int) -> int:
        return lease(self._quotas[operation].rate, want)

    async def _grant(self, operation: Operation, lane: Lane, want: int) -> Grant:
        """Ask for *want* slots, which are reserved meanwhile: other pumps ask at the same time."""
        self._free -= want
        booked = 0
        try:
            grant = await self._limiter.grant(operation, lane, want)
            booked = len(grant.waits_s) if isinstance(grant, Slots) else 0
        except LimiterUnavailable:
            return Turn(_LIMITER_PAUSE_S)
        finally:
            self._free_places(want - booked)
        return grant

    def _free_places(self, count: int) -> None:
        """Let *count* more slots be booked, and wake the pumps if they had to wait for that."""
        had_none = self._free <= 0
        self._free += count
        if had_none:
            self._room.wake()

    def _book(self, operation: Operation, lane: Lane, slots: Slots) -> None:
        if slots.probe:
            self._events.emit("hold.probe", scope=Scope.ACCOUNT.value, subject="", operation=operation.value)
        now, fresh_s = monotonic(), self._freshness_s(operation, slots)
        for wait_s in slots.waits_s:
            due = (now if slots.since is None else slots.since) + wait_s
            slot = Slot(operation, lane, due, due + fresh_s, slots.floor, slots.probe)
            self._room.lines[operation, lane].booked += 1
            if due - now <= _LEAD_S:
                self._assign(slot)
            else:
                self._loop.call_later(due - now - _LEAD_S, self._assign, slot)

    def _freshness_s(self, operation: Operation, slots: Slots) -> float:
        """How long after its instant a slot may be used; a probe is the only call that there is.

        What is not known of the instant is taken off the guard, but for half of it: with a Redis that is so far away no
        slot would ever be fresh.
        """
        quota = self._quotas[operation]
        guard_s = quota.guard.total_seconds()
        return guard_s - min(slots.doubt_s, guard_s / 2) if quota.rate > 0 and not slots.probe else inf

    # -- giving them away ---------------------------------------------------------------------------------------

    def _assign(self, slot: Slot) -> None:
        """Give *slot* to whoever should have it; at once, so that nobody books another for the same request."""
        line = self._room.lines[slot.operation, slot.lane]
        line.booked -= 1
        waiting = self._next(slot)
        if line.unbooked > 0:  # the slot was burnt, or went to a more urgent lane
            line.wake.set()
        if waiting is not None:
            self._in_use += 1
            self._idle.clear()
            waiting.resolve(slot)
            return
        if slot.probe:
            self._unprobe()
        self._free_places(1)

    def _next(self, slot: Slot) -> Waiting | None:
        if monotonic() > slot.use_by:
            self._events.emit("slot.burnt", operation=slot.operation.value)
            return None
        waiting = self._room.take(slot) if self._can_settle() else None
        if waiting is None:
            self._events.emit("slot.unused", operation=slot.operation.value)
        return waiting

    def _unprobe(self) -> None:
        """Let somebody else be the probe of the account's hold."""
        task = self._loop.create_task(self._attempts.unprobed(), name="unprobed")
        self._unprobing.add(task)
        task.add_done_callback(self._unprobing.discard)

    # -- looking after those who wait ---------------------------------------------------------------------------

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(min(_SWEEP_S, max(_SHORTEST_SWEEP_S, self._patience_s / 4)))
            await self.sweep()

    async def sweep(self) -> None:
        """End the wait of those whose deadline passed, and of those that waited too long to stay unacknowledged."""
        for waiting in self._room:
            if monotonic() - waiting.since > self._patience_s:
                if self._room.remove(waiting):
                    waiting.resolve(Unserved("no slot came in time"))
            elif self._attempts.refusal(waiting) is None or not self._room.remove(waiting):
                continue
            elif not await self._is_refused(waiting):
                self.put_back(waiting)
