"""A queue of RabbitMQ with its consumers: in turns each is given what is there, as long as it has room."""

from collections import deque
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Final, Protocol

from worker.simulation.agenda import Agenda
from worker.simulation.arrivals import Arrival


class Source(Protocol):
    """What stands in a queue."""

    #: When the first can be taken, in microseconds; infinite when there is none.
    next_at: float

    def take(self) -> Arrival:
        """Take the first."""


class Receiver(Protocol):
    """A worker."""

    def receive(self, now: int, arrival: Arrival, consumer: "Consumer") -> bool:
        """Take *arrival* in hand; False when it ends at once, and needs no room."""


class Consumer:
    """A worker's room for what comes from one queue."""

    __slots__ = ("queue", "receiver", "room")

    def __init__(self, queue: "Queue", receiver: Receiver, prefetch: int) -> None:
        """At most *prefetch* are in hand at a time."""
        self.queue = queue
        self.receiver = receiver
        self.room = prefetch
        queue.consumers.append(self)

    def settle(self, now: int, messages: int = 1) -> None:
        """So many are in hand no more: others may come."""
        if self.room == 0:
            self.queue.consumers.append(self)
        self.room += messages
        self.queue.deal(now)


class Delayed:
    """Those who wait for their time."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: list[tuple[int, int, Arrival]] = []
        self._order: Final = count()
        self.next_at: float = inf

    def add(self, at: int, arrival: Arrival) -> None:
        """Let *arrival* be taken at *at*."""
        heappush(self._waiting, (at, next(self._order), arrival))
        self.next_at = self._waiting[0][0]

    def take(self) -> Arrival:
        """Take the first."""
        _, _, arrival = heappop(self._waiting)
        self.next_at = self._waiting[0][0] if self._waiting else inf
        return arrival


class Queue:
    """Gives what *source* has to consumers with room."""

    def __init__(self, agenda: Agenda, source: Source) -> None:
        """Nobody consumes yet."""
        self._agenda: Final = agenda
        self._source: Final = source
        #: Those with room, in the order of their turns.
        self.consumers: Final = deque[Consumer]()
        self._looks_at = inf

    def deal(self, now: int, _: object = None) -> None:
        """Give away what can be given, and look again when the next comes."""
        consumers, source = self.consumers, self._source
        while consumers and source.next_at <= now:
            consumer = consumers[0]
            consumers.rotate(-1)
            if consumer.receiver.receive(now, source.take(), consumer):
                consumer.room -= 1
                if consumer.room == 0:
                    consumers.remove(consumer)
        at = source.next_at
        if consumers and at < inf and not now < self._looks_at <= at:
            self._looks_at = at
            self._agenda.at(int(at), self.deal)
