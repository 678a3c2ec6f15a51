"""A server's clock, seen from here: bounds of the difference to ours, each exchange narrowing them.

A slot is an instant of Redis' clock. Counted from the arrival of Redis' answer it is late by what the answer took, and
what it took differs from answer to answer: that much would lie outside the quota's guard. But the server read its clock
after it was asked and before it had answered. So each exchange bounds the difference of the two clocks from both sides,
and all exchanges together bound it better than the best of them.

            asked                             answered              ours
    ──────────┬───────────────────────────────────┬───────────
              │        theirs was read between    │
    the difference, ours - theirs, lies between asked - theirs and answered - theirs

Clocks drift, so what was known widens with time. A clock that was set shows by bounds that exclude each other: then
only the latest exchange counts.
"""

from dataclasses import dataclass
from typing import Final

#: Two clocks that are kept right drift apart by no more than this part of the time: as fast as NTP may turn each.
DRIFT: Final = 0.001


@dataclass(frozen=True, slots=True)
class RemoteClock:
    """Seconds."""

    #: Ours minus theirs, at least and at most.
    least: float
    most: float
    #: When that was so, on our clock.
    at: float

    @property
    def doubt(self) -> float:
        """How far the bounds are apart."""
        return self.most - self.least

    def ours(self, theirs: float) -> float:
        """Our time when theirs is *theirs*; never too early, and at most `doubt` too late."""
        return theirs + self.most

    def theirs(self, ours: float) -> float:
        """Their time when ours is *ours*; never too early."""
        return ours - self.least + (ours - self.at) * DRIFT


def seen(clock: RemoteClock | None, asked: float, answered: float, theirs: float) -> RemoteClock:
    """The *clock* after an exchange in which the server said *theirs*; None when there was none before."""
    least, most = asked - theirs, answered - theirs
    if clock is not None:
        drift = (answered - clock.at) * DRIFT
        narrow_least, narrow_most = max(least, clock.least - drift), min(most, clock.most + drift)
        if narrow_least <= narrow_most:
            least, most = narrow_least, narrow_most
    return RemoteClock(least, most, answered)
