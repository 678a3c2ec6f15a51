"""What a lane may take of an operation's shared quota, as `limiter/lua/grant.lua` is told it.

The quota is a bucket whose N tokens each return exactly one window after they were taken. The laws:

* slot = max(now, last slot + gap, hold, slot of the N-th call before + W), with W = 1 s + guard and gap = W / N.
  The gap paces; the look back at the N-th call before makes it exact: no window of W ever holds more than N slots, also
  when the limit has just been changed. A bucket that refills while a burst is spent would let twice the rate through.
* A slot is a promise, so an urgent lane can only overtake what is not promised yet. Therefore a lane may book only
  within its *reach*: OTP far, the others hardly further than the next slot.
* A lane whose guaranteed share is due reaches further than OTP, so that none starves.
* What the provider refuses teaches a lower rate (`learned.py`), which stretches the gap. So does a hold of the account
  that ended a moment ago: what was wrong may be wrong again, and whoever mended it had no load meanwhile. Neither
  touches N and W, so no window ever holds more than what was configured.

All instants and lengths are whole microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from worker.core.limits.quota import SINGLES, Operation, Quota
from worker.core.message.lane import Lane

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
#: Without a quota of ours nobody calls for this long after a throttled call: there is no rate to be learned.
UNLIMITED_PAUSE_US: Final = 100_000


@dataclass(frozen=True, slots=True)
class Share:
    """What a lane may take of an operation's quota."""

    #: Calls in any window; 0 is no limit.
    rate: int
    #: The window: one second and the guard.
    window_us: int
    #: The lane's reach in slots; it grows when the rate is lower.
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


def announced_us(silences: Mapping[Operation, int]) -> int:
    """The pause that people are told of: each operation pauses for itself, and batch calls are few."""
    return max((silences.get(single, 0) for single in SINGLES), default=0)
