"""What the verdict of ``epoch.lua`` means for somebody who may have been here before."""

from collections.abc import Mapping
from typing import Final

#: What there is.
VERDICTS: Final = (b"SAME", b"EMPTY", b"RESTARTED", b"CLOCK")
_NEWS: Final[Mapping[bytes, str]] = {b"RESTARTED": "limiter.restarted", b"CLOCK": "limiter.clock"}


def epoch_event(verdict: bytes, *, known: bool) -> str | None:
    """The event that tells of *verdict*; None when nothing was forgotten.

    Nothing there is the beginning for who was never here, and a loss for whom it was *known* to.

    >>> epoch_event(b"EMPTY", known=False), epoch_event(b"EMPTY", known=True), epoch_event(b"SAME", known=True)
    ('limiter.new', 'limiter.emptied', None)
    """
    if verdict == b"EMPTY":
        return "limiter.emptied" if known else "limiter.new"
    return _NEWS.get(verdict)
