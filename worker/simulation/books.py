"""What happened so far."""

from array import array
from collections import Counter, defaultdict
from typing import Final

from worker.core.limits.bucket import SECOND_US
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass


class LaneBooks:
    """One lane's."""

    __slots__ = ("dead", "ended", "resent", "segments", "sent", "sent_at", "waits_us")

    def __init__(self) -> None:
        """Nothing happened."""
        self.sent = self.segments = self.resent = 0
        self.dead = Counter[ErrorClass]()
        #: From its publication to the call with which it was accepted, of each message.
        self.waits_us = array("q")
        #: Messages accepted, and those that ended in any way, per second since the plan began.
        self.sent_at: Final[defaultdict[int, int]] = defaultdict(int)
        self.ended: Final[defaultdict[int, int]] = defaultdict(int)


class Books:
    """All lanes', and the calls."""

    def __init__(self, begins: int, messages: int) -> None:
        """*messages* are published from *begins* on."""
        self.begins: Final = begins
        #: Messages that have not ended.
        self.left = messages
        self.last = begins
        self.lanes: Final = {lane: LaneBooks() for lane in Lane}
        #: Calls, and those of them that the provider refused as a whole.
        self.calls = Counter[Operation]()
        self.refused = Counter[Operation]()
        #: Members of all batch calls.
        self.members = 0
        #: Slots that nobody needed when they came.
        self.unused = Counter[Operation]()

    def accepted(self, now: int, called: int, lane: Lane, published: int, segments: int) -> None:
        """The provider took a message in the call that began at *called*."""
        books = self.lanes[lane]
        books.sent += 1
        books.segments += segments
        books.waits_us.append(called - published)
        books.sent_at[(called - self.begins) // SECOND_US] += 1
        self._ended(now, books)

    def died(self, now: int, lane: Lane, error_class: ErrorClass) -> None:
        """A message is dead."""
        books = self.lanes[lane]
        books.dead[error_class] += 1
        self._ended(now, books)

    def _ended(self, now: int, books: LaneBooks) -> None:
        books.ended[(now - self.begins) // SECOND_US] += 1
        self.left -= 1
        self.last = now
