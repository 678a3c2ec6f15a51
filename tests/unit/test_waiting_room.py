"""In which order the waiting room lets requests take slots."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.makers import make_request
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.delivery.waiting import Slot, Waiting
from worker.delivery.waiting_room import WaitingRoom


@pytest.fixture
def room() -> Iterator[WaitingRoom]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield WaitingRoom()
    asyncio.set_event_loop(None)
    loop.close()


def waiting(name: str, lane: Lane = Lane.NOTIFY, *, due: bool = False) -> Waiting:
    request = make_request(lane, id=name)._replace(due=due)
    return Waiting(request, 0.0, asyncio.get_event_loop().create_future())


def slot(lane: Lane = Lane.NOTIFY, *, floor: bool = False) -> Slot:
    return Slot(Operation.GLOBE, lane, 0.0, 1.0, floor=floor, probe=False)


def order(room: WaitingRoom, *slots: Slot) -> list[str]:
    taken = [room.take(each) for each in slots or [slot()] * sum(room.count().values())]
    return [each.request.sms.id for each in taken if each]


def test_what_is_due_goes_before_the_backlog_of_its_lane_in_its_own_order(room: WaitingRoom) -> None:
    for name in ("new-1", "new-2"):
        room.join(waiting(name))
    for name in ("due-1", "due-2"):
        room.join(waiting(name, due=True))

    assert order(room) == ["due-1", "due-2", "new-1", "new-2"]


def test_what_is_due_does_not_go_before_a_more_urgent_lane(room: WaitingRoom) -> None:
    room.join(waiting("due", Lane.MARKETING, due=True))
    room.join(waiting("code", Lane.OTP))

    assert order(room) == ["code", "due"]


def test_a_guaranteed_slot_is_for_its_own_lane_and_there_for_what_is_due(room: WaitingRoom) -> None:
    room.join(waiting("due-code", Lane.OTP, due=True))
    room.join(waiting("offer", Lane.MARKETING))
    room.join(waiting("due-offer", Lane.MARKETING, due=True))

    assert order(room, slot(Lane.MARKETING, floor=True), slot(), slot()) == ["due-offer", "due-code", "offer"]


def test_endless_retries_leave_every_fourth_slot_to_the_others(room: WaitingRoom) -> None:
    for number in range(7):
        room.join(waiting(f"due-{number}", due=True))
    for number in range(3):
        room.join(waiting(f"new-{number}"))

    assert [name.partition("-")[0] for name in order(room)] == ["due"] * 3 + ["new"] + ["due"] * 3 + [
        "new",
        "due",
        "new",
    ]


def test_due_ones_that_nobody_had_to_wait_for_do_not_count(room: WaitingRoom) -> None:
    for number in range(5):
        room.join(waiting(f"due-{number}", due=True))
    assert len(order(room)) == 5
    room.join(waiting("new"))
    room.join(waiting("due", due=True))

    assert order(room) == ["due", "new"]


def test_who_is_put_back_stands_in_front_of_his_own_part(room: WaitingRoom) -> None:
    room.join(waiting("new"))
    room.join(waiting("due-2", due=True))
    room.join(waiting("due-1", due=True), at_the_front=True)
    room.join(waiting("newer"), at_the_front=True)

    assert order(room) == ["due-1", "due-2", "newer", "new"]


def test_all_who_wait_are_counted_listed_and_can_be_removed(room: WaitingRoom) -> None:
    due, new = waiting("due", due=True), waiting("new")
    room.join(due)
    room.join(new)
    line = room.line_of(due.request)

    assert (room.count()[Lane.NOTIFY], line.unbooked, list(room)) == (2, 2, [due, new])
    assert (room.remove(due), room.remove(due), list(room)) == (True, False, [new])
