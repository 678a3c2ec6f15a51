"""What grant.lua replies."""

from collections.abc import Callable
from typing import Any, Final

from worker.core.limits.bucket import SECOND_US
from worker.core.limits.quota import Grant, Held, Slots, Turn
from worker.errors import LimiterUnavailable
from worker.limiter.border import understood

#: Kinds of slots.
_FLOOR: Final = 1
_PROBE: Final = 2


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
