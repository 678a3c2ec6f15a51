"""The brake: when much goes wrong that may be our own fault, less should go wrong until somebody has looked.

A worker with a bug, or a publisher that was changed, turns a full queue into a full dead-letter queue within minutes.
So the dispositions that were settled lately are watched, and when too many of them are bad, intake pauses.

      ┌──────────┐   of the last `sample`, too many are bad   ┌────────┐
      │ Released │ ─────────────────────────────────────────> │ Braked │ nothing is let in
      └──────────┘                                            └────────┘
            ▲                                                   ▲    │
            │ `trial` settled, not too bad         too bad:     │    │ the pause is over
            │ or its time is over: doubted         the pause    │    ▼
            │                                      doubles     ┌────────┐
            └───────────────────────────────────────────────── │ Trying │ a few are let in
                                                               └────────┘

Too bad: so many internal errors that they are a greater part of `sample` than `internal`, or so many dead letters that
may be our fault that they are a greater part than `dead`. So many are enough, also before the sample is whole, and
however slowly they come; but bad ones that come more rarely than one in `RARELY_S` on average are no reason to stop.
Nothing else is forgotten by age. Dead letters that the world causes (expired, limited, a wrong number) are none of
them. What is settled while braked was begun before, and is not counted; nor is the lost call of a worker that died,
which is known only now, and says nothing of how calls go. Of a batch call that fails as a whole ten count: one is no
reason to stop, several in a row are.

A trial ends when `trial` dispositions were settled, when too many of them are bad, or when it lasted as long as the
pause before it (`TRIAL_S` at least). In the last case too little came to prove anything: everything is let in, but
doubted, that is, judged as in a trial until `trial` dispositions were settled, and a pause that follows doubles too.

Instants are seconds of a clock that only goes forward.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from math import floor
from typing import Final, NamedTuple, Self, TypeAlias

from worker.core.limits.ledger import CALLER_LOST
from worker.core.outcome.disposition import Dead, Disposition, Requeue
from worker.core.outcome.outcome import ErrorClass

#: Classes whose dead letters may be the fault of this program, of its configuration, or of whoever publishes.
OURS: Final = frozenset(
    {ErrorClass.INTERNAL, ErrorClass.MALFORMED, ErrorClass.INVALID, ErrorClass.CONTENT, ErrorClass.UNKNOWN}
)
#: Bad ones that come more rarely than one in so many seconds are no reason to stop.
RARELY_S: Final = 600.0
#: A trial lasts so long at least, so that a slow call can come to its end. Seconds.
TRIAL_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator bears."""

    #: The part of internal errors, 0 to 1; 1 bears all.
    internal: float = 0.05
    #: The part of dead letters that may be our fault, 0 to 1; 1 bears all.
    dead: float = 0.5
    #: Dispositions that are judged at a time, the latest; the parts are parts of so many.
    sample: int = 100
    #: The first pause.
    pause: timedelta = timedelta(seconds=30)
    #: The longest pause, and the longest trial.
    longest: timedelta = timedelta(minutes=10)
    #: Dispositions after a pause that show whether it has become better.
    trial: int = 20


class Settled(NamedTuple):
    """What the brake remembers of one disposition."""

    at_s: float
    #: Class and code of a dead letter that may be our fault; None for everything else.
    fault: tuple[ErrorClass, str] | None = None

    @classmethod
    def of(cls, disposition: Disposition, at_s: float) -> Self | None:
        """Read *disposition*; None when nothing happened to the request now."""
        if isinstance(disposition, Requeue):
            return None
        if isinstance(disposition, Dead) and (disposition.echoes or disposition.reason.code == CALLER_LOST):
            return None
        if isinstance(disposition, Dead) and disposition.reason.error_class in OURS:
            return cls(at_s, (disposition.reason.error_class, disposition.reason.code))
        return cls(at_s)


class Bad(NamedTuple):
    """A dead letter that may be our fault, and how many were settled up to it."""

    number: int
    at_s: float
    fault: tuple[ErrorClass, str]


class Sample(NamedTuple):
    """The latest dispositions: how many they are, and those of them that are bad, the oldest first.

    Of the others nothing is kept but their number, so a message that goes well costs next to nothing.
    """

    size: int = 0
    bad: tuple[Bad, ...] = ()
    #: How many were ever settled.
    number: int = 0

    @property
    def internal(self) -> int:
        """Internal errors among them."""
        return sum(map(_is_internal, self.bad))

    @property
    def dead(self) -> int:
        """Dead letters among them that may be our fault, the internal errors included."""
        return len(self.bad)

    def with_(self, settled: Settled, most: int) -> "Sample":
        """Add *settled*, and forget the oldest beyond *most*."""
        number, size, bad = self.number + 1, min(self.size + 1, most), self.bad
        if bad and bad[0].number <= number - size:
            bad = tuple(one for one in bad if one.number > number - size)
        if settled.fault is not None:
            bad = (*bad, Bad(number, settled.at_s, settled.fault))
        return Sample(size, bad, number)

    def is_too_bad(self, limits: Limits, of: int, now_s: float) -> bool:
        """Whether the bad ones are too great a part of *of* dispositions, and not too rare to say anything."""
        return bool(self.bad) and (
            (self.internal / of > limits.internal and self._are_frequent(_is_internal, limits.internal, of, now_s))
            or (self.dead / of > limits.dead and self._are_frequent(lambda _: True, limits.dead, of, now_s))
        )

    def _are_frequent(self, is_meant: Callable[[Bad], bool], part: float, of: int, now_s: float) -> bool:
        """Whether the latest bad ones, as many as exceed *part* of *of*, came in no more than their time."""
        enough = enough_of(part, of)
        latest = islice((one.at_s for one in reversed(self.bad) if is_meant(one)), enough)
        return now_s - min(latest) <= enough * RARELY_S

    def cause(self) -> "Cause":
        """Why it is too bad, in numbers."""
        (((error_class, code), _),) = Counter(one.fault for one in self.bad).most_common(1)
        return Cause(self.internal, self.dead, self.size, error_class, code)


def enough_of(part: float, of: int) -> int:
    """The smallest number that is a greater part of *of* than *part*."""
    nearly = floor(part * of)  # floats: 0.29 * 100 is 28.999999999999996
    return next(number for number in range(nearly, nearly + 3) if number / of > part)


@dataclass(frozen=True, slots=True)
class Cause:
    """What was found when the brake was set."""

    internal: int
    #: Dead letters that may be our fault, the internal errors among them.
    dead: int
    #: Of so many dispositions.
    settled: int
    #: The most frequent class and code of the bad ones.
    error_class: ErrorClass
    code: str

    def __str__(self) -> str:
        """For people: ``60 of 100 dead, mostly invalid INVALID_PARAMETERS``."""
        return f"{self.dead} of {self.settled} dead, mostly {self.error_class.value} {self.code}"


@dataclass(frozen=True, slots=True)
class Released:
    """Everything goes on."""

    sample: Sample = field(default_factory=Sample)
    #: The pause before a trial to which too little came to prove anything; None when there is no such doubt.
    doubted: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Braked:
    """Nothing is let in until *until_s*."""

    since_s: float
    until_s: float
    pause: timedelta
    cause: Cause


@dataclass(frozen=True, slots=True)
class Trying:
    """A few are let in, to see whether it has become better."""

    since_s: float
    #: When it ends, whatever came.
    until_s: float
    #: The pause before.
    pause: timedelta
    #: Why it was braked.
    cause: Cause
    sample: Sample = field(default_factory=Sample)


Brake: TypeAlias = Released | Braked | Trying


def after(brake: Brake, settled: Settled, limits: Limits) -> Brake:
    """The brake when *settled* has happened."""
    if isinstance(brake, Braked):
        return brake
    pause, now_s = brake.doubted if isinstance(brake, Released) else brake.pause, settled.at_s
    if pause is None:
        return _watched(brake.sample.with_(settled, limits.sample), now_s, limits)
    return _tried(brake, brake.sample.with_(settled, limits.trial), now_s, pause, limits)


def at(brake: Brake, now_s: float) -> Brake:
    """The brake when it is *now_s* and nothing else has happened."""
    match brake:
        case Braked(since_s, until_s, pause, cause) if now_s >= until_s:
            return Trying(since_s, now_s + max(pause.total_seconds(), TRIAL_S), pause, cause)
        case Trying(_, until_s, pause, _, sample) if now_s >= until_s:
            return Released(sample, pause)
        case _:
            return brake


def _watched(sample: Sample, now_s: float, limits: Limits) -> Brake:
    if sample.is_too_bad(limits, limits.sample, now_s):
        return _braked(now_s, now_s, limits.pause, sample.cause())
    return Released(sample)


def _tried(brake: Released | Trying, sample: Sample, now_s: float, pause: timedelta, limits: Limits) -> Brake:
    if sample.is_too_bad(limits, limits.trial, now_s):
        since_s = brake.since_s if isinstance(brake, Trying) else now_s
        return _braked(since_s, now_s, min(pause * 2, limits.longest), sample.cause())
    if sample.size >= limits.trial:
        return Released(sample)
    return replace(brake, sample=sample)


def _braked(since_s: float, now_s: float, pause: timedelta, cause: Cause) -> Braked:
    return Braked(since_s, now_s + pause.total_seconds(), pause, cause)


def _is_internal(bad: Bad) -> bool:
    return bad.fault[0] is ErrorClass.INTERNAL
