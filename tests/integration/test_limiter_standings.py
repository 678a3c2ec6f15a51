"""What workers tell Redis for those who look at them all: how they stand, and how often they were throttled."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from tests.limiters import GLOBE, VirtualTime, started
from worker.core.message.lane import Lane
from worker.core.standing import Standing
from worker.limiter.keys import Keys
from worker.limiter.operators import OperatorLimiter
from worker.settings.sections import HoldSettings, RedisSettings


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def onlooker(redis_url: str, namespace: str) -> AsyncIterator[OperatorLimiter]:
    async with OperatorLimiter(RedisSettings(url=SecretStr(redis_url), namespace=namespace), HoldSettings()) as limiter:
        yield limiter


async def test_each_worker_tells_of_itself_and_over_what_it_told_before(
    redis_url: str, namespace: str, client: Redis, onlooker: OperatorLimiter
) -> None:
    await client.set(Keys(namespace).workers, b"of another kind")
    async with started(redis_url, namespace, None) as one, started(redis_url, namespace, None) as other:
        await one.standings.tell(Standing({Lane.OTP: 1}))
        await other.standings.tell(Standing({Lane.OTP: 2}, braked="too much went wrong"))
        await one.standings.tell(Standing({Lane.OTP: 3}, {Lane.OTP: 0.5}))
        told = await onlooker.standings()

    assert {name: standing.in_hand for name, standing in told.items()} == {
        one.holds.prober.name: {Lane.OTP: 3},
        other.holds.prober.name: {Lane.OTP: 2},
    }
    assert 0 < await client.pttl(Keys(namespace).workers) <= 60_000


async def test_those_who_are_long_gone_are_forgotten(redis_url: str, namespace: str, client: Redis) -> None:
    clock = VirtualTime()
    async with started(redis_url, namespace, clock) as one, started(redis_url, namespace, clock) as other:
        await one.standings.tell(Standing())
        clock.advance(timedelta(seconds=61))
        await other.standings.tell(Standing())

    assert await client.hkeys(Keys(namespace).workers.decode()) == [other.holds.prober.name.encode()]


@pytest.mark.parametrize("rate", [30, 0])
async def test_throttles_are_counted_for_a_minute(
    redis_url: str, namespace: str, client: Redis, onlooker: OperatorLimiter, rate: int
) -> None:
    async with started(redis_url, namespace, None, rate=rate) as limiter:
        assert await onlooker.recent_throttles(GLOBE) == 0
        for _ in range(3):
            await limiter.throttled(GLOBE, None)
        assert await onlooker.recent_throttles(GLOBE) == 3
    assert 0 < await client.pttl(Keys(namespace).throttles(GLOBE)) <= 61_000


async def test_what_was_counted_longer_ago_leaves_with_what_is_new(
    redis_url: str, namespace: str, client: Redis
) -> None:
    clock = VirtualTime()
    async with started(redis_url, namespace, clock) as limiter:
        first = clock.us // 1_000_000
        for _ in range(2):
            await limiter.throttled(GLOBE, None)
        clock.advance(timedelta(seconds=59))
        await limiter.throttled(GLOBE, None)
        kept = await client.hgetall(Keys(namespace).throttles(GLOBE).decode())
        clock.advance(timedelta(seconds=1))
        await limiter.throttled(GLOBE, None)
        left = await client.hgetall(Keys(namespace).throttles(GLOBE).decode())

    assert {int(second) - first: int(count) for second, count in kept.items()} == {0: 2, 59: 1}
    assert {int(second) - first: int(count) for second, count in left.items()} == {59: 1, 60: 1}


async def test_what_is_no_count_of_ours_stops_nobody_from_learning(
    redis_url: str, namespace: str, client: Redis
) -> None:
    async with started(redis_url, namespace, None, rate=100) as limiter:
        await client.set(Keys(namespace).throttles(GLOBE), b"of another kind")
        await limiter.throttled(GLOBE, None)

        assert (await limiter.learned.list())[GLOBE].rate < 100
