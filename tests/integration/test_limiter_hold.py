"""The hold of an account: who may probe, when, and what a failed or successful probe changes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from tests.limiters import GLOBE, VirtualTime, started
from worker.core.lane import Lane
from worker.core.quota import Held, Hold, Slots
from worker.limiter.limiter import RedisLimiter

CODE = "AMOUNT_NOT_ENOUGH"


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
async def limiter(redis_url: str, namespace: str, clock: VirtualTime) -> AsyncIterator[RedisLimiter]:
    async with started(redis_url, namespace, clock) as limiter:
        yield limiter


@pytest.fixture
async def other(redis_url: str, namespace: str, clock: VirtualTime) -> AsyncIterator[RedisLimiter]:
    async with started(redis_url, namespace, clock) as limiter:
        yield limiter


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


async def test_a_held_account_grants_nothing_and_says_why(limiter: RedisLimiter, other: RedisLimiter) -> None:
    await limiter.hold(CODE)

    assert await other.grant(GLOBE, Lane.OTP, 5) == Held(1.0, CODE)
    assert await other.held() == Hold(CODE, 0.0, 5.0, 0)


async def test_of_many_askers_one_gets_one_slot_as_the_probe(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime
) -> None:
    await limiter.hold(CODE)
    clock.advance(seconds(5))
    asks = [asker.grant(GLOBE, lane, 10) for asker in (limiter, other) for lane in Lane for _ in range(10)]
    answers = await asyncio.gather(*asks)

    assert [answer for answer in answers if isinstance(answer, Slots)] == [Slots((0.0,), probe=True)]
    assert sum(isinstance(answer, Held) for answer in answers) == 59


async def test_a_probe_is_given_again_when_its_asker_died(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime
) -> None:
    await limiter.hold(CODE)
    clock.advance(seconds(5))
    await limiter.grant(GLOBE, Lane.OTP, 1)
    clock.advance(seconds(19.9))
    during = await other.grant(GLOBE, Lane.OTP, 1)
    clock.advance(seconds(0.1))
    after = await other.grant(GLOBE, Lane.OTP, 1)

    assert during == Held(0.1, CODE)
    assert after == Slots((0.0,), probe=True)


async def test_each_failed_probe_doubles_the_wait_up_to_the_slowest(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime
) -> None:
    await limiter.hold(CODE)
    waits = []
    for _ in range(3):
        hold = await limiter.held()
        assert hold is not None
        clock.advance(seconds(hold.probe_in_s))
        assert await limiter.grant(GLOBE, Lane.OTP, 1) == Slots((0.0,), probe=True)
        await other.hold(CODE)  # a call from before the hold fails late: it is not the probe
        await limiter.hold(CODE)
        lengthened = await limiter.held()
        assert lengthened is not None
        waits.append((lengthened.probes, lengthened.probe_in_s))

    assert waits == [(1, 10.0), (2, 15.0), (3, 15.0)]


async def test_a_successful_probe_lifts_the_hold_for_everybody(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime
) -> None:
    await limiter.hold(CODE)
    clock.advance(seconds(5))
    await other.grant(GLOBE, Lane.OTP, 1)
    await other.lift()

    assert await limiter.held() is None
    assert isinstance(await limiter.grant(GLOBE, Lane.OTP, 1), Slots)


async def test_lifting_asks_redis_only_when_a_hold_was_met(
    limiter: RedisLimiter, redis_url: str, clock: VirtualTime
) -> None:
    async with Redis.from_url(redis_url) as client:

        async def scripts_run() -> int:
            stats = await client.info("commandstats")
            return int(stats["cmdstat_evalsha"]["calls"])

        await limiter.grant(GLOBE, Lane.OTP, 1)
        before = await scripts_run()
        await limiter.lift()
        untouched = await scripts_run() - before
        await limiter.hold(CODE)
        await limiter.lift()
        await limiter.lift()

    assert untouched == 0
    assert await limiter.held() is None


async def test_an_operator_lifts_a_hold_after_looking_at_it(limiter: RedisLimiter, other: RedisLimiter) -> None:
    await limiter.hold(CODE)
    assert await other.held()
    await other.lift()

    assert await limiter.held() is None
