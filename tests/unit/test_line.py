"""The order in which those of one line leave."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.makers import NOW, make_request
from worker.core.message.lane import Lane
from worker.delivery.line import Line
from worker.delivery.waiting import Waiting


@pytest.fixture(autouse=True)
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture
def line() -> Line:
    return Line()


def waiting(loop: asyncio.AbstractEventLoop, name: str, seconds: float = 60) -> Waiting:
    request = make_request(Lane.NOTIFY, id=name, deadline=NOW + timedelta(seconds=seconds))
    return Waiting(request, 0.0, loop.create_future())


def names(line: Line) -> list[str]:
    return [line.pop().request.sms.id for _ in range(len(line))]


def test_the_earliest_deadline_leaves_first_and_of_equal_ones_who_came_first(
    line: Line, loop: asyncio.AbstractEventLoop
) -> None:
    for name, seconds in (("b", 60), ("late", 90), ("c", 60), ("early", 5)):
        line.join(waiting(loop, name, seconds))

    assert names(line) == ["early", "b", "c", "late"]


def test_at_the_front_is_before_all_with_the_same_deadline(line: Line, loop: asyncio.AbstractEventLoop) -> None:
    line.join(waiting(loop, "b"))
    line.join(waiting(loop, "a"), at_the_front=True)
    line.join(waiting(loop, "early", 5))

    assert names(line) == ["early", "a", "b"]


def test_who_left_from_the_middle_is_not_met_again_but_may_come_back(
    line: Line, loop: asyncio.AbstractEventLoop
) -> None:
    a, b, c = (waiting(loop, name) for name in "abc")
    for one in (a, b, c):
        line.join(one)

    assert line.remove(b)
    assert not line.remove(b)
    assert (len(line), set(line)) == (2, {a, c})
    line.join(b)
    assert names(line) == ["a", "c", "b"]
    with pytest.raises(IndexError):
        line.pop()


def test_those_who_left_are_not_kept(line: Line, loop: asyncio.AbstractEventLoop) -> None:
    everybody = [waiting(loop, str(number)) for number in range(1000)]
    for one in everybody:
        line.join(one)
    for one in everybody[:-1]:
        line.remove(one)

    assert len(line._heap) < 200
    assert names(line) == ["999"]
