"""The model of the shared quota: the numbers of `grant.lua` and `throttled.lua` in `limiter/lua`, in the same order.

A test can feed both the same sequence and expect equal answers; a simulation needs no Redis. The laws stand in
`core/limits/bucket.py`. All instants and lengths are whole microseconds.
"""

import math
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from worker.core.limits.bucket import FLOOR_LEAD_US, Share
from worker.core.limits.learned import Learned, after_refusal, after_slots, rate_now
from worker.core.message.lane import Lane

#: Longest a lane that found no slot stays away, unless one gap is longer.
LONGEST_TURN_US: Final = 250_000
#: A slot that lies further ahead than any reach says that Redis' clock was set back.
CLOCK_STEP_US: Final = 10_000_000
#: Part of the quota with which sending begins again after a hold of the account.
RAMP_START: Final = 0.1


@dataclass(frozen=True, slots=True)
class Booked:
    """Slots, as waits from now."""

    waits_us: tuple[int, ...]
    #: Booked beyond the lane's own reach, because its floor was due.
    floor: bool


@dataclass(frozen=True, slots=True)
class Later:
    """No slot within reach."""

    after_us: int


Answer: TypeAlias = Booked | Later


@dataclass(slots=True)
class TokenBucket:
    """The state of one operation's quota."""

    #: Nothing is granted before this instant.
    hold: int = 0
    #: Slot of every call so far.
    slots: list[int] = field(default_factory=list)
    #: None: no call was ever refused.
    learned: Learned | None = None
    #: Between these instants the quota climbs linearly from `RAMP_START` to all of it.
    ramp_from: int = 0
    ramp_until: int = 0
    floor_due: dict[Lane, int] = field(default_factory=dict)
    #: Per lane the last instant at which somebody was told to come back.
    turns: dict[Lane, int] = field(default_factory=dict)

    def grant(self, now: int, lane: Lane, share: Share, want: int) -> Answer:
        """Book up to *want* slots for *lane*."""
        if share.floor_us > 0 and lane in self.floor_due:  # the floor may have been raised
            self.floor_due[lane] = min(self.floor_due[lane], now + share.floor_us)
        pace = self.learned_now(now, share.rate) * self.ramp_now(now)
        window, gap = share.window_us, share.window_us / pace
        reach = min(max(share.reach_gaps * gap, share.reach_us), share.furthest_us)
        slot = self._next_slot(now, share.rate, window, gap)
        floor = slot - now > reach and share.floor_us > 0 and self.floor_due.get(lane, 0) <= now
        limit = share.furthest_us + FLOOR_LEAD_US if floor else reach
        if slot - now > limit:
            return Later(self._turn(now, lane, share, slot, gap, reach, want))
        waits: list[int] = []
        before = self.slots[-1] if self.slots else 0
        unused = max(0.0, slot - (before + gap))
        while len(waits) < min(want, share.rate) and slot - now <= limit:
            if floor and self.floor_due.get(lane, 0) > now:
                break
            self.slots.append(slot)
            waits.append(slot - now)
            if share.floor_us > 0:
                due = max(self.floor_due.get(lane, 0), now - LONGEST_TURN_US)
                self.floor_due[lane] = min(due, now) + share.floor_us
            slot = self._next_slot(now, share.rate, window, gap)
        if self.learned is not None and self.learned_now(now, share.rate) < share.rate:
            self.learned = after_slots(self.learned, self.slots[-1] - before, unused)
        return Booked(tuple(waits), floor)

    def throttle(self, now: int, rate: int, pause_us: int) -> None:
        """The provider refused a call because of its limit: learn from it, and pause."""
        self.hold = max(self.hold, now + pause_us)
        if rate > 0:
            self.learned = after_refusal(self.learned, rate, now, self.slots[-1] if self.slots else 0)
            self.hold = max(self.hold, self.learned.rest_until)

    def ramp(self, now: int, length_us: int) -> None:
        """A hold of the account ended."""
        self.ramp_from, self.ramp_until = now, now + length_us

    def ramp_now(self, now: int) -> float:
        """The part of the quota that is used because a hold ended lately, in (0, 1]."""
        if now >= self.ramp_until:
            return 1.0
        return RAMP_START + (1 - RAMP_START) * max(0, now - self.ramp_from) / (self.ramp_until - self.ramp_from)

    def learned_now(self, now: int, rate: int) -> float:
        """Calls per window of a quota of *rate* that refusals leave, in (0, *rate*]."""
        return rate_now(self.learned, rate, now)

    def _next_slot(self, now: int, rate: int, window: int, gap: float) -> int:
        last = self.slots[-1] if self.slots else 0
        slot = max(now, last + gap, self.hold)
        if len(self.slots) >= rate:
            slot = max(slot, self.slots[-rate] + window)
        return math.ceil(slot)

    def _turn(self, now: int, lane: Lane, share: Share, slot: int, gap: float, reach: float, want: int) -> int:
        """When to come back: one asker after the other, each when it finds as many slots as half its reach holds."""
        batch = min(want, share.rate, math.floor(reach / 2 / gap) + 1)
        opens, spacing = slot - reach + (batch - 1) * gap, batch * gap
        due = self.floor_due.get(lane, 0)
        if share.floor_us > 0 and now < due < opens:
            opens, spacing = due, float(share.floor_us)
        turn = max(opens, self.turns.get(lane, 0) + spacing)
        turn = math.ceil(min(turn, now + max(LONGEST_TURN_US, gap)))
        self.turns[lane] = turn
        return turn - now
