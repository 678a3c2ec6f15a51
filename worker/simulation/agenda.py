"""What happens next: the virtual clock, in microseconds since 1970."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, TypeAlias

#: What happens at an instant, to what.
Event: TypeAlias = Callable[[int, Any], None]


class Agenda:
    """Events in the order of their instants; of equal ones, what was put down first happens first."""

    def __init__(self) -> None:
        """Begin with nothing to happen."""
        self._due: list[tuple[int, int, Event, Any]] = []
        self._order: Final = count()
        self.now = 0

    def at(self, instant: int, event: Event, what: Any = None) -> None:
        """Let *event* happen to *what* at *instant*."""
        heappush(self._due, (instant, next(self._order), event, what))

    def run(self, is_over: Callable[[], bool]) -> None:
        """Let everything happen until *is_over*.

        Raises:
            IndexError: nothing is left to happen, and it is not over: a bug.
        """
        due = self._due
        while not is_over():
            self.now, _, event, what = heappop(due)
            event(self.now, what)
