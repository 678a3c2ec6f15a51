"""How old messages are that nobody has decoded: cheap enough to be asked of all that is in hand."""

from collections.abc import Iterable
from datetime import datetime

from worker.core.message.decode import RawMessage, sane
from worker.core.message.history import published_of
from worker.core.message.lane import Lane


def oldest_s(messages: Iterable[RawMessage], now: datetime) -> dict[Lane, float]:
    """How many seconds ago the oldest of *messages* was published first, of each lane where one tells it.

    What publishers write may be nonsense, which tells nothing.
    """
    oldest: dict[Lane, datetime] = {}
    for raw in messages:
        published = sane(published_of(raw.headers), now) or sane(raw.timestamp, now)
        if published is not None:
            oldest[raw.lane] = min(published, oldest.get(raw.lane, published))
    return {lane: (now - published).total_seconds() for lane, published in oldest.items()}
