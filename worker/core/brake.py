"""The brake: when much goes wrong that may be our own fault, less should go wrong until somebody has looked.

A worker with a bug, or a publisher that was changed, turns a full queue into a full dead-letter queue within minutes.
So the dispositions that were settled lately are watched, and when too many of them are bad, intake pauses.

                        the last `sample` settled, all within a minute, too bad
      ┌──────────┐ ────────────────────────────────────────────────────────────> ┌────────┐
      │ Released │                                                                │ Braked │ nothing is let in
      └──────────┘                            too bad: the pause doubles          └────────┘
            ▲                       ┌──────────────────────────────────────────────▲   │
            │  `trial` settled,     │                                                  │ the pause is over
            │  not too bad      ┌────────┐                                             │
            └────────────────── │ Trying │ <───────────────────────────────────────────┘
                                └────────┘ a few are let in

Too bad: internal errors are a greater part than `internal`, or dead letters that may be our fault than `dead`. Dead
letters that the world causes (expired, limited, a wrong number) are none of them. What is settled while braked was
begun before, and is not counted.

Instants are seconds of a clock that only goes forward.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Self, TypeAlias

from worker.core.disposition import Dead, Disposition, GiveBack
from worker.core.outcome import ErrorClass

#: Classes whose dead letters may be the fault of this program, of its configuration, or of whoever publishes.
OURS: Final = frozenset(
    {ErrorClass.INTERNAL, ErrorClass.MALFORMED, ErrorClass.INVALID, ErrorClass.CONTENT, ErrorClass.UNKNOWN}
)
#: Dispositions that are older say little about now. Seconds.
LATELY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator bears."""

    #: The part of internal errors, 0 to 1; 1 bears all.
    internal: float = 0.05
    #: The part of dead letters that may be our fault, 0 to 1; 1 bears all.
    dead: float = 0.5
    #: Dispositions that are judged at a time: fewer prove nothing.
    sample: int = 100
    #: The first pause.
    pause: timedelta = timedelta(seconds=30)
    #: The longest pause.
    longest: timedelta = timedelta(minutes=10)
    #: Dispositions after a pause that show whether it has become better.
    trial: int = 20


@dataclass(frozen=True, slots=True)
class Settled:
    """What the brake remembers of one disposition."""

    at_s: float
    #: Class and code of a dead letter that may be our fault; None for everything else.
    fault: tuple[ErrorClass, str] | None = None

    @classmethod
    def of(cls, disposition: Disposition, at_s: float) -> Self | None:
        """Read *disposition*; None when nothing happened to the request."""
        match disposition:
            case GiveBack():
                return None
            case Dead(reason, _) if reason.error_class in OURS:
                return cls(at_s, (reason.error_class, reason.code))
            case _:
                return cls(at_s)


@dataclass(frozen=True, slots=True)
class Sample:
    """The latest dispositions, the oldest first, and how many of them are bad."""

    settled: tuple[Settled, ...] = ()
    internal: int = 0
    dead: int = 0

    def with_(self, settled: Settled, most: int) -> "Sample":
        """Add *settled*, and forget the oldest beyond *most*."""
        gone = self.settled[: max(len(self.settled) + 1 - most, 0)]
        kept = (*self.settled[len(gone) :], settled)
        internal = self.internal + _is_internal(settled) - sum(map(_is_internal, gone))
        dead = self.dead + _is_dead(settled) - sum(map(_is_dead, gone))
        return Sample(kept, internal, dead)

    def is_too_bad(self, limits: Limits, of: int) -> bool:
        """Whether the bad ones are too great a part of *of* dispositions."""
        return self.internal / of > limits.internal or self.dead / of > limits.dead

    def cause(self) -> "Cause":
        """Why it is too bad, in numbers."""
        faults = Counter(one.fault for one in self.settled if one.fault is not None)
        (((error_class, code), _),) = faults.most_common(1)
        return Cause(self.internal, self.dead, len(self.settled), error_class, code)


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
    #: The pause before.
    pause: timedelta
    #: Why it was braked.
    cause: Cause
    sample: Sample = field(default_factory=Sample)


Brake: TypeAlias = Released | Braked | Trying


def after(brake: Brake, settled: Settled, limits: Limits) -> Brake:
    """The brake when *settled* has happened."""
    match brake:
        case Released(sample):
            return _watched(sample.with_(settled, limits.sample), settled.at_s, limits)
        case Trying():
            return _tried(brake, brake.sample.with_(settled, limits.trial), settled.at_s, limits)
        case Braked():
            return brake


def at(brake: Brake, now_s: float) -> Brake:
    """The brake when it is *now_s* and nothing else has happened."""
    if isinstance(brake, Braked) and now_s >= brake.until_s:
        return Trying(brake.since_s, brake.pause, brake.cause)
    return brake


def _watched(sample: Sample, now_s: float, limits: Limits) -> Brake:
    is_whole = len(sample.settled) >= limits.sample
    if is_whole and now_s - sample.settled[0].at_s <= LATELY_S and sample.is_too_bad(limits, limits.sample):
        return _braked(now_s, now_s, limits.pause, sample.cause())
    return Released(sample)


def _tried(brake: Trying, sample: Sample, now_s: float, limits: Limits) -> Brake:
    if sample.is_too_bad(limits, limits.trial):  # also before its end: it can become no better
        return _braked(brake.since_s, now_s, min(brake.pause * 2, limits.longest), sample.cause())
    if len(sample.settled) >= limits.trial:
        return Released()
    return Trying(brake.since_s, brake.pause, brake.cause, sample)


def _braked(since_s: float, now_s: float, pause: timedelta, cause: Cause) -> Braked:
    return Braked(since_s, now_s + pause.total_seconds(), pause, cause)


def _is_internal(settled: Settled) -> bool:
    return settled.fault is not None and settled.fault[0] is ErrorClass.INTERNAL


def _is_dead(settled: Settled) -> bool:
    return settled.fault is not None
