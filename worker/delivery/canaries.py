"""How many of a likeness may go into one batch call: few at first, ten times as many after each accepted call."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from worker.core.batch import CANARY, CANARY_GROWTH, MOST_MEMBERS, Likeness

#: So many likenesses are remembered; texts with a name in them have one each.
_MOST_REMEMBERED: Final = 10_000
#: What was accepted longer ago proves nothing: templates of the provider and its filters change. Seconds.
_MEMORY_S: Final = 3600.0


class Canaries:
    """What this worker knows of likenesses."""

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        """What was learned ages by *now_s*."""
        self._now_s = now_s
        #: How many may go, and when that was learned; the latest learned is the last.
        self._known: OrderedDict[Likeness, tuple[int, float]] = OrderedDict()
        #: Likenesses that are not yet proven, in calls that have no answer yet.
        self._in_flight: set[Likeness] = set()

    def allowance(self, likeness: Likeness) -> int:
        """How many of *likeness* may go into the next call; none while the answer to its canary is awaited."""
        return 0 if likeness in self._in_flight else self._proven(likeness)

    def began(self, likenesses: Iterable[Likeness]) -> None:
        """A call with *likenesses* is about to be made."""
        self._in_flight.update(one for one in likenesses if self._proven(one) < MOST_MEMBERS)

    def ended(self, likenesses: Iterable[Likeness], *, accepted: bool | None) -> None:
        """The call with *likenesses* has ended, or was not made (None); what was not accepted begins anew."""
        now = self._now_s()
        for likeness in likenesses:
            self._in_flight.discard(likeness)
            if accepted:
                grown = min(self._proven(likeness) * CANARY_GROWTH, MOST_MEMBERS)
                self._known[likeness] = (grown, now)
                self._known.move_to_end(likeness)
            elif accepted is False:
                self._known.pop(likeness, None)
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)

    def _proven(self, likeness: Likeness) -> int:
        allowance, learned = self._known.get(likeness, (CANARY, 0.0))
        return allowance if self._now_s() - learned < _MEMORY_S else CANARY
