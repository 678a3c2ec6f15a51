"""Who cannot be in time is expired while it waits, and nobody else is."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes import NOW, FakeClock, FakeLimiter, FakeProvider, RecordingEvents
from tests.makers import make_request
from worker.core.limits.learned import LearnedRate
from worker.core.limits.ledger import Known
from worker.core.limits.quota import Operation, Quota
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Acceptance, Accepted, Failed, Sent
from worker.delivery.attempt import Attempts
from worker.delivery.overload import Overload
from worker.delivery.pace import Pace
from worker.delivery.waiting import Waiting
from worker.delivery.waiting_room import WaitingRoom


class Rig:
    """A room with an overload that looks when it is told to."""

    def __init__(self, per_s: float = 10) -> None:
        self.limiter, self.room, self.put_back = FakeLimiter(), WaitingRoom(), list[Waiting]()
        neighbours: Any = (self.limiter, FakeProvider(), catalog(), RecordingEvents())
        attempts = Attempts(*neighbours, now=FakeClock(), can_settle=lambda: True)
        self.overload = Overload(
            self.room,
            attempts,
            catalog(),
            per_s=lambda operation, _: per_s if operation is Operation.GLOBE else 1,
            put_back=self.put_back.append,
            now=FakeClock(),
        )

    def wait(self, number: int, left_s: float, lane: Lane = Lane.OTP) -> Waiting:
        request = make_request(id=f"r-{number}", lane=lane, deadline=NOW + timedelta(seconds=left_s))
        waiting = Waiting(request, 0.0, asyncio.get_running_loop().create_future(), lambda: True, "me")
        self.room.join(waiting)
        return waiting


def ended(waiting: Waiting) -> Any:
    return waiting.turn.result() if waiting.turn.done() else None


async def test_whoever_is_too_far_behind_is_expired_at_once_and_the_others_wait() -> None:
    rig = Rig(per_s=10)
    waiting = [rig.wait(n, 0.55) for n in range(10)]
    later = rig.wait(10, 60)
    await rig.overload.look()

    outcomes = [ended(one) for one in waiting]
    assert outcomes[:6] == [None] * 6, "six go in half a second, the first at once"
    assert {type(one) for one in outcomes[6:]} == {Failed}
    assert {(one.code, one.called) for one in outcomes[6:]} == {("local.expired", False)}
    assert ended(later) is None
    assert rig.room.count()[Lane.OTP] == 7


async def test_the_earliest_deadlines_go_first_whoever_came_first() -> None:
    rig = Rig(per_s=10)
    patient = [rig.wait(n, 30) for n in range(100)]
    urgent = [rig.wait(100 + n, 0.2) for n in range(3)]
    await rig.overload.look()

    assert [ended(one) for one in [*patient, *urgent]] == [None] * 103


async def test_one_lane_does_not_stand_in_the_way_of_another() -> None:
    rig = Rig(per_s=10)
    for n in range(10):
        rig.wait(n, 30)
    notice = rig.wait(10, 0.5, Lane.NOTIFY)
    await rig.overload.look()

    assert ended(notice) is None


async def test_what_was_called_for_before_is_not_expired() -> None:
    rig = Rig(per_s=1)
    known: Known = Sent(Acceptance(Accepted("1", "R", 1), 1, None), 0)
    first, second = rig.wait(0, 0.5), rig.wait(1, 0.6)
    rig.limiter.known = {"r-1": known}
    await rig.overload.look()

    assert (ended(first), ended(second)) == (None, known)


async def test_without_redis_nobody_is_expired() -> None:
    rig = Rig(per_s=1)
    _, second = rig.wait(0, 0.5), rig.wait(1, 0.6)
    rig.limiter.forgetful = True
    await rig.overload.look()

    assert ended(second) is None
    assert rig.put_back == [second]


def learned(operation: Operation, rate: float, configured: int) -> dict[Operation, LearnedRate]:
    return {operation: LearnedRate(rate, configured)}


QUOTAS = {Operation.GLOBE: Quota(30), Operation.TEMPLATE: Quota(0), Operation.BATCH: Quota(1)}


@pytest.mark.parametrize(
    ("operation", "lane", "per_s"),
    [
        (Operation.GLOBE, Lane.OTP, 12.5),
        (Operation.GLOBE, Lane.NOTIFY, 212.5),
        (Operation.TEMPLATE, Lane.NOTIFY, float("inf")),
    ],
)
def test_the_pace_is_what_is_learned_and_what_batch_calls_add(operation: Operation, lane: Lane, per_s: float) -> None:
    pace = Pace(QUOTAS, lambda: learned(Operation.GLOBE, 12.5, 30), lambda: 200)

    assert pace.messages_per_s(operation, lane) == per_s
    assert pace.singles_per_s() == 12.5


def test_what_was_learned_of_another_quota_and_batch_calls_that_are_off_do_not_count() -> None:
    pace = Pace(QUOTAS, lambda: learned(Operation.GLOBE, 12.5, 20), lambda: 0)

    assert pace.messages_per_s(Operation.GLOBE, Lane.MARKETING) == 30
    pace.change(QUOTAS | {Operation.GLOBE: Quota(0)})
    assert pace.singles_per_s() == 0
