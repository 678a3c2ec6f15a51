"""Places in the order in which a recipient's windows reopen: the scripts in a real Redis agree with the model."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.limiters import VirtualTime, started
from tests.makers import make_request
from tests.models.places import MOST, Recipient, Sent, Wait
from worker.core.limits.ledger import Token
from worker.core.limits.quota import Admission, Admitted, Cap, Soon, Window
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Acceptance, Accepted, Closed, Period
from worker.limiter.keys import Keys
from worker.limiter.limiter import RedisLimiter

NUMBER = "85251234567"
EVERYBODY = frozenset(Lane)
DAY = timedelta(days=1)
ONE_IN_30_S = Window(1, timedelta(seconds=30), EVERYBODY)
ANSWER = Acceptance(Accepted("m-1", "R-1", 1), 1, None)
_serial = count()

SECONDS = st.sampled_from([0.5, 2, 7.3, 30, 600])
WINDOWS = st.lists(
    st.builds(
        Window,
        st.integers(1, 4),
        st.one_of(SECONDS.map(lambda s: timedelta(seconds=s)), st.sampled_from(Period)),
        st.sets(st.sampled_from(Lane), min_size=1).map(frozenset),
    ),
    min_size=1,
    max_size=4,
)
#: Pause before it in ms, who, lane, for how many seconds it can wait, whether it is then certainly not sent.
ASKS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 700), st.sampled_from([0, 3000, 20_000, 700_000, 40_000_000])),
        st.integers(0, 9),
        st.sampled_from(Lane),
        st.sampled_from([0, 5, 100, 10**6, 10**6]),
        st.integers(0, 5).map(lambda die: die == 0),
    ),
    max_size=40,
)


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


async def ask(limiter: RedisLimiter, request_id: str, lane: Lane = Lane.OTP, left: timedelta = DAY) -> Admission:
    """Ask for the request, each time as a caller of its own."""
    return await limiter.admit(make_request(lane, id=request_id), Token(f"t-{next(_serial)}"), left=left)


async def waits(limiter: RedisLimiter, request_id: str, lane: Lane = Lane.OTP, left: timedelta = DAY) -> float:
    """Seconds after which the request is told to come again."""
    closed = await ask(limiter, request_id, lane, left)
    assert isinstance(closed, Closed)
    return closed.after.total_seconds()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(windows=WINDOWS, asks=ASKS)
def test_the_scripts_agree_with_the_model(
    redis_url: str, windows: list[Window], asks: list[tuple[int, int, Lane, int, bool]]
) -> None:
    asyncio.run(compared(redis_url, windows, asks))


async def compared(redis_url: str, windows: list[Window], asks: list[tuple[int, int, Lane, int, bool]]) -> None:
    namespace, clock, model = f"places-{next(_serial)}", VirtualTime(), Recipient(windows)
    keys, sent = Keys(namespace), 0
    names = {number: f"r-{number}" for number in range(10)}
    async with (
        Redis.from_url(redis_url) as client,
        started(redis_url, namespace, clock, rate=0, windows=windows) as limiter,
    ):
        for pause_ms, number, lane, left_s, is_refunded in asks:
            clock.advance(timedelta(milliseconds=pause_ms))
            await client.persist(keys.of(NUMBER).marks)  # Redis lets it expire by another clock than the test's
            request_id = names[number]
            admission = await ask(limiter, request_id, lane, timedelta(seconds=left_s))
            if not any(lane in window.lanes for window in windows):
                assert isinstance(admission, Admitted)
                await limiter.record(admission, ANSWER)
                names[number] = f"r-{number}-{(sent := sent + 1)}"
                continue
            expected = model.ask(keys.entry(request_id)[-8:], lane, clock.us, left_s * 1_000_000)
            match admission:
                case Admitted() if is_refunded:
                    assert expected == Sent()
                    await limiter.record(admission, None)
                    model.refund(model.marks[-1])
                case Admitted():
                    assert expected == Sent()
                    await limiter.record(admission, ANSWER)
                    names[number] = f"r-{number}-{(sent := sent + 1)}"
                case Closed(_, after):
                    assert isinstance(expected, Wait)
                    assert (after // timedelta(microseconds=1), False) == (expected.after, expected.here)
                case Soon(after_s):
                    assert isinstance(expected, Wait)
                    assert (round(after_s * 1_000_000), True) == (expected.after, expected.here)
                case other:
                    pytest.fail(f"neither admitted nor told when: {other}")


async def test_two_hundred_at_once_have_two_hundred_places(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    windows = [Window(5, timedelta(seconds=10), EVERYBODY)]
    async with started(redis_url, namespace, clock, rate=0, windows=windows) as limiter:
        began = clock.us
        for number in range(5):
            assert isinstance(await ask(limiter, f"r-{number}"), Admitted)
        told = {number: await waits(limiter, f"r-{number}") for number in range(5, 200)}

        assert list(told.values()) == sorted(told.values())
        assert all(later - sooner >= 10 for sooner, later in zip(told.values(), [*told.values()][5:], strict=False))
        assert told[199] <= 39 * (10 + 1 / 64)
        assert await client.strlen(Keys(namespace).of(NUMBER).places) == 195 * 12
        for number, after in told.items():
            clock.us = began + round(after * 1_000_000)
            assert isinstance(await ask(limiter, f"r-{number}"), Admitted)
        assert await client.exists(Keys(namespace).of(NUMBER).places) == 0


async def test_whoever_cannot_wait_that_long_takes_nobodys_place(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    async with started(redis_url, namespace, clock, windows=[ONE_IN_30_S]) as limiter:
        await ask(limiter, "first")
        after = await waits(limiter, "hasty", left=timedelta(seconds=30))
        assert await client.exists(Keys(namespace).of(NUMBER).places) == 0
        assert await waits(limiter, "patient") == after
        assert await waits(limiter, "next", left=timedelta(seconds=60)) > 60
        assert await waits(limiter, "patient", left=timedelta(seconds=20)) == after, "it has not the time any more"
        assert await waits(limiter, "other") == after


async def test_a_place_that_nobody_uses_lapses_and_one_that_is_used_late_does_not_overdraw(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    async with started(redis_url, namespace, clock, windows=[ONE_IN_30_S]) as limiter:
        await ask(limiter, "first")
        clock.advance(timedelta(seconds=await waits(limiter, "late")))
        clock.advance(timedelta(seconds=2.9))
        hasty = timedelta(seconds=1)
        assert await waits(limiter, "hasty", left=hasty) > 30, "its owner may still come"
        clock.advance(timedelta(seconds=0.1))
        assert isinstance(await ask(limiter, "hasty", left=hasty), Admitted), "nobody has used it"
        assert 30 <= await waits(limiter, "new") < 30.1
        assert 30 <= await waits(limiter, "late") < 30.1, "it is in front of who came later, and they move back"
        assert await waits(limiter, "new") > 60
        clock.advance(timedelta(seconds=30.1))
        assert isinstance(await ask(limiter, "late"), Admitted)


async def test_who_is_kept_from_its_place_by_one_that_was_late_waits_in_its_worker(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    async with started(redis_url, namespace, clock, windows=[ONE_IN_30_S]) as limiter:
        await ask(limiter, "first")
        second, third = await waits(limiter, "second"), await waits(limiter, "third")
        clock.advance(timedelta(seconds=second + 1.5))
        assert isinstance(await ask(limiter, "second"), Admitted)
        clock.advance(timedelta(seconds=third - second - 1.5))
        soon = await ask(limiter, "third")
        assert isinstance(soon, Soon)
        assert 1.5 <= soon.after_s <= 1.52
        assert await ask(limiter, "third") == soon, "however often it asks"
        clock.advance(timedelta(seconds=soon.after_s))
        assert isinstance(await ask(limiter, "third"), Admitted)


async def test_a_password_does_not_wait_behind_what_is_promised_to_marketing(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    async with started(redis_url, namespace, clock, windows=[ONE_IN_30_S]) as limiter:
        await ask(limiter, "first")
        marketing = [await waits(limiter, f"m-{number}", Lane.MARKETING) for number in range(5)]

        assert await waits(limiter, "otp") == marketing[0]
        assert await waits(limiter, "m-5", Lane.MARKETING) > marketing[-1] + 29


async def test_a_call_that_was_certainly_not_sent_keeps_its_place_before_those_who_wait(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    async with started(redis_url, namespace, clock, windows=[ONE_IN_30_S]) as limiter:
        first = await ask(limiter, "first")
        assert isinstance(first, Admitted)
        await waits(limiter, "second")
        await limiter.record(first, None)
        clock.advance(timedelta(seconds=5))

        assert isinstance(await ask(limiter, "first"), Admitted)


@pytest.mark.parametrize("is_closed_by_provider", [True, False])
async def test_what_else_is_closed_moves_the_places_behind_its_reopening(
    redis_url: str, namespace: str, clock: VirtualTime, is_closed_by_provider: bool
) -> None:
    caps = [] if is_closed_by_provider else [Cap(1, Period.DAY)]
    async with started(redis_url, namespace, clock, windows=[ONE_IN_30_S], caps=caps) as limiter:
        reopens = 4 * 3600 - clock.us // 1_000_000 % 60  # midnight in Singapore
        if is_closed_by_provider:
            await limiter.close(NUMBER, "FREQUENCY_LIMIT_DAY", timedelta(seconds=reopens))
        else:
            await limiter.admit(make_request(id="other", to="85251234568"), Token("t"))
        told = [await waits(limiter, f"r-{number}") for number in range(3)]

    assert 0 <= told[0] - reopens <= 0.1
    assert all(later - sooner >= 30 for sooner, later in pairwise(told))


async def test_places_are_bounded_and_those_without_one_come_back_at_many_instants(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    async with started(redis_url, namespace, clock, rate=0, windows=[ONE_IN_30_S]) as limiter:
        await ask(limiter, "first")
        last = max([await waits(limiter, f"r-{number}") for number in range(MOST)])
        told = {await waits(limiter, f"more-{number}") for number in range(50)}

        assert await client.strlen(Keys(namespace).of(NUMBER).places) == 12 * MOST
        assert len(told) == 50
        assert last < min(told)
        assert max(told) < 3 * last
        near = await waits(limiter, "near", left=timedelta(seconds=last + 60))
        assert near < last + 60, "none is told to come when it is too late"


async def test_a_place_survives_the_loss_of_its_answer_and_is_shared_by_copies(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    async with started(redis_url, namespace, clock, windows=[ONE_IN_30_S]) as limiter:
        await ask(limiter, "first")
        after = await waits(limiter, "second")
        clock.advance(timedelta(seconds=1))
        assert await waits(limiter, "second") == after - 1
        assert await client.strlen(Keys(namespace).of(NUMBER).places) == 12


async def test_what_is_promised_ends_with_its_time_in_redis_too(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    async with started(redis_url, namespace, clock, windows=[ONE_IN_30_S]) as limiter:
        await ask(limiter, "first")
        await waits(limiter, "second")
        assert 620 < await client.ttl(Keys(namespace).of(NUMBER).places) <= 631


async def test_a_version_without_places_overtakes_but_never_overdraws(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    """It neither sees nor uses them; to the others it is a request that came from nowhere."""
    async with started(redis_url, namespace, clock, windows=[ONE_IN_30_S]) as limiter:
        await ask(limiter, "first")
        clock.advance(timedelta(seconds=await waits(limiter, "second")))
        places = await client.get(Keys(namespace).of(NUMBER).places)
        await client.delete(Keys(namespace).of(NUMBER).places)
        assert isinstance(await ask(limiter, "from-nowhere"), Admitted)
        await client.set(Keys(namespace).of(NUMBER).places, places or b"")

        assert 30 <= await waits(limiter, "second") < 30.1
        clock.advance(timedelta(seconds=30.1))
        assert isinstance(await ask(limiter, "second"), Admitted)
