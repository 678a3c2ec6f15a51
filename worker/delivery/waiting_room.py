"""The requests that wait for a slot in this worker: in which order they leave, and when they leave without one."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from worker.core.batch import BatchKey
from worker.core.limits.quota import SINGLES, Operation
from worker.core.message.decode import Request
from worker.core.message.lane import Lane
from worker.core.plan import is_due_next, lane_for
from worker.delivery.groups import Groups
from worker.delivery.line import Line
from worker.delivery.waiting import Slot, Waiting


@dataclass(slots=True)
class WaitingLine:
    """Those who wait for one operation on one lane, and the slots already booked for them."""

    #: Those who waited for their time, which has come.
    due: Line = field(default_factory=Line)
    others: Line = field(default_factory=Line)
    #: How many due ones in a row left before the others.
    overtook: int = 0
    #: Slots that are booked and not yet due.
    booked: int = 0
    #: Set whenever there may be something to book.
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def unbooked(self) -> int:
        """Requests for which no slot is booked yet."""
        return len(self) - self.booked

    def __len__(self) -> int:
        return len(self.due) + len(self.others)

    def __iter__(self) -> Iterator[Waiting]:
        yield from self.due
        yield from self.others

    def part_of(self, waiting: Waiting) -> Line:
        """Where in this line *waiting* stands."""
        return self.due if waiting.request.due else self.others

    def pop(self) -> Waiting:
        """Take who is next; raises IndexError when nobody waits."""
        if is_due_next(len(self.due), len(self.others), self.overtook):
            self.overtook += bool(self.others)
            return self.due.pop()
        self.overtook = 0
        return self.others.pop()


def _alone(_: Request) -> None:
    """With nobody."""


class WaitingRoom:
    """One line per operation of a single call and lane; who may go in a batch call is in a group besides."""

    def __init__(self, key_of: Callable[[Request], BatchKey | None] = _alone) -> None:
        """Open with empty lines; *key_of* says with whom a request may go in a batch call."""
        self.key_of = key_of
        #: Those who join later.
        self._later: dict[Waiting, asyncio.TimerHandle] = {}
        self._lanes = {operation: {lane: WaitingLine() for lane in Lane} for operation in SINGLES}
        self.lines: Mapping[tuple[Operation, Lane], WaitingLine] = {
            (operation, lane): line for operation, lines in self._lanes.items() for lane, line in lines.items()
        }
        self.groups = Groups()

    def line_of(self, request: Request) -> WaitingLine:
        """Where *request* waits."""
        return self._lanes[Operation.of(request.sms)][request.lane]

    def join(self, waiting: Waiting, *, at_the_front: bool = False) -> None:
        """Add *waiting* to its line and wake the line's pump; *at_the_front* of those with the same deadline."""
        line = self.line_of(waiting.request)
        line.part_of(waiting).join(waiting, at_the_front=at_the_front)
        if waiting.key is not None:
            self.groups.join(waiting, waiting.key)
        line.wake.set()

    def join_after(self, waiting: Waiting, after_s: float) -> None:
        """Add *waiting* to the front of its line after *after_s* seconds; until then it takes no slot."""
        loop = asyncio.get_running_loop()
        self._later[waiting] = loop.call_later(after_s, self._join_now, waiting)

    def _join_now(self, waiting: Waiting) -> None:
        del self._later[waiting]
        self.join(waiting, at_the_front=True)

    def take(self, slot: Slot) -> Waiting | None:
        """Take the best of those who may use *slot*; None when nobody waits."""
        lines = self._lanes[slot.operation]
        while lane := lane_for(slot.lane, lines, floor=slot.floor):
            waiting = lines[lane].pop()
            if waiting.key is not None:
                self.groups.leave(waiting, waiting.key)
            if not waiting.turn.done():
                return waiting
        return None

    def remove(self, waiting: Waiting) -> bool:
        """Take *waiting* out of its line, or do not let it join; False when it has left already."""
        if (timer := self._later.pop(waiting, None)) is not None:
            timer.cancel()
            return True
        if not self.line_of(waiting.request).part_of(waiting).remove(waiting):
            return False
        if waiting.key is not None:
            self.groups.leave(waiting, waiting.key)
        return True

    def wake(self) -> None:
        """Wake the pump of every line in which somebody waits."""
        for line in self.lines.values():
            if len(line):
                line.wake.set()

    def count(self) -> Mapping[Lane, int]:
        """How many wait, per lane."""
        return {lane: sum(len(self.lines[operation, lane]) for operation in SINGLES) for lane in Lane}

    def __iter__(self) -> Iterator[Waiting]:
        """Everybody who waits now."""
        return iter([*chain.from_iterable(self.lines.values()), *self._later])
