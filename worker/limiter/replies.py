"""What grant.lua and epoch.lua reply."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from worker.core.limits.bucket import SECOND_US
from worker.core.limits.quota import Grant, Held, Slots, Turn
from worker.errors import LimiterUnavailable
from worker.limiter.border import understood

#: Kinds of slots.
_FLOOR: Final = 1
_PROBE: Final = 2
#: What epoch.lua finds.
VERDICTS: Final = (b"SAME", b"EMPTY", b"RESTARTED", b"CLOCK")
_NEWS: Final[Mapping[bytes, str]] = {b"RESTARTED": "limiter.restarted", b"CLOCK": "limiter.clock"}


@understood
def granted(reply: Any, when: Callable[[int], tuple[float | None, float]]) -> Grant:
    """What *reply* means; *when* tells an instant of Redis' clock on ours, and how far that may be too late."""
    match reply:
        case [b"SLOTS", kind, now_us, *waits]:
            since, doubt_s = when(now_us)
            waits_s = tuple(wait / SECOND_US for wait in waits)
            return Slots(waits_s, since, doubt_s, floor=kind == _FLOOR, probe=kind == _PROBE)
        case [b"TURN", after]:
            return Turn(after / SECOND_US)
        case [b"HELD", after, code]:
            return Held(after / SECOND_US, code.decode())
        case [b"COLD"] | [b"CLOCK"]:
            raise LimiterUnavailable("Redis forgets the limits as soon as they are set: is something emptying it?")
    raise LimiterUnavailable("Redis answered what this version does not know")


def epoch_event(verdict: bytes, *, known: bool) -> str | None:
    """The event that tells of *verdict*; None when nothing was forgotten.

    Nothing there is the beginning for who was never here, and a loss for whom it was *known* to.

    >>> epoch_event(b"EMPTY", known=False), epoch_event(b"EMPTY", known=True), epoch_event(b"SAME", known=True)
    ('limiter.new', 'limiter.emptied', None)
    """
    if verdict == b"EMPTY":
        return "limiter.emptied" if known else "limiter.new"
    return _NEWS.get(verdict)
