"""What goes wrong with Redis: nothing is granted that might exceed a limit, and it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from deploy.local.stack import Stack
from tests.fakes import RecordingEvents
from tests.limiters import GLOBE, VirtualTime, admit, started
from tests.makers import NUMBER, make_request
from worker.core.limits.bucket import SECOND_US
from worker.core.limits.quota import Admitted, Cap, Slots, Turn, Window
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Closed, Period
from worker.errors import LimiterUnavailable
from worker.limiter.keys import Keys
from worker.limiter.limiter import RedisLimiter

DAILY = [Window(20, Period.DAY, frozenset(Lane))]
CAPS = [Cap(1000, Period.DAY)]
Change = Callable[[Redis], Awaitable[object]]


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
def events() -> RecordingEvents:
    return RecordingEvents()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def limiter(
    redis_url: str, namespace: str, clock: VirtualTime, events: RecordingEvents
) -> AsyncIterator[RedisLimiter]:
    async with started(redis_url, namespace, clock, windows=DAILY, caps=CAPS, events=events) as limiter:
        events.told.clear()
        yield limiter


def forgot(events: RecordingEvents) -> list[str]:
    """The events that tell of what Redis may have forgotten."""
    return [
        name for name, _ in events.told if name.removeprefix("limiter.") in {"new", "emptied", "restarted", "clock"}
    ]


async def test_only_who_was_there_before_says_that_redis_was_emptied(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    first, second = RecordingEvents(), RecordingEvents()
    async with started(redis_url, namespace, clock, events=first) as limiter:
        assert forgot(first) == ["limiter.new"]
        assert first.named("limiter.new")[0]["pause_s"] > 1
        async with started(redis_url, namespace, clock, events=second) as other:
            assert forgot(second) == []
            await client.flushdb()
            await other.grant(GLOBE, Lane.OTP, 1)
            await limiter.grant(GLOBE, Lane.OTP, 1)

    assert (forgot(first), forgot(second)) == (["limiter.new"], ["limiter.emptied"])


async def book(limiter: RedisLimiter, clock: VirtualTime, seconds: float) -> list[int]:
    """Ask for OTP slots, as many as are given, for a while; their instants."""
    slots, end = [], clock.us + round(seconds * SECOND_US)
    while clock.us < end:
        answer = await limiter.grant(GLOBE, Lane.OTP, 30)
        if isinstance(answer, Slots):
            slots += [clock.us + round(wait * SECOND_US) for wait in answer.waits_s]
        clock.advance(timedelta(milliseconds=40))
    return slots


async def test_an_emptied_redis_never_lets_more_than_the_rate_through(
    limiter: RedisLimiter, clock: VirtualTime, client: Redis, events: RecordingEvents
) -> None:
    """Slots that were booked ahead and are forgotten now still count in the window of those that follow."""
    before = await book(limiter, clock, 3)
    await client.flushdb()
    after = await book(limiter, clock, 6)

    slots = before + after
    assert len(after) > 80
    assert max(sum(slot <= other < slot + SECOND_US for other in slots) for slot in slots) <= 30
    assert forgot(events) == ["limiter.emptied"]


async def test_a_restarted_redis_is_noticed_before_it_grants_anything(
    limiter: RedisLimiter, clock: VirtualTime, events: RecordingEvents, stack: Stack
) -> None:
    before = await book(limiter, clock, 1)
    await asyncio.to_thread(stack.redis.kill)
    with pytest.raises(LimiterUnavailable, match="cannot be reached"):
        await limiter.grant(GLOBE, Lane.OTP, 1)
    assert not limiter.available
    await asyncio.to_thread(stack.redis.start)
    after = await book(limiter, clock, 6)

    assert limiter.available
    assert min(after) - max(before) >= SECOND_US
    assert forgot(events) == ["limiter.restarted"]


async def test_a_forgotten_script_is_loaded_and_runs_once(limiter: RedisLimiter, client: Redis, namespace: str) -> None:
    await client.script_flush()
    admissions = await asyncio.gather(*(admit(limiter, make_request()) for _ in range(5)))

    assert all(isinstance(admission, Admitted) for admission in admissions)
    assert await client.strlen(Keys(namespace).of(NUMBER).marks) == 5 * 4


@pytest.mark.parametrize(
    ("refuse", "allow", "kind"),
    [
        (lambda redis: redis.replicaof("127.0.0.1", "1"), lambda redis: redis.replicaof("NO", "ONE"), "ReadOnlyError"),
        (
            lambda redis: redis.config_set("min-replicas-to-write", 1),
            lambda redis: redis.config_set("min-replicas-to-write", 0),
            "NOREPLICAS",
        ),
    ],
)
async def test_a_redis_that_refuses_to_write_grants_nothing(
    limiter: RedisLimiter, client: Redis, refuse: Change, allow: Change, kind: str
) -> None:
    await refuse(client)
    try:
        with pytest.raises(LimiterUnavailable, match=kind):
            await limiter.grant(GLOBE, Lane.OTP, 1)
        with pytest.raises(LimiterUnavailable, match=kind):
            await admit(limiter, make_request())
        assert not limiter.available
        with pytest.raises(LimiterUnavailable):
            await limiter.check_writable()
    finally:
        await allow(client)
    await limiter.check_writable()

    assert isinstance(await limiter.grant(GLOBE, Lane.OTP, 1), Slots)
    assert limiter.available


async def test_a_stalled_redis_is_given_up_soon_and_never_asked_twice(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    async with started(redis_url, namespace, clock, patience=timedelta(milliseconds=100)) as limiter:
        await limiter.grant(GLOBE, Lane.OTP, 1)
        await client.client_pause(400)
        began = asyncio.get_running_loop().time()
        with pytest.raises(LimiterUnavailable):
            await limiter.grant(GLOBE, Lane.OTP, 1)
        lasted = asyncio.get_running_loop().time() - began
        await client.ping()  # answered when the pause is over

        assert lasted < 0.35
        assert int(await client.hget(Keys(namespace).rate(GLOBE), "seq") or 0) <= 2


async def test_a_clock_that_was_set_back_stops_sending_for_moments_not_for_hours(
    limiter: RedisLimiter, clock: VirtualTime, events: RecordingEvents
) -> None:
    await book(limiter, clock, 1)
    clock.advance(timedelta(hours=-1))
    first = await limiter.grant(GLOBE, Lane.OTP, 1)
    slots = await book(limiter, clock, 4)

    assert isinstance(first, Turn)
    assert slots
    assert forgot(events) == ["limiter.clock"]


async def test_an_error_tells_neither_key_nor_number_and_spoils_no_other_request(
    limiter: RedisLimiter, client: Redis, namespace: str
) -> None:
    key = Keys(namespace).of(NUMBER).marks
    await client.hset(key, "not", "a log")
    others = [admit(limiter, make_request(to=f"8525999000{n}")) for n in range(5)]
    spoiled, *answers = await asyncio.gather(admit(limiter, make_request()), *others, return_exceptions=True)

    assert isinstance(spoiled, LimiterUnavailable)
    assert str(spoiled) == "Redis refuses: WRONGTYPE"
    assert spoiled.__cause__ is spoiled.__context__ is None
    assert all(isinstance(answer, Admitted) for answer in answers)


async def reads(client: Redis) -> int:
    """How often Redis read from any connection."""
    return int((await client.info("stats"))["total_reads_processed"])


async def test_what_is_asked_in_one_turn_of_the_loop_travels_together(limiter: RedisLimiter, client: Redis) -> None:
    await admit(limiter, make_request())  # Redis is given the script, which is longer than one read
    before = await reads(client)
    # So many that Redis can read them at once: 16 KiB.
    await asyncio.gather(*(admit(limiter, make_request(to=f"85259990{n:03}")) for n in range(30)))

    assert await reads(client) - before <= 2


async def test_what_is_asked_while_redis_is_slow_waits_and_travels_together(
    limiter: RedisLimiter, client: Redis
) -> None:
    before = await reads(client)
    await client.client_pause(200)
    asks = []
    for n in range(50):
        asks.append(asyncio.ensure_future(admit(limiter, make_request(to=f"85259990{n:03}"))))
        await asyncio.sleep(0)
    await asyncio.gather(*asks)

    assert await reads(client) - before <= 25


async def test_an_asker_that_gives_up_leaves_the_others_their_answers(limiter: RedisLimiter) -> None:
    asks = [asyncio.ensure_future(admit(limiter, make_request(to=f"85259990{n:03}"))) for n in range(3)]
    await asyncio.sleep(0)
    asks[1].cancel()
    answers = await asyncio.gather(*asks, return_exceptions=True)

    assert isinstance(answers[0], Admitted)
    assert isinstance(answers[1], asyncio.CancelledError)
    assert isinstance(answers[2], Admitted)


async def test_the_clock_is_redis_own(redis_url: str, namespace: str) -> None:
    windows = [Window(1, timedelta(seconds=30), frozenset(Lane))]
    async with started(redis_url, namespace, None, rate=30, windows=windows) as limiter:
        silent = await limiter.grant(GLOBE, Lane.OTP, 1)
        await admit(limiter, make_request())
        closed = await admit(limiter, make_request())

    assert silent == Turn(0.25)
    assert isinstance(closed, Closed)
    assert timedelta(seconds=25) < closed.after <= timedelta(seconds=31)


async def test_a_limiter_does_not_start_without_redis(clock: VirtualTime, namespace: str, unused_tcp_port: int) -> None:
    with pytest.raises(LimiterUnavailable, match="cannot be reached"):
        async with started(f"redis://127.0.0.1:{unused_tcp_port}", namespace, clock):
            pass
