"""The requests that wait for a slot in this worker: in which order they leave, and when they leave without one."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.core.limits.quota import Admitted, Operation
from worker.core.message.decode import Request
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Outcome
from worker.core.plan import is_due_next, lane_for


class Slot(NamedTuple):
    """A turn to call, due at *due* (monotonic clock)."""

    operation: Operation
    lane: Lane
    due: float
    #: Used later than this (monotonic clock), it would break the promise of N calls in any second.
    use_by: float
    floor: bool
    probe: bool


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits for its slot."""

    request: Request
    #: When it began to wait (monotonic clock).
    since: float
    #: Becomes its slot, or its outcome when it gets none.
    turn: "asyncio.Future[Slot | Outcome]"
    #: False when its delivery was lost and comes again: then a call would be one too many.
    is_wanted: Callable[[], bool] = lambda: True
    #: Names its caller in the ledger; nobody else has this name.
    caller: str = ""
    #: How often it was claimed: each claim has a token of its own, so nothing that is told late of one hits another.
    claims: int = 0
    #: Seconds until its place in its recipient's windows, when that is near enough to be waited for here.
    rest_s: float = 0.0
    #: Set while it is claimed and counted for the slot that it is about to use.
    admitted: Admitted | None = None

    def resolve(self, turn: Slot | Outcome) -> None:
        """End its wait; its delivery may have been cancelled meanwhile."""
        if not self.turn.done():
            self.turn.set_result(turn)


@dataclass(slots=True)
class WaitingLine:
    """Those who wait for one operation on one lane, and the slots already booked for them."""

    #: Those who waited for their time, which has come.
    due: deque[Waiting] = field(default_factory=deque)
    others: deque[Waiting] = field(default_factory=deque)
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

    def part_of(self, waiting: Waiting) -> deque[Waiting]:
        """Where in this line *waiting* stands."""
        return self.due if waiting.request.due else self.others

    def pop(self) -> Waiting:
        """Take who is next; raises IndexError when nobody waits."""
        if is_due_next(len(self.due), len(self.others), self.overtook):
            self.overtook += bool(self.others)
            return self.due.popleft()
        self.overtook = 0
        return self.others.popleft()


class WaitingRoom:
    """One line per operation and lane."""

    def __init__(self) -> None:
        """Open with empty lines."""
        #: Those who join later.
        self._later: dict[Waiting, asyncio.TimerHandle] = {}
        self._lanes = {operation: {lane: WaitingLine() for lane in Lane} for operation in Operation}
        self.lines: Mapping[tuple[Operation, Lane], WaitingLine] = {
            (operation, lane): line for operation, lines in self._lanes.items() for lane, line in lines.items()
        }

    def line_of(self, request: Request) -> WaitingLine:
        """Where *request* waits."""
        return self._lanes[Operation.of(request.sms)][request.lane]

    def join(self, waiting: Waiting, *, at_the_front: bool = False) -> None:
        """Add *waiting* to its line and wake the line's pump."""
        line = self.line_of(waiting.request)
        if at_the_front:
            line.part_of(waiting).appendleft(waiting)
        else:
            line.part_of(waiting).append(waiting)
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
            if not waiting.turn.done():
                return waiting
        return None

    def remove(self, waiting: Waiting) -> bool:
        """Take *waiting* out of its line, or do not let it join; False when it has left already."""
        if (timer := self._later.pop(waiting, None)) is not None:
            timer.cancel()
            return True
        try:
            self.line_of(waiting.request).part_of(waiting).remove(waiting)
        except ValueError:
            return False
        return True

    def wake(self) -> None:
        """Wake the pump of every line in which somebody waits."""
        for line in self.lines.values():
            if len(line):
                line.wake.set()

    def count(self) -> Mapping[Lane, int]:
        """How many wait, per lane."""
        return {lane: sum(len(self.lines[operation, lane]) for operation in Operation) for lane in Lane}

    def __iter__(self) -> Iterator[Waiting]:
        """Everybody who waits now."""
        return iter([*(waiting for line in self.lines.values() for waiting in line), *self._later])
