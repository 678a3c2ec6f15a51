"""The model of the shared quota: the numbers of `grant.lua` and `throttled.lua` in `limiter/lua`, in the same order.

A test can feed both the same sequence and expect equal answers. The laws stand in `core/limits/bucket.py`. All instants
and lengths are whole microseconds.
"""

import math
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from worker.core.limits.bucket import FLOOR_LEAD_US, SECOND_US, Share
from worker.core.message.lane import Lane

#: Longest a lane that found no slot stays away, unless one gap is longer.
LONGEST_TURN_US: Final = 250_000
#: A slot that lies further ahead than any reach says that Redis' clock was set back.
CLOCK_STEP_US: Final = 10_000_000
#: A second throttled call within this time cuts the factor, once per this time; a single one may be bad luck.
THROTTLE_SPAN_US: Final = SECOND_US
CUT: Final = 0.9
LEAST_FACTOR: Final = 0.1
#: Time in which the factor climbs back by 1.
RECOVERY_US: Final = 60 * SECOND_US
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
    #: Below 1 the quota is slowed down; None: it never was.
    factor: float | None = None
    #: When the factor was set.
    factor_at: int = 0
    throttled_at: int | None = None
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
        factor = self.factor_now(now) * self.ramp_now(now)
        window = math.ceil(share.window_us / factor)
        gap = window / share.rate
        reach = min(max(share.reach_gaps * gap, share.reach_us), share.furthest_us)
        slot = self._next_slot(now, share.rate, window, gap)
        floor = slot - now > reach and share.floor_us > 0 and self.floor_due.get(lane, 0) <= now
        limit = share.furthest_us + FLOOR_LEAD_US if floor else reach
        if slot - now > limit:
            return Later(self._turn(now, lane, share, slot, gap, reach, want))
        waits: list[int] = []
        while len(waits) < min(want, share.rate) and slot - now <= limit:
            if floor and self.floor_due.get(lane, 0) > now:
                break
            self.slots.append(slot)
            waits.append(slot - now)
            if share.floor_us > 0:
                due = max(self.floor_due.get(lane, 0), now - LONGEST_TURN_US)
                self.floor_due[lane] = min(due, now) + share.floor_us
            slot = self._next_slot(now, share.rate, window, gap)
        return Booked(tuple(waits), floor)

    def throttle(self, now: int, pause_us: int) -> None:
        """The provider throttled a call: pause, and slow down when it was not the first within a second."""
        factor, before = self.factor_now(now), self.throttled_at
        self.hold = max(self.hold, now + pause_us)
        self.throttled_at = now
        recently_cut = self.factor is not None and now - self.factor_at < THROTTLE_SPAN_US
        if before is not None and now - before <= THROTTLE_SPAN_US and not recently_cut:
            self.factor, self.factor_at = max(LEAST_FACTOR, factor * CUT), now

    def ramp(self, now: int, length_us: int) -> None:
        """A hold of the account ended."""
        self.ramp_from, self.ramp_until = now, now + length_us

    def ramp_now(self, now: int) -> float:
        """The part of the quota that is used because a hold ended lately, in (0, 1]."""
        if now >= self.ramp_until:
            return 1.0
        return RAMP_START + (1 - RAMP_START) * max(0, now - self.ramp_from) / (self.ramp_until - self.ramp_from)

    def factor_now(self, now: int) -> float:
        """The part of the quota that throttling leaves, in (0, 1]."""
        if self.factor is None:
            return 1.0
        return min(1.0, self.factor + max(0, now - self.factor_at) / RECOVERY_US)

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
