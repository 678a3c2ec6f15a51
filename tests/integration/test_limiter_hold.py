"""The hold of an account: who may probe, when, what a failed or successful probe changes, how sending begins again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from tests.limiters import GLOBE, LEASE, VirtualTime, started
from worker.core.decision.feedback import Refused
from worker.core.limits.holds import ACCOUNT, By, Hold
from worker.core.limits.quota import Held, Slots
from worker.core.message.lane import Lane
from worker.limiter.limiter import RedisLimiter

CODE = "AMOUNT_NOT_ENOUGH"
REFUSED = Refused(ACCOUNT, CODE, "Add funds.")
PROBE_REFUSED = Refused(ACCOUNT, CODE, "Add funds.", probed=True)


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


async def the_hold(limiter: RedisLimiter) -> Hold | None:
    holds = await limiter.holds.list()
    assert len(holds) <= 1
    return holds[0] if holds else None


async def test_a_held_account_grants_nothing_and_says_why(limiter: RedisLimiter, other: RedisLimiter) -> None:
    refusal = await limiter.holds.refused(REFUSED)

    assert refusal.began
    assert await other.grant(GLOBE, Lane.OTP, 5) == Held(1.0, CODE)
    assert await the_hold(other) == refusal.hold == Hold(ACCOUNT, CODE, 0.0, 5.0)


async def test_of_many_askers_one_gets_one_slot_as_the_probe(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime
) -> None:
    await limiter.holds.refused(REFUSED)
    clock.advance(seconds(5))
    asks = [asker.grant(GLOBE, lane, 10) for asker in (limiter, other) for lane in Lane for _ in range(10)]
    answers = await asyncio.gather(*asks)

    assert [answer for answer in answers if isinstance(answer, Slots)] == [Slots((0.0,), probe=True)]
    assert sum(isinstance(answer, Held) for answer in answers) == 59


async def test_a_probe_is_given_again_when_its_asker_died(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime
) -> None:
    await limiter.holds.refused(REFUSED)
    clock.advance(seconds(5))
    await limiter.grant(GLOBE, Lane.OTP, 1)
    clock.advance(LEASE - seconds(0.1))
    during = await other.grant(GLOBE, Lane.OTP, 1)
    clock.advance(seconds(0.1))
    after = await other.grant(GLOBE, Lane.OTP, 1)

    assert during == Held(0.1, CODE)
    assert after == Slots((0.0,), probe=True)


async def test_a_probe_that_was_not_made_is_given_again_at_once(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime
) -> None:
    await limiter.holds.refused(REFUSED)
    clock.advance(seconds(5))
    await limiter.grant(GLOBE, Lane.OTP, 1)
    await other.holds.unprobed(ACCOUNT)
    not_its = await other.grant(GLOBE, Lane.OTP, 1)
    await limiter.holds.unprobed(ACCOUNT)
    clock.advance(seconds(0.1))

    assert isinstance(not_its, Held)
    assert await other.grant(GLOBE, Lane.OTP, 1) == Slots((0.0,), probe=True)


@pytest.mark.parametrize("shown", [True, False], ids=["refused", "undecided"])
async def test_each_failed_probe_doubles_the_wait_up_to_the_slowest(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime, shown: bool
) -> None:
    await limiter.holds.refused(REFUSED)
    waits = []
    for _ in range(3):
        hold = await the_hold(limiter)
        assert hold is not None
        clock.advance(seconds(hold.probe_in_s or 0))
        assert await limiter.grant(GLOBE, Lane.OTP, 1) == Slots((0.0,), probe=True)
        await other.holds.refused(REFUSED)
        await limiter.holds.refused(REFUSED)  # a call from before the hold fails late: it is not the probe
        await (limiter.holds.refused(PROBE_REFUSED) if shown else limiter.holds.undecided(ACCOUNT))
        lengthened = await the_hold(limiter)
        assert lengthened is not None
        waits.append((lengthened.probes, lengthened.probe_in_s))

    assert waits == [(1, 10.0), (2, 15.0), (3, 15.0)]


async def test_a_successful_probe_lifts_the_hold_for_everybody(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime
) -> None:
    await limiter.holds.refused(REFUSED)
    clock.advance(seconds(5))
    await other.grant(GLOBE, Lane.OTP, 1)
    lifted = await other.holds.works(ACCOUNT, probed=True)

    assert lifted == Hold(ACCOUNT, CODE, 5.0, LEASE.total_seconds())
    assert await the_hold(limiter) is None
    assert await limiter.holds.works(ACCOUNT, probed=True) is None, "it is told once"


async def test_an_accepted_call_costs_no_question_to_redis(limiter: RedisLimiter, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:

        async def scripts_run() -> int:
            stats = await client.info("commandstats")
            return int(stats["cmdstat_evalsha"]["calls"])

        await limiter.grant(GLOBE, Lane.OTP, 1)
        before = await scripts_run()
        await limiter.holds.works(ACCOUNT, probed=False)

        assert await scripts_run() == before


async def test_after_a_hold_sending_begins_slowly_and_is_at_its_full_rate_after_the_ramp(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime
) -> None:
    async def granted(length: timedelta) -> int:
        count, end = 0, clock.us + length // timedelta(microseconds=1)
        while clock.us < end:
            clock.advance(timedelta(milliseconds=5))
            for asker in (limiter, other):
                answer = await asker.grant(GLOBE, Lane.MARKETING, 1)
                count += isinstance(answer, Slots)
        return count

    await limiter.holds.refused(REFUSED)
    clock.advance(seconds(20))
    await other.holds.release(ACCOUNT)
    counts = []
    for pause in (0, 7, 2):
        clock.advance(seconds(pause))
        counts.append(await granted(seconds(1)))
    first, ninth, twelfth = counts

    assert 1 <= first <= 6
    assert 22 <= ninth <= 29
    assert 29 <= twelfth <= 31


async def test_only_the_operator_ends_what_the_operator_began(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime
) -> None:
    await limiter.holds.refused(REFUSED)
    clock.advance(seconds(5))
    await limiter.grant(GLOBE, Lane.OTP, 1)
    before = await other.holds.stop(ACCOUNT, "the invoice is checked", None)
    assert await limiter.holds.works(ACCOUNT, probed=True) is None
    assert not (await limiter.holds.refused(PROBE_REFUSED)).began
    clock.advance(timedelta(days=3))
    after = await limiter.grant(GLOBE, Lane.OTP, 1)
    released = await other.holds.release(ACCOUNT)

    assert before is not None
    assert before.code == CODE
    assert after == Held(1.0, "operator")
    assert released == Hold(
        ACCOUNT, "operator", timedelta(days=3).total_seconds(), by=By.OPERATOR, reason="the invoice is checked"
    )
    assert await other.holds.release(ACCOUNT) is None


async def test_a_hold_with_an_end_ends_by_itself_and_sending_begins_slowly(
    limiter: RedisLimiter, other: RedisLimiter, clock: VirtualTime
) -> None:
    await other.holds.stop(ACCOUNT, "maintenance", timedelta(hours=2))
    clock.advance(timedelta(hours=2) - seconds(0.5))
    held = await limiter.grant(GLOBE, Lane.OTP, 1)
    clock.advance(seconds(0.5))
    listed = await the_hold(limiter)
    first = [await limiter.grant(GLOBE, Lane.MARKETING, 1) for _ in range(3)]

    assert held == Held(0.5, "operator")
    assert listed is None
    assert first[0] == Slots((0.0,))
    assert not isinstance(first[1], Slots), "the gap is ten times as wide"
