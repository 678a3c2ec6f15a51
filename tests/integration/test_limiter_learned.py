"""The learned rate in a real Redis, on a clock of the test's own: as its model has it, shared, and remembered."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from tests.limiters import GLOBE, VirtualTime, started
from worker.core.limits.bucket import SECOND_US, Share
from worker.core.limits.learned import CUT, MEMORY_US
from worker.core.limits.quota import Operation, Quota, Slots, Turn
from worker.core.message.lane import Lane
from worker.limiter.keys import Keys
from worker.simulation.token_bucket import Booked, TokenBucket


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.mark.parametrize("rate", [1, 30, 400, 4000])
async def test_under_backlog_the_scripts_learn_what_their_model_learns(
    redis_url: str, namespace: str, client: Redis, clock: VirtualTime, rate: int
) -> None:
    """Floods of refusals and single ones, through rest, creep and doubling up to the quota."""
    dice, bucket, share = random.Random(rate), TokenBucket(), Share.of(Quota(rate), Lane.NOTIFY)
    seen = set()
    async with started(redis_url, namespace, clock, rate=rate) as limiter:
        bucket.hold = int(await client.hget(Keys(namespace).rate(GLOBE), "hold") or 0)
        end, flood = clock.us + 40 * max(1, 30 // rate) * SECOND_US, 0
        while clock.us < end:
            if dice.random() < 0.01:
                flood = dice.choice([1, 2, 40])
            if flood:
                flood -= 1
                bucket.throttle(clock.us, rate, 0)
                await limiter.throttled(GLOBE, None)
            expected = bucket.grant(clock.us, Lane.NOTIFY, share, want := max(1, rate // 10))
            answer = await limiter.grant(GLOBE, Lane.NOTIFY, want)
            if isinstance(expected, Booked):
                assert answer == Slots(tuple(wait / SECOND_US for wait in expected.waits_us), floor=expected.floor)
                clock.us += max(expected.waits_us[-1], 1)
            else:
                assert answer == Turn(expected.after_us / SECOND_US)
                clock.us += expected.after_us
            told = (await limiter.learned.list())[GLOBE]
            assert told.rate == bucket.learned_now(clock.us, rate)
            seen.add(round(told.rate / rate, 1))
    assert {1.0, 0.9} <= seen
    assert rate == 1 or min(seen) <= 0.5


async def test_a_new_worker_knows_what_others_learned_and_a_day_without_refusals_forgets_it(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    async with started(redis_url, namespace, clock, rate=100) as limiter:
        await limiter.throttled(GLOBE, None)
    async with started(redis_url, namespace, clock, rate=100) as limiter:
        at_once = (await limiter.learned.list())[GLOBE]
        clock.advance(timedelta(microseconds=MEMORY_US // 2))
        later = (await limiter.learned.list())[GLOBE]
        clock.advance(timedelta(microseconds=MEMORY_US // 2))
        forgotten = (await limiter.learned.list())[GLOBE]

    assert at_once.rate == pytest.approx(100 * CUT, abs=0.01)
    assert later.rate == pytest.approx(100 * (1 + CUT) / 2, abs=0.01)
    assert forgotten.rate == forgotten.configured == 100
    assert forgotten.foreign == 0


async def test_workers_with_a_lower_quota_keep_to_it_and_one_without_a_limit_learns_nothing(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    async with (
        started(redis_url, namespace, clock, rate=100) as wide,
        started(redis_url, namespace, clock, rate=20) as narrow,
        started(redis_url, namespace, clock, rate=0) as free,
    ):
        await wide.throttled(GLOBE, None)
        learned = [await limiter.learned.list() for limiter in (wide, narrow, free)]
        await free.throttled(GLOBE, None)

        assert [each[GLOBE].rate for each in learned[:2]] == [97, 20]
        assert learned[2] == {}
        assert (await free.grant(GLOBE, Lane.OTP, 1)) == Slots((0.1,))


async def test_an_operation_that_nobody_used_has_all_of_its_quota(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    async with started(redis_url, namespace, clock, rate=100) as limiter:
        assert {op: (each.rate, each.foreign) for op, each in (await limiter.learned.list()).items()} == {
            Operation.GLOBE: (100, 0)
        }
