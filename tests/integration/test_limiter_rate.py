"""The quota in a real Redis, on a clock of the test's own: exact, shared, and equal to its model."""

import random
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from heapq import heapify, heappop, heappush

import pytest
from redis.asyncio import Redis

from tests.limiters import GLOBE, RAMP, VirtualTime, started
from worker.core.limits.bucket import CELLS, SECOND_US, Share
from worker.core.limits.holds import ACCOUNT
from worker.core.limits.quota import Quota, Slots, Turn
from worker.core.message.lane import Lane
from worker.limiter.keys import Keys
from worker.limiter.limiter import RedisLimiter
from worker.simulation.token_bucket import Booked, TokenBucket

ONE_US = timedelta(microseconds=1)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


async def ring(client: Redis, namespace: str) -> list[int]:
    """The instants of all slots booked so far, as Redis remembers them."""
    seq = int(await client.hget(Keys(namespace).rate(GLOBE), "seq") or 0)
    cells = await client.get(Keys(namespace).ring(GLOBE))
    assert isinstance(cells, bytes)
    slots = [int(slot) for (slot,) in struct.iter_unpack("<d", cells)]
    return slots if seq <= CELLS else slots[seq % CELLS :] + slots[: seq % CELLS]


def most_in_a_second(slots: list[int]) -> int:
    return max(sum(slot <= other < slot + SECOND_US for other in slots) for slot in slots)


async def keep_asking(askers: list[tuple[RedisLimiter, Lane, int]], clock: VirtualTime, seconds: float) -> None:
    """Each asker asks, waits as it is told, and asks again, in order of time."""
    end = clock.us + round(seconds * SECOND_US)
    due = [(clock.us, index) for index in range(len(askers))]
    heapify(due)
    while due[0][0] < end:
        clock.us, index = heappop(due)
        limiter, lane, want = askers[index]
        match await limiter.grant(GLOBE, lane, want):
            case Slots(waits_s):
                after_s = max(waits_s[-1], 0.000_001)
            case Turn(after_s):
                pass
            case held:
                pytest.fail(f"nobody holds the account: {held}")
        heappush(due, (clock.us + round(after_s * SECOND_US), index))


@pytest.mark.parametrize(("rate", "want", "seconds"), [(30, 1, 5), (500, 12, 3), (2000, 30, 1.9)])
async def test_two_limiters_share_a_rate_without_exceeding_or_wasting_it(
    redis_url: str, namespace: str, client: Redis, clock: VirtualTime, rate: int, want: int, seconds: float
) -> None:
    async with (
        started(redis_url, namespace, clock, rate=rate) as one,
        started(redis_url, namespace, clock, rate=rate) as other,
    ):
        start = clock.us
        await keep_asking([(one, Lane.MARKETING, want), (other, Lane.MARKETING, want)], clock, seconds)
        slots = await ring(client, namespace)

    used = sum(slot < start + seconds * SECOND_US for slot in slots)
    assert most_in_a_second(slots) <= rate
    assert used >= int(seconds * rate * 0.98)


async def test_no_second_exceeds_the_lower_limit_after_a_change(
    redis_url: str, namespace: str, client: Redis, clock: VirtualTime
) -> None:
    async with (
        started(redis_url, namespace, clock, rate=60) as old,
        started(redis_url, namespace, clock, rate=20) as new,
    ):
        await keep_asking([(old, Lane.OTP, 20)], clock, 2)
        changed = len(await ring(client, namespace))
        await keep_asking([(new, Lane.OTP, 20)], clock, 4)
        slots = await ring(client, namespace)

    assert changed > 60
    assert len(slots) > changed + 20
    assert all(slots[i] - slots[i - 20] >= 1_010_000 for i in range(changed, len(slots)))


async def test_the_lower_limit_also_holds_where_the_ring_begins_anew(
    redis_url: str, namespace: str, client: Redis, clock: VirtualTime
) -> None:
    """The last ask looks back at the ring's last ten cells and its first ten, with a pause between them."""
    async with (
        started(redis_url, namespace, clock, rate=4000) as old,
        started(redis_url, namespace, clock, rate=2000) as new,
    ):
        for want, pause_s in ((3000, 0.0), (CELLS - 3000, 0.3), (1990, 0.0)):
            booked = await old.grant(GLOBE, Lane.OTP, want)
            assert isinstance(booked, Slots)
            assert len(booked.waits_s) == want
            clock.advance(timedelta(seconds=booked.waits_s[-1] + pause_s))
        assert isinstance(await new.grant(GLOBE, Lane.OTP, 20), Slots)
        slots = await ring(client, namespace)

    assert all(slots[i] - slots[i - 2000] >= 1_010_000 for i in range(-20, 0))


@pytest.mark.parametrize("seed", range(12))
async def test_the_script_and_its_model_answer_alike(
    redis_url: str, namespace: str, client: Redis, clock: VirtualTime, seed: int
) -> None:
    """Two limiters that do not agree about the rate, as while a new configuration is rolled out."""
    dice = random.Random(seed)
    rates = dice.choice([(1, 3), (3, 30), (30, 20), (500, 300), (1999, 4000), (4000, 2000)])
    floors = {Lane.NOTIFY: dice.uniform(0.2, 30), Lane.MARKETING: dice.uniform(0.2, 30)}
    often, bucket = dice.choice([0.03, 0.3]), TokenBucket()
    async with AsyncExitStack() as stack:
        limiters = [
            await stack.enter_async_context(started(redis_url, namespace, clock, rate=r, floors=floors)) for r in rates
        ]
        bucket.hold = int(await client.hget(Keys(namespace).rate(GLOBE), "hold") or 0)
        for _ in range(250):
            clock.us += int(dice.expovariate(1) * dice.choice([0, 100, 10_000, 300_000]))
            which, lane, want = dice.randrange(2), dice.choice(list(Lane)), dice.choice([1, 1, 2, 17, 60, 400])
            if dice.random() < often:
                pause_s = dice.choice([None, 0.25])
                bucket.throttle(clock.us, rates[which], round((pause_s or 0) * SECOND_US))
                await limiters[which].throttled(GLOBE, pause_s)
            if dice.random() < 0.03:
                await limiters[which].holds.stop(ACCOUNT, "a test", lasts=dice.choice([None, ONE_US]))
                if await limiters[which].holds.release(ACCOUNT) is not None:
                    bucket.ramp(clock.us, RAMP // ONE_US)
            expected = bucket.grant(clock.us, lane, Share.of(Quota(rates[which], floors=floors), lane), want)
            answer = await limiters[which].grant(GLOBE, lane, want)

            if isinstance(expected, Booked):
                waits = tuple(wait / SECOND_US for wait in expected.waits_us)
                assert answer == Slots(waits, floor=expected.floor)
            else:
                assert answer == Turn(expected.after_us / SECOND_US)
        assert await ring(client, namespace) == bucket.slots[-CELLS:]
        assert len(bucket.slots) > CELLS or min(rates) < 2000  # fast ones go round the ring


async def test_an_otp_gets_the_next_slots_under_a_marketing_backlog_that_keeps_its_floor(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    async with started(redis_url, namespace, clock, floors={Lane.MARKETING: 3}) as limiter:
        booked = {Lane.OTP: 0, Lane.MARKETING: 0}
        await keep_asking([(limiter, Lane.MARKETING, 10)], clock, 1)
        first = await limiter.grant(GLOBE, Lane.OTP, 1)
        for _ in range(250):
            clock.advance(timedelta(milliseconds=20))
            for lane in booked:
                answer = await limiter.grant(GLOBE, lane, 10)
                booked[lane] += len(answer.waits_s) if isinstance(answer, Slots) else 0

    assert isinstance(first, Slots)
    assert first.waits_s[0] < 0.08
    assert booked[Lane.MARKETING] in range(13, 18)
    assert booked[Lane.OTP] >= 130


async def test_a_rate_of_zero_grants_whatever_is_asked_but_respects_a_pause(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    async with started(redis_url, namespace, clock, rate=0) as limiter:
        free = await limiter.grant(GLOBE, Lane.MARKETING, 50)
        await limiter.throttled(GLOBE, 5.0)
        paused = await limiter.grant(GLOBE, Lane.MARKETING, 50)

    assert free == Slots((0.0,) * 50)
    assert paused == Turn(0.25)


async def test_a_provider_that_asks_for_an_endless_pause_is_not_believed(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    async with started(redis_url, namespace, clock) as limiter:
        await limiter.throttled(GLOBE, 1e6)
        clock.advance(timedelta(seconds=60))

        assert isinstance(await limiter.grant(GLOBE, Lane.OTP, 1), Slots)
