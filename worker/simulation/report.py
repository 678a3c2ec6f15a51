"""What a plan came to, in numbers."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from worker.core.limits.bucket import SECOND_US
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.simulation.arrivals import Stream
from worker.simulation.books import Books, LaneBooks

#: Points of a curve at the most: a plot is no wider.
MOST_POINTS: Final = 240


@dataclass(frozen=True, slots=True)
class Waits:
    """From the publication of an accepted message to its call. Seconds."""

    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, waits_us: "array[int]") -> "Waits | None":
        """Of so many; None when there are none."""
        if not waits_us:
            return None
        ordered = sorted(waits_us)
        p50, p99 = (ordered[ceil(len(ordered) * part) - 1] / SECOND_US for part in (0.50, 0.99))
        return cls(p50, p99, ordered[-1] / SECOND_US)


@dataclass(frozen=True, slots=True)
class Curves:
    """A lane over time, at even distances from the beginning on."""

    #: Messages that are published and have not ended, at the end of each step.
    backlog: Sequence[float]
    #: Messages accepted per second, in each step.
    rate: Sequence[float]


@dataclass(frozen=True, slots=True)
class LaneReport:
    """What became of a lane's messages."""

    published: int
    sent: int
    dead: Mapping[ErrorClass, int]
    segments: int
    #: Times that a message was given back, to be tried again later.
    retries: int
    waits: Waits | None
    curves: Curves

    @property
    def expired(self) -> int:
        """Messages whose deadline came first."""
        return self.dead.get(ErrorClass.EXPIRED, 0)


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one operation."""

    calls: int
    #: Of them, as a whole.
    refused: int
    #: The part of the quota, of the whole time, in which they were made.
    used: float
    #: Slots that nobody needed when they came.
    unused: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything."""

    #: From the beginning until the last message ended.
    seconds: float
    #: Between two points of the curves.
    step_s: float
    lanes: Mapping[Lane, LaneReport]
    singles: Calls
    #: None: there are no batch calls.
    batches: Calls | None
    #: Members of a batch call on average, and the part of the largest possible that this is.
    fill: float
    filled: float

    @property
    def messages_per_s(self) -> float:
        """Messages accepted, on average over the whole time."""
        return sum(lane.sent for lane in self.lanes.values()) / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """As one object; seconds are rounded to the millisecond."""
        lanes = {lane.value: _lane(report) for lane, report in self.lanes.items()}
        return {
            "seconds": round(self.seconds, 3),
            "messages_per_s": round(self.messages_per_s, 1),
            "lanes": lanes,
            "singles": _calls(self.singles),
            "batches": self.batches and {**_calls(self.batches), "fill": round(self.fill, 1), "filled": self.filled},
            "step_s": self.step_s,
        }


def report_of(
    books: Books, streams: Mapping[Lane, Sequence[Stream]], rates: Mapping[Operation, int], size: int
) -> Report:
    """What *books* say at the end; a batch call has at most *size* members."""
    seconds = (books.last - books.begins) / SECOND_US
    step_s = max(1, ceil((seconds + 1) / MOST_POINTS))
    steps = int(seconds // step_s) + 1
    lanes = {
        lane: _lane_report(books.lanes[lane], found, _Steps(books.begins, step_s, steps))
        for lane, found in streams.items()
        if found
    }

    def calls(operation: Operation) -> Calls:
        made = books.calls[operation]
        used = made / (rates[operation] * seconds) if seconds else 0.0
        return Calls(made, books.refused[operation], used, books.unused[operation])

    fill = books.members / books.calls[Operation.BATCH] if books.calls[Operation.BATCH] else 0.0
    batches = calls(Operation.BATCH) if Operation.BATCH in rates else None
    return Report(seconds, step_s, lanes, calls(Operation.GLOBE), batches, fill, fill / size if size else 0.0)


@dataclass(frozen=True, slots=True)
class _Steps:
    begins: int
    step_s: int
    count: int

    def sums(self, per_second: Mapping[int, int]) -> list[int]:
        """How many in each step."""
        found = [0] * self.count
        for second, messages in per_second.items():
            found[min(second // self.step_s, self.count - 1)] += messages
        return found

    def at_their_ends(self, count_by: Callable[[float], float]) -> list[float]:
        """How many there are until the end of each."""
        return [count_by(self.begins + (step + 1) * self.step_s * SECOND_US) for step in range(self.count)]


def _lane_report(books: LaneBooks, streams: Sequence[Stream], steps: _Steps) -> LaneReport:
    published = steps.at_their_ends(lambda instant: sum(stream.published_by(instant) for stream in streams))
    ended, backlog = 0, []
    for step, messages in enumerate(steps.sums(books.ended)):
        ended += messages
        backlog.append(max(published[step] - ended, 0.0))
    curves = Curves(backlog, [sent / steps.step_s for sent in steps.sums(books.sent_at)])
    total = sum(stream.messages for stream in streams)
    waits = Waits.of(books.waits_us)
    return LaneReport(total, books.sent, dict(books.dead), books.segments, books.resent, waits, curves)


def _lane(report: LaneReport) -> dict[str, Any]:
    waits = report.waits
    return {
        "published": report.published,
        "sent": report.sent,
        "expired": report.expired,
        "dead": {error_class.value: count for error_class, count in report.dead.items()},
        "segments": report.segments,
        "retries": report.retries,
        "wait_s": waits and {"p50": waits.p50, "p99": waits.p99, "max": waits.most},
        "backlog": [round(one) for one in report.curves.backlog],
        "sent_per_s": [round(one, 1) for one in report.curves.rate],
    }


def _calls(calls: Calls) -> dict[str, Any]:
    return {"calls": calls.calls, "refused": calls.refused, "used": round(calls.used, 4), "unused": calls.unused}
