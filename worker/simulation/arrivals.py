"""The messages of one lane in the order of their publication, each made when it is taken: millions need no memory."""

import random
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from math import inf
from typing import Final, NamedTuple

from worker.core.limits.bucket import SECOND_US
from worker.core.message.history import History
from worker.core.outcome.outcome import Failed
from worker.simulation.kind import Kind


class Past(NamedTuple):
    """What has happened to a message, when something has."""

    history: History
    deadline: int
    #: It goes before what is new.
    due: bool
    #: It was named as failed in a batch call: it goes alone, and has this outcome then.
    fate: Failed | None = None


class Arrival(NamedTuple):
    """A message as it comes out of its queue."""

    kind: Kind
    published: int
    past: Past | None


class Stream(NamedTuple):
    """Messages that are published at once, or at a rate."""

    kinds: Sequence[Kind]
    messages: int
    #: Microseconds since 1970.
    start: int
    #: Per second; None: all are there at the start.
    rate: float | None

    def published_by(self, instant: float) -> float:
        """How many are published until *instant*, even where they come in an uneven order."""
        if instant < self.start:
            return 0
        return (
            self.messages if self.rate is None else min(self.messages, (instant - self.start) * self.rate / SECOND_US)
        )

    def instant(self, index: int, dice: random.Random) -> int:
        """When the message *index* is published: at a rate, each somewhere in the time that it has for itself."""
        return self.start if self.rate is None else self.start + int((index + dice.random()) / self.rate * SECOND_US)


class Arrivals:
    """Those of a lane; streams that begin at the same instant are mixed evenly."""

    def __init__(self, streams: Sequence[Stream], dice: random.Random) -> None:
        """*dice* say when a message comes that is published at a rate."""
        self._dice: Final = dice
        #: The next of each stream: when, which part of the stream was before it, the stream, which of it.
        self._heads = [(stream.instant(0, dice), 0.0, number, 0) for number, stream in enumerate(streams)]
        self._streams: Final = streams
        heapify(self._heads)
        self.next_at: float = self._heads[0][0] if self._heads else inf

    def take(self) -> Arrival:
        """The next one; raises IndexError when all were taken."""
        heads = self._heads
        published, _, number, index = heads[0]
        stream = self._streams[number]
        after = index + 1
        if after < stream.messages:
            heapreplace(heads, (stream.instant(after, self._dice), after / stream.messages, number, after))
        else:
            heappop(heads)
        self.next_at = heads[0][0] if heads else inf
        return Arrival(stream.kinds[index % len(stream.kinds)], published, None)
