"""The shared quota as arithmetic: a bucket whose N tokens each return exactly one window after they were taken.

This is the model of `limiter/grant.lua` and `limiter/throttled.lua`: the same numbers in the same order, so a test can
feed both the same sequence and expect equal answers. The laws:

* slot = max(now, last slot + gap, hold, slot of the N-th call before + W), with W = 1 s + guard and gap = W / N.
  The gap paces; the look back at the N-th call before makes it exact: no window of W ever holds more than N slots, also
  when the limit has just been changed. A bucket that refills while a burst is spent would let twice the rate through.
* A slot is a promise, so an urgent lane can only overtake what is not promised yet. Therefore a lane may book only
  within its *reach*: OTP far, the others hardly further than the next slot.
* A lane whose guaranteed share is due reaches further than OTP, so that none starves.
* A throttled quota has a factor below 1, which stretches gap and W, and climbs back. So has one whose account was held
  until a moment ago: what was wrong may be wrong again, and whoever mended it had no load meanwhile.

All instants and lengths are whole microseconds.
"""

import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Self, TypeAlias

from worker.core.lane import Lane
from worker.core.quota import Quota

SECOND_US: Final = 1_000_000
#: Calls that the ring remembers: no rate may be higher.
CELLS: Final = 4096
#: How far ahead OTP books; further would let it bury the floors of the other lanes.
OTP_REACH_US: Final = SECOND_US
#: With a very slow quota, OTP still reaches this many slots.
OTP_REACH_GAPS: Final = 3
#: Slots and least length that the other lanes reach: under one slot, or some round trips to Redis, quota is lost.
REACHES: Final = {Lane.NOTIFY: (2, 25_000), Lane.MARKETING: (1, 20_000)}
#: How much further than OTP a lane reaches while its floor is due.
FLOOR_LEAD_US: Final = 500_000
#: Longest a lane that found no slot stays away, unless one gap is longer.
LONGEST_TURN_US: Final = 250_000
#: A slot that lies further ahead than any reach says that Redis' clock was set back.
CLOCK_STEP_US: Final = 10_000_000
#: Nobody calls for this long after a throttled call, unless the provider asks for more.
THROTTLE_PAUSE_US: Final = 100_000
#: A second throttled call within this time cuts the factor, once per this time; a single one may be bad luck.
THROTTLE_SPAN_US: Final = SECOND_US
CUT: Final = 0.9
LEAST_FACTOR: Final = 0.1
#: Time in which the factor climbs back by 1.
RECOVERY_US: Final = 60 * SECOND_US
#: Part of the quota with which sending begins again after a hold of the account.
RAMP_START: Final = 0.1


@dataclass(frozen=True, slots=True)
class Share:
    """What a lane may take of an operation's quota."""

    #: Calls in any window; 0 is no limit.
    rate: int
    #: The window: one second and the guard.
    window_us: int
    #: The lane's reach in slots; it grows when the quota is slowed down.
    reach_gaps: int
    #: The lane's reach is at least this.
    reach_us: int
    #: No lane's reach is more than this.
    furthest_us: int
    #: One guaranteed slot per this time; 0 is none.
    floor_us: int

    @classmethod
    def of(cls, quota: Quota, lane: Lane) -> Self:
        """The share of *lane* in *quota*.

        Raises:
            ValueError: the rate is negative or more than the ring can remember.
        """
        furthest = furthest_reach_us(quota)
        gaps, least = REACHES.get(lane, (0, furthest))
        floor = quota.floors.get(lane, 0.0)
        return cls(quota.rate, window_us(quota), gaps, least, furthest, round(SECOND_US / floor) if floor else 0)


def window_us(quota: Quota) -> int:
    """The window in which at most `rate` slots lie."""
    return SECOND_US + quota.guard // timedelta(microseconds=1)


def furthest_reach_us(quota: Quota) -> int:
    """How far ahead OTP books, which is as far as any lane may without its floor."""
    if not 0 <= quota.rate <= CELLS:
        raise ValueError(f"a rate lies between 0 and {CELLS} calls per second, got {quota.rate}")
    return max(OTP_REACH_US, OTP_REACH_GAPS * window_us(quota) // quota.rate) if quota.rate else OTP_REACH_US


def silence_us(quota: Quota) -> int:
    """How long nothing may be granted after slots may have been forgotten: until all of them left the window."""
    return furthest_reach_us(quota) + FLOOR_LEAD_US + window_us(quota) if quota.rate else 0


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
