"""Queues and their consumers, and the order in which messages come."""

import random
from datetime import timedelta

import pytest

from worker.core.message.request import read
from worker.simulation.agenda import Agenda
from worker.simulation.arrivals import Arrival, Arrivals, Stream
from worker.simulation.kind import Kind
from worker.simulation.queues import Consumer, Delayed, Queue

SECOND = 1_000_000


def kind(sender: str = "Shop") -> Kind:
    fields = {"id": "r-1", "to": "+85251234567", "type": "MKT", "text": "A sale.", "from": sender}
    return Kind(read(fields), timedelta(hours=1))


class Taker:
    """A worker that notes what it was given."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.given: list[tuple[int, Arrival]] = []

    def receive(self, now: int, arrival: Arrival, consumer: Consumer) -> bool:
        self.given.append((now, arrival))
        return self.takes


def taken(arrivals: Arrivals) -> list[Arrival]:
    found = []
    while arrivals.next_at < float("inf"):
        found.append(arrivals.take())
    return found


def test_streams_that_begin_together_are_mixed_evenly() -> None:
    shop, club = kind(), kind("Club")
    arrivals = Arrivals([Stream([shop], 6, SECOND, None), Stream([club], 3, SECOND, None)], random.Random(1))

    found = [arrival.kind for arrival in taken(arrivals)]

    assert found.count(shop) == 6
    assert all(found[start : start + 3].count(club) == 1 for start in (0, 3, 6))


def test_a_rate_is_kept_in_every_second() -> None:
    stream = Stream([kind()], 50, SECOND, 10.0)
    instants = [arrival.published for arrival in taken(Arrivals([stream], random.Random(1)))]

    assert instants == sorted(instants)
    for second in range(1, 6):
        assert sum(second * SECOND <= instant < (second + 1) * SECOND for instant in instants) == 10
    assert [stream.published_by(instant * SECOND) for instant in (0, 1, 3.5, 99)] == [0, 0, 25, 50]


def test_consumers_take_turns_as_long_as_they_have_room() -> None:
    agenda = Agenda()
    queue = Queue(agenda, Arrivals([Stream([kind()], 10, SECOND, None)], random.Random(1)))
    first, second = Taker(), Taker()
    small, large = Consumer(queue, first, 2), Consumer(queue, second, 5)

    queue.deal(SECOND)
    assert (len(first.given), len(second.given), small.room, large.room) == (2, 5, 0, 0)
    small.settle(SECOND)
    assert len(first.given) == 3
    large.settle(SECOND, 4)
    assert (len(first.given), len(second.given), large.room) == (3, 7, 2)


def test_who_takes_nothing_keeps_its_room() -> None:
    queue = Queue(Agenda(), Arrivals([Stream([kind()], 10, SECOND, None)], random.Random(1)))
    taker = Taker(takes=False)
    consumer = Consumer(queue, taker, 1)

    queue.deal(SECOND)
    assert (len(taker.given), consumer.room) == (10, 1)


def test_what_is_delayed_comes_when_its_time_has_come() -> None:
    agenda, delayed, taker = Agenda(), Delayed(), Taker()
    queue = Queue(agenda, delayed)
    Consumer(queue, taker, 9)
    late, soon = Arrival(kind(), 0, None), Arrival(kind(), 1, None)

    delayed.add(7 * SECOND, late)
    queue.deal(0)
    delayed.add(3 * SECOND, soon)
    queue.deal(0)
    agenda.run(lambda: len(taker.given) == 2)

    assert taker.given == [(3 * SECOND, soon), (7 * SECOND, late)]


def test_events_of_one_instant_keep_their_order() -> None:
    agenda, seen = Agenda(), list[str]()
    for name in "abc":
        agenda.at(5, lambda _, what: seen.append(what), name)
    agenda.at(4, lambda _, what: seen.append(what), "first")
    agenda.run(lambda: len(seen) == 4)

    assert seen == ["first", "a", "b", "c"]
    with pytest.raises(IndexError):
        agenda.run(lambda: False)


@pytest.mark.parametrize("left_s", [0.5, 1, 1.9, 2, 4.9, 5, 9.99, 10, 259_200])
def test_a_kinds_key_is_that_of_the_core(left_s: float) -> None:
    cached = kind()
    cached.key(None, 3 * SECOND)
    found = [cached.key(None, int(left_s * SECOND)) for _ in range(2)]

    assert found[0] == found[1] == kind().key(None, int(left_s * SECOND))
    validity = {0.5: 0, 1.9: 1, 4.9: 2, 9.99: 5, 259_200: 200_000}.get(left_s, int(left_s))
    assert (found[0].validity_s if found[0] else 0) == validity
