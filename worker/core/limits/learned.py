"""What refused calls teach of the provider's own limit, as `limiter/lua/learned.lua` and `throttled.lua` have it.

The quota is what the operator configured; what the provider allows may be less: the configuration is wrong, or another
program uses the account. The wall is where it begins to refuse. The rules:

* A refused call starts an *event*, and an event cuts once, however many calls are refused for the same overshoot and
  whichever workers hear of it. The cut is small; when the event before was a moment ago it is as large as the excess
  that the refusals of that one show.
* After a cut the rate rests, then creeps: near the wall a probe costs a refused call or two. What gets through a creep
  is far from the wall, and the rate doubles its step again and again: another program has left.
* Only use teaches. Rest and creep are counted in time in which the rate was used up; when it is not, they go
  backwards, and the rate stays what was learned. A quota that nobody uses learns nothing, and forgets within a day.
* It is never more than the quota. It may be too high for a moment, which costs refused calls, never a message.

Rates are calls per window, as the quota's. All instants and lengths are whole microseconds.
"""

from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Final

from worker.core.limits.bucket import SECOND_US

#: Refusals within this time are one event: what was booked before a cut, and its answers, come this much later.
EVENT_US: Final = 300_000
#: An event that begins within this time after the one before says that its cut was not enough.
AGAIN_US: Final = SECOND_US
#: Part of the rate that the cut of an event leaves. When a creep meets the wall, the rate is about 2 % above it: the
#: provider counts a second, of which half is past, and the answer takes a while.
CUT: Final = 0.97
#: The rate never falls below so many calls, or this part of a quota which is that small.
LEAST_CALLS: Final = 1.0
LEAST_PART: Final = 0.8
#: Used time after a cut in which the rate stays as it is.
REST_US: Final = 2_200_000
#: Then for this long it grows by `CREEP` of itself per second.
CREEP_US: Final = 2_500_000
CREEP: Final = 0.012
#: Then the growth doubles each time after this long.
DOUBLING_US: Final = 500_000
#: With a quota of fewer calls per window than this, all three last accordingly longer: a probe costs a call whatever
#: the quota is, and so stays one in about a hundred.
SLOW: Final = 30
#: Unused time takes so many times itself off the used time: a rate that is used by less than five sixths stands still.
UNUSED_WEIGHT: Final = 5
#: Without a refusal for this long nothing is left of what was learned.
MEMORY_US: Final = 24 * 3600 * SECOND_US
#: Doublings that are enough for every quota.
_DOUBLINGS: Final = 32


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of the wall."""

    #: The rate that the last cut left.
    base: float
    #: When the last event began, and when it ends.
    event_at: int
    event_until: int
    #: When a call was last refused.
    refused_at: int
    #: Nothing is granted before, so that what was too much leaves the provider's second.
    rest_until: int
    #: A rate at which nothing was refused for all of a rest before the last event; 0 when none is known.
    good: float = 0.0
    #: Calls that were refused in the last event.
    refused: int = 1
    #: How long the quota was used up since the last cut.
    used_us: float = 0.0


@dataclass(frozen=True, slots=True)
class LearnedRate:
    """How fast an operation may be called at a moment."""

    #: Calls per second, at most what is configured.
    rate: float
    configured: int

    @property
    def foreign(self) -> float:
        """The part of the quota, from 0, that cannot be used: other programs use it, or it is not there."""
        return 1 - self.rate / self.configured


def rate_now(learned: Learned | None, rate: int, now: int) -> float:
    """The calls per window that may be made *now* of a quota of *rate*: in (0, *rate*]."""
    if learned is None or learned.base >= rate:
        return float(rate)
    grown = learned.base * (1 + _growth(learned.used_us / slowness(rate)))
    if grown >= rate:
        return float(rate)
    return grown + (rate - grown) * min(1.0, max(0, now - learned.refused_at) / MEMORY_US)


def _growth(used_us: float) -> float:
    """The part of the base that is added after *used_us*."""
    if used_us <= REST_US:
        return 0.0
    creeping = used_us - REST_US
    if creeping <= CREEP_US:
        return CREEP * creeping / SECOND_US
    doublings = min(float(_DOUBLINGS), (creeping - CREEP_US) / DOUBLING_US)
    whole = floor(doublings)
    # The growth per second doubles, and is even between two doublings, so that Lua and Python agree to the last bit.
    steps = 2.0 * (2.0**whole * (1 + doublings - whole) - 1)
    return CREEP * (CREEP_US + DOUBLING_US * steps) / SECOND_US


def after_refusal(learned: Learned | None, rate: int, now: int, last: int) -> Learned:
    """The provider refused a call *now* because of its limit, of a quota of *rate* (not 0) booked until *last*."""
    if learned is not None and now < learned.event_until:
        return replace(learned, refused_at=now, refused=learned.refused + 1)
    was, good = rate_now(learned, rate, now), 0.0
    left = was * CUT
    if learned is not None and now < learned.event_until + AGAIN_US:
        shown = was - (learned.refused - 1) / (now - learned.event_at) * SECOND_US
        left = min(left, max(shown, (learned.good + was) / 2))
    elif learned is not None and learned.used_us >= REST_US * slowness(rate):
        good = learned.base
    left = max(left, min(LEAST_CALLS, rate * LEAST_PART))
    booked = max(now, last)
    rest_until = booked + ceil(max(0.0, 1 - left / was) * SECOND_US)
    return Learned(left, now, booked + EVENT_US, now, rest_until, good)


def slowness(rate: int) -> float:
    """How many times longer everything takes with a quota of *rate*."""
    return max(1.0, SLOW / rate)


def after_slots(learned: Learned, advance_us: float, unused_us: float) -> Learned:
    """Slots were booked, which took the last slot on by *advance_us*; *unused_us* of that nobody wanted."""
    used = max(0.0, learned.used_us + advance_us - (1 + UNUSED_WEIGHT) * unused_us)
    return replace(learned, used_us=used)
