"""What a worker has in hand: a line per lane, the earliest deadline first, and those who may go together in a call.

As `delivery/line.py`, `groups.py` and `waiting_room.py`, but by value and in virtual time: a message is a tuple.
"""

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from worker.core.batch import BatchKey, Group
from worker.core.limits.bucket import SECOND_US
from worker.core.message.lane import Lane
from worker.core.plan import is_due_next, lane_for
from worker.simulation.arrivals import Past
from worker.simulation.kind import Kind
from worker.simulation.queues import Consumer

#: Who left is taken out of a heap when so many have left, and more than still wait.
_MOST_LEFT: Final = 64


class Waiting(NamedTuple):
    """A message in hand; ordered by deadline, then by its number."""

    deadline: int
    #: A new one each time that it waits; below zero at the front of those with the same deadline.
    number: int
    kind: Kind
    published: int
    since: int
    key: BatchKey | None
    past: Past | None
    consumer: Consumer


class Part:
    """A priority queue; who left from the middle is passed over."""

    __slots__ = ("heap", "waiting")

    def __init__(self) -> None:
        """Nobody waits."""
        self.heap: list[Waiting] = []
        #: Those of the heap who have not left.
        self.waiting = 0


class Line:
    """Those of one lane who wait."""

    __slots__ = ("booked", "due", "others", "overtook")

    def __init__(self) -> None:
        """Nobody waits."""
        self.due, self.others = Part(), Part()
        #: How many due ones in a row left before the others.
        self.overtook = 0
        #: Slots that are booked and not yet used.
        self.booked = 0

    def __len__(self) -> int:
        return self.due.waiting + self.others.waiting


class Hand:
    """All lines of a worker, and the groups."""

    def __init__(self) -> None:
        """Nobody waits."""
        self.lines: Final[Mapping[Lane, Line]] = {lane: Line() for lane in Lane}
        self._groups: Final[dict[BatchKey, dict[int, Waiting]]] = {}
        #: Those in no group who left from the middle, by their numbers, as long as they are in a heap.
        self._gone: Final[set[int]] = set()
        self._last = self._first = 0

    def number(self, *, at_the_front: bool) -> int:
        """A number for somebody who joins."""
        if at_the_front:
            self._first -= 1
            return self._first
        self._last += 1
        return self._last

    def join(self, waiting: Waiting) -> None:
        """Let *waiting* wait."""
        line = self.lines[waiting.kind.lane]
        part = line.due if waiting.past is not None and waiting.past.due else line.others
        heappush(part.heap, waiting)
        part.waiting += 1
        if waiting.key is not None:
            group = self._groups.get(waiting.key)
            if group is None:
                group = self._groups[waiting.key] = {}
            group[waiting.number] = waiting

    def take(self, slot_lane: Lane, *, floor: bool) -> Waiting | None:
        """Who goes in a slot that was booked for *slot_lane*; None when nobody waits."""
        lane = lane_for(slot_lane, self.lines, floor=floor)
        if lane is None:
            return None
        line = self.lines[lane]
        due, others = line.due, line.others
        if is_due_next(due.waiting, others.waiting, line.overtook):
            line.overtook += bool(others.waiting)
            return self._pop(due)
        line.overtook = 0
        return self._pop(others)

    def expired(self, now: int) -> Iterator[Waiting]:
        """Take out those whose time is over."""
        for line in self.lines.values():
            for part in (line.due, line.others):
                while part.waiting and self._first_of(part).deadline <= now:
                    yield self._pop(part)

    def most_urgent(self, line: Line) -> int:
        """The earliest deadline of *line*, in which somebody waits."""
        return min(self._first_of(part).deadline for part in (line.due, line.others) if part.waiting)

    def in_order(self, line: Line) -> list[Waiting]:
        """Who waits in *line*, the earliest deadline first."""
        return sorted(one for part in (line.due, line.others) for one in part.heap if self._waits(one))

    def remove(self, waiting: Waiting) -> None:
        """Take *waiting* out of the middle."""
        line = self.lines[waiting.kind.lane]
        part = line.due if waiting.past is not None and waiting.past.due else line.others
        part.waiting -= 1
        if waiting.key is None:
            self._gone.add(waiting.number)
        else:
            self._leave(waiting, waiting.key)
        if len(part.heap) - part.waiting > max(_MOST_LEFT, part.waiting):
            left = [one for one in part.heap if self._waits(one)]
            self._gone.difference_update(one.number for one in part.heap)
            part.heap = left
            heapify(part.heap)

    def largest(self) -> int:
        """How many wait of the key of which most wait."""
        return max(map(len, self._groups.values()), default=0)

    def groups(self, now: int) -> Mapping[BatchKey, Group]:
        """What waits of each key."""
        return {
            key: Group(
                len(group),
                (now - next(iter(group.values())).since) / SECOND_US,
                (min(group.values()).deadline - now) / SECOND_US,
            )
            for key, group in self._groups.items()
        }

    def most_urgent_first(self, key: BatchKey) -> list[Waiting]:
        """Who waits of *key*, the earliest deadline first."""
        return sorted(self._groups.get(key, {}).values())

    def _pop(self, part: Part) -> Waiting:
        first = self._first_of(part)
        heappop(part.heap)
        part.waiting -= 1
        if first.key is not None:
            self._leave(first, first.key)
        return first

    def _first_of(self, part: Part) -> Waiting:
        heap = part.heap
        while not self._waits(heap[0]):
            self._gone.discard(heappop(heap).number)
        return heap[0]

    def _waits(self, waiting: Waiting) -> bool:
        if waiting.key is None:
            return waiting.number not in self._gone
        return waiting.number in self._groups.get(waiting.key, ())

    def _leave(self, waiting: Waiting, key: BatchKey) -> None:
        group = self._groups[key]
        del group[waiting.number]
        if not group:
            del self._groups[key]
