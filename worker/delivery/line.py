"""One part of a waiting line: the earliest deadline first, and anybody can leave from the middle."""

from collections.abc import Iterator
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import Final

from worker.delivery.waiting import Waiting

#: Who left is taken out of the heap when so many have left, and more than still wait.
_MOST_LEFT: Final = 64


class Line:
    """A priority queue of those who wait; of equal deadlines, who came first leaves first."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Waiting]] = []
        #: Who is in it, with the number that its entry has.
        self._numbers: dict[Waiting, int] = {}
        self._last = self._first = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Waiting]:
        """Everybody, in no order of use."""
        return iter(self._numbers)

    def join(self, waiting: Waiting, *, at_the_front: bool = False) -> None:
        """Add *waiting*; *at_the_front* of all with the same deadline."""
        if at_the_front:
            self._first = number = self._first - 1
        else:
            self._last = number = self._last + 1
        self._numbers[waiting] = number
        heappush(self._heap, (waiting.request.deadline, number, waiting))

    def pop(self) -> Waiting:
        """Take who is next; raises IndexError when nobody waits."""
        while True:
            _, number, waiting = heappop(self._heap)
            if self._numbers.get(waiting) == number:
                del self._numbers[waiting]
                return waiting

    def remove(self, waiting: Waiting) -> bool:
        """Take *waiting* out; False when it is not here."""
        if self._numbers.pop(waiting, None) is None:
            return False
        if len(self._heap) - len(self._numbers) > max(_MOST_LEFT, len(self._numbers)):
            self._heap = [entry for entry in self._heap if self._numbers.get(entry[2]) == entry[1]]
            heapify(self._heap)
        return True
