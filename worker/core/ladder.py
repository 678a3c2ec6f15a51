"""The ladder of delays: which rungs a delay takes, and the bits of its routing key.

Rung *n* holds a message for 2**n seconds; below the whole seconds there are four more. A delay in steps of a sixteenth
of a second, written in binary, is the first part of the routing key: one bit for each rung, the longest first. So one
publish reaches any delay, with at most one hop per set bit, and no message waits behind a longer one.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

#: Rungs of whole seconds: 2**22 seconds are 48 days, and a schedule reaches 31.
LEVELS: Final = 22
#: Rungs below: a half, a quarter, an eighth and a sixteenth of a second, in milliseconds. RabbitMQ takes whole ones,
#: and no message may come early.
_FRACTIONS_MS: Final = (500, 250, 125, 63)
#: A delay is rounded up to a multiple of this.
STEP: Final = timedelta(seconds=1) / 16


@dataclass(frozen=True, slots=True)
class Rung:
    """One queue of the ladder, and the exchange before it."""

    #: The last part of both names.
    name: str
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Descent:
    """How a delayed message comes down the ladder."""

    #: Where it enters: the rung of its highest bit.
    first: Rung
    bits: str


def seconds(levels: int) -> tuple[Rung, ...]:
    """The rungs of whole seconds, the longest first."""
    return tuple(Rung(f"{level:02d}", 1000 * 2**level) for level in reversed(range(levels)))


def fractions() -> tuple[Rung, ...]:
    """The rungs below a second, the longest first."""
    return tuple(Rung(f"{ttl_ms:03d}ms", ttl_ms) for ttl_ms in _FRACTIONS_MS)


def longest(levels: int) -> timedelta:
    """What a ladder holds at most: every bit is set."""
    return timedelta(seconds=1) * (1 << levels) - STEP


def descent(delay: timedelta, levels: int) -> Descent | None:
    """The way of *delay*, rounded up to a `STEP` and cut at the `longest`; None when it is not positive.

    >>> descent(timedelta(seconds=4.2), levels=4)
    Descent(first=Rung(name='02', ttl_ms=4000), bits='0.1.0.0.0.1.0.0')
    """
    steps = -(-min(delay, longest(levels)) // STEP)  # rounded up, and exact where floats are not
    if steps <= 0:
        return None
    rungs = (*seconds(levels), *fractions())
    bits = format(steps, f"0{len(rungs)}b")
    return Descent(rungs[bits.index("1")], ".".join(bits))
