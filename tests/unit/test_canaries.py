"""How many of a new likeness go into one call."""

import pytest

from worker.core.batch import Likeness
from worker.delivery import canaries as module
from worker.delivery.canaries import Canaries

NEW, OTHER = Likeness("Shop", "852", 1), Likeness("Shop", "65", 1)


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


def call(canaries: Canaries, *likenesses: Likeness, accepted: bool = True) -> None:
    canaries.began(likenesses)
    canaries.ended(likenesses, accepted=accepted)


def test_each_accepted_call_lets_ten_times_as_many_go(canaries: Canaries) -> None:
    allowances = []
    for _ in range(4):
        allowances.append(canaries.allowance(NEW))
        call(canaries, NEW)

    assert allowances == [10, 100, 1000, 1000]
    assert canaries.allowance(OTHER) == 10


def test_while_the_answer_is_awaited_none_of_what_is_not_proven_goes(canaries: Canaries) -> None:
    canaries.began([NEW])

    assert (canaries.allowance(NEW), canaries.allowance(OTHER)) == (0, 10)
    canaries.ended([NEW], accepted=True)
    call(canaries, NEW)
    canaries.began([NEW])
    assert canaries.allowance(NEW) == 1000


def test_what_was_not_accepted_begins_anew(canaries: Canaries) -> None:
    call(canaries, NEW)
    call(canaries, NEW, accepted=False)

    assert canaries.allowance(NEW) == 10


def test_what_was_accepted_long_ago_proves_nothing() -> None:
    now = 1000.0
    canaries = Canaries(lambda: now)
    call(canaries, NEW)
    assert canaries.allowance(NEW) == 100
    now += 3600
    assert canaries.allowance(NEW) == 10


def test_no_more_are_remembered_than_there_is_room_for(canaries: Canaries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 2)
    for text in range(3):
        call(canaries, Likeness("Shop", "852", text))

    assert [canaries.allowance(Likeness("Shop", "852", text)) for text in range(3)] == [10, 100, 100]


def test_a_call_that_was_not_made_shows_nothing(canaries: Canaries) -> None:
    call(canaries, NEW)
    canaries.began([OTHER, NEW])
    canaries.ended([OTHER, NEW], accepted=None)

    assert (canaries.allowance(NEW), canaries.allowance(OTHER)) == (100, 10)
