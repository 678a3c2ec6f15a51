"""When a slot of the batch quota is booked, and who goes in it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes import NOW, FakeClock, FakeLimiter, FakeProvider, RecordingEvents
from tests.makers import make_request
from tests.waiting import eventually
from worker.core.batch import batch_key
from worker.core.limits.holds import ACCOUNT
from worker.core.limits.quota import Held, Operation, Quota, Slots, Turn
from worker.core.message.decode import Request
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Accepted, Unserved
from worker.delivery.attempt import Attempts
from worker.delivery.batch_call import BatchCalls
from worker.delivery.batches import Batches
from worker.delivery.canaries import Canaries
from worker.delivery.dispatch import Dispatch
from worker.delivery.waiting import Waiting
from worker.delivery.waiting_room import WaitingRoom
from worker.errors import LimiterUnavailable

#: Of single calls: so a key is worth a batch call when 5 wait.
RATE = 20


class Rig:
    """Batches among fakes; nobody takes single slots."""

    def __init__(self) -> None:
        self.limiter, self.provider, self.events = FakeLimiter(), FakeProvider(), RecordingEvents()
        clock, self.can_settle, self.size = FakeClock(), True, 200
        attempts = Attempts(*(self.limiter, self.provider, catalog(), self.events), now=clock, can_settle=self._can)
        self.room = WaitingRoom(self._key)
        self.dispatch = Dispatch(
            *(self.limiter, attempts, self.events),
            quotas={}, concurrency=10, patience=timedelta(minutes=10), room=self.room,
        )  # fmt: skip
        self.canaries = Canaries()
        calls = BatchCalls(
            *(self.limiter, attempts, self.provider, catalog(), self.events),
            put_back=self.dispatch.put_back,
            now=clock,
        )
        self.batches = Batches(
            *(self.limiter, self.provider, self.room, calls, self.canaries, self.events),
            quota=Quota(1, timedelta(milliseconds=50)),
            singles_per_s=lambda: RATE,
            size=lambda: self.size,
            can_settle=self._can,
            now=clock,
        )

    def _can(self) -> bool:
        return self.can_settle

    @staticmethod
    def _key(request: Request) -> Any:
        return batch_key(request, (request.deadline - NOW).total_seconds())

    async def join(self, count: int, lane: Lane = Lane.MARKETING, first: int = 0, **fields: Any) -> list[Waiting]:
        return [
            await self.dispatch.join(make_request(lane, id=f"r-{number}", to=f"+85251234{number:03}", **fields))
            for number in range(first, first + count)
        ]

    @property
    def sizes(self) -> list[int]:
        """Members of each call so far."""
        return [len(requests) for requests, _ in self.provider.batches]

    @property
    def booked(self) -> int:
        return [operation for operation, _, _ in self.limiter.asked].count(Operation.BATCH)


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[None]:
    task = asyncio.create_task(rig.batches.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    async with running(made):
        yield made


async def turns(waiting: list[Waiting]) -> list[object]:
    return [await asyncio.wait_for(one.turn, 5) for one in waiting]


async def settled(condition: Callable[[], bool]) -> None:
    await eventually(condition, timeout=5)


async def test_a_key_with_enough_goes_in_one_call(rig: Rig) -> None:
    waiting = await rig.join(5)

    assert all(isinstance(turn, Accepted) for turn in await turns(waiting))
    assert rig.sizes == [5]
    assert rig.dispatch.waiting()[Lane.MARKETING] == 0


async def test_too_few_and_passwords_book_nothing(rig: Rig) -> None:
    await rig.join(4)
    await rig.join(50, Lane.OTP, first=100)
    await asyncio.sleep(0.4)  # longer than it is looked for a deadline that comes near

    assert rig.booked == 0
    assert rig.provider.batches == []


async def test_no_batch_calls_are_made_with_size_0(rig: Rig) -> None:
    rig.size = 0
    await rig.join(50)
    await asyncio.sleep(0.1)

    assert rig.booked == 0


async def test_what_was_never_accepted_goes_with_ten_at_first_and_then_with_more(rig: Rig) -> None:
    waiting = await rig.join(60)
    await turns(waiting)

    assert rig.sizes == [10, 50]


async def test_a_call_takes_no_more_than_its_size(rig: Rig) -> None:
    rig.size = 7
    await rig.join(20)
    await settled(lambda: sum(rig.sizes) >= 14)

    assert rig.sizes[:2] == [7, 7]


async def test_a_call_takes_no_more_bytes_than_is_known_to_pass(rig: Rig) -> None:
    sms = make_request(Lane.MARKETING).sms
    rig.limiter.call_size.bytes = rig.provider.base_size + 6 * (len(sms.text or "") + len(sms.number))
    await rig.join(11)
    await settled(lambda: bool(rig.sizes))

    assert rig.sizes[0] == 6


async def test_who_left_before_the_slot_is_due_does_not_go(rig: Rig) -> None:
    rig.limiter.open.clear()
    waiting = await rig.join(6)
    await settled(lambda: rig.booked == 1)
    rig.room.remove(waiting[0])
    rig.limiter.open.set()
    await turns(waiting[1:])

    assert rig.sizes == [5]


async def test_a_slot_that_finds_nobody_is_told(rig: Rig) -> None:
    rig.limiter.open.clear()
    waiting = await rig.join(6)
    await settled(lambda: rig.booked == 1)
    for one in waiting[:5]:
        rig.room.remove(one)
    rig.limiter.open.set()
    await settled(lambda: bool(rig.events.named("slot.unused")))

    assert rig.provider.batches == []
    assert rig.dispatch.waiting()[Lane.MARKETING] == 1


async def test_the_probe_of_the_account_is_one_message(rig: Rig) -> None:
    rig.limiter.grants = [Slots((0.0,), probe=True), Held(60.0, "AMOUNT_NOT_ENOUGH")]
    await rig.join(6)
    await settled(lambda: bool(rig.sizes))

    assert rig.sizes == [1]
    assert ("works", ACCOUNT) in rig.limiter.taught


async def test_a_probe_without_anybody_gives_its_place_to_the_next(rig: Rig) -> None:
    rig.limiter.grants = [Slots((0.0,), probe=True), Held(60.0, "AMOUNT_NOT_ENOUGH")]
    rig.limiter.open.clear()
    waiting = await rig.join(6)
    await settled(lambda: rig.booked == 1)
    for one in waiting:
        rig.room.remove(one)
    rig.limiter.open.set()
    await settled(lambda: ("unprobed", ACCOUNT) in rig.limiter.taught)


@pytest.mark.parametrize("answer", [Turn(0.01), Held(0.01, "X"), LimiterUnavailable("gone")])
async def test_it_asks_again(rig: Rig, answer: Turn | Held | LimiterUnavailable) -> None:
    rig.limiter.grants = [answer]
    waiting = await rig.join(6)

    assert all(isinstance(turn, Accepted) for turn in await turns(waiting))
    assert rig.booked >= 2


async def test_no_call_begins_while_outcomes_cannot_be_told(rig: Rig) -> None:
    rig.can_settle = False
    waiting = await rig.join(6)
    await asyncio.sleep(0.2)
    assert rig.booked == 0

    rig.can_settle = True
    assert all(isinstance(turn, Accepted) for turn in await turns(waiting))


async def test_a_drain_waits_for_the_call_under_way_and_begins_no_other(rig: Rig) -> None:
    rig.provider.open.clear()
    waiting = await rig.join(15)
    await settled(lambda: rig.sizes == [10])
    draining = asyncio.gather(rig.batches.drain(), rig.dispatch.drain())
    await asyncio.sleep(0.1)
    assert not draining.done()

    rig.provider.open.set()
    await asyncio.wait_for(draining, 5)
    told = await turns(waiting)
    assert [type(turn) for turn in told] == [Accepted] * 10 + [Unserved] * 5
    assert rig.sizes == [10]
