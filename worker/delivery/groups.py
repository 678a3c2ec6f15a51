"""Those who may go together in a batch call: who waits of each key."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from time import monotonic

from worker.core.batch import BatchKey, Group
from worker.delivery.waiting import Waiting


class Groups:
    """Everybody who waits with a key; who takes a single slot leaves."""

    def __init__(self) -> None:
        #: In the order in which they came: the first has waited longest, or was put back.
        self._waiting: dict[BatchKey, dict[Waiting, None]] = {}
        #: Set when somebody joined: a call may be worth it now.
        self.joined = asyncio.Event()

    def join(self, waiting: Waiting, key: BatchKey) -> None:
        """Add *waiting*."""
        self._waiting.setdefault(key, {})[waiting] = None
        self.joined.set()

    def leave(self, waiting: Waiting, key: BatchKey) -> None:
        """Take *waiting* out."""
        if (group := self._waiting.get(key)) is not None:
            group.pop(waiting, None)
            if not group:
                del self._waiting[key]

    def largest(self) -> int:
        """How many wait of the key of which most wait."""
        return max(map(len, self._waiting.values()), default=0)

    def look(self, now: datetime) -> Mapping[BatchKey, Group]:
        """What waits of each key."""
        since = monotonic()
        return {
            key: Group(
                len(group),
                since - next(iter(group)).since,
                (min(waiting.request.deadline for waiting in group) - now).total_seconds(),
            )
            for key, group in self._waiting.items()
        }

    def most_urgent_first(self, key: BatchKey) -> list[Waiting]:
        """Who waits of *key*, the earliest deadline first."""
        return sorted(self._waiting.get(key, ()), key=_deadline)


def _deadline(waiting: Waiting) -> datetime:
    return waiting.request.deadline
