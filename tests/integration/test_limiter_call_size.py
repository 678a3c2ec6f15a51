"""How large a batch call may be, found by slow start and shared by all workers, on a real Redis."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.limiters import VirtualTime, started
from worker.limiter.limiter import RedisLimiter

MOST = 40_000


@pytest.fixture
async def clock() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
async def limiter(redis_url: str, namespace: str, clock: VirtualTime) -> AsyncIterator[RedisLimiter]:
    async with started(redis_url, namespace, clock, most_call_bytes=MOST) as made:
        yield made


async def test_it_doubles_with_each_call_that_shows_something_up_to_the_most(limiter: RedisLimiter) -> None:
    sizes = [await limiter.call_size.most()]
    for share in (0.4, 1, 1, 1, 1):
        await limiter.call_size.accepted(int(sizes[-1] * share))
        sizes.append(await limiter.call_size.most())

    assert sizes == [7_500, 7_500, 15_000, 30_000, MOST, MOST]


async def test_what_was_too_large_is_not_tried_again_for_a_day(limiter: RedisLimiter, clock: VirtualTime) -> None:
    await limiter.call_size.accepted(7_500)
    await limiter.call_size.refused(14_000, certainly=True)
    assert await limiter.call_size.most() == 7_000

    await limiter.call_size.accepted(7_000)
    assert await limiter.call_size.most() == 7_000
    clock.advance(timedelta(days=1, seconds=1))
    await limiter.call_size.accepted(7_000)
    assert await limiter.call_size.most() == 14_000


async def test_a_cut_connection_says_nothing_of_a_size_that_was_accepted_before(limiter: RedisLimiter) -> None:
    await limiter.call_size.accepted(7_000)
    await limiter.call_size.refused(6_000, certainly=False)
    assert await limiter.call_size.most() == 15_000

    await limiter.call_size.refused(14_000, certainly=False)
    assert await limiter.call_size.most() == 7_000


async def test_it_never_becomes_too_small_for_a_single_member(limiter: RedisLimiter) -> None:
    for size in (7_000, 3_000, 1_000, 500):
        await limiter.call_size.refused(size, certainly=True)

    assert await limiter.call_size.most() == 1_000


async def test_another_worker_knows_it(
    limiter: RedisLimiter, redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    await limiter.call_size.accepted(7_500)
    async with started(redis_url, namespace, clock, most_call_bytes=MOST) as other:
        assert await other.call_size.most() == 15_000
    async with started(redis_url, namespace, clock, most_call_bytes=10_000) as careful:
        assert await careful.call_size.most() == 10_000
    assert await limiter.call_size.most() == 15_000
