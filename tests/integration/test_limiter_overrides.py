"""Limits that are changed while limiters run, with a real Redis."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.fakes import RecordingEvents
from tests.limiters import GLOBE, SILENCE, VirtualTime, admit
from tests.makers import make_request
from tests.waiting import eventually
from worker.core.limits.bucket import SECOND_US
from worker.core.limits.ledger import Token
from worker.core.limits.overrides import Override, Overrides
from worker.core.limits.quota import Admitted, Shadow, Slots, Turn
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Closed
from worker.limiter.in_force import InForce
from worker.limiter.keys import Keys
from worker.limiter.limiter import RedisLimiter, redis_time
from worker.limiter.overrides import LONGEST, written
from worker.limiter.watch import LimiterWatch
from worker.operator.limits import Wanted, carry_out, look, planned, planned_reset, value_of
from worker.settings.load import load
from worker.settings.policy import caps_of, lease_of, quotas_of, windows_of
from worker.settings.sections import Settings

RATE = "quota.send_message_to_globe"
WINDOWS, CAPS = "limits.recipient", "limits.caps"
#: What is changed is in force after this. Seconds.
SOON_S = 1.0


@dataclass(eq=False)
class Follower:
    """A limiter that follows what is changed, and what it heard."""

    settings: Settings
    clock: VirtualTime | None = None
    events: RecordingEvents = field(default_factory=RecordingEvents)
    heard: list[Settings] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = self.settings
        self.limiter = RedisLimiter(
            settings.redis,
            quotas=quotas_of(settings),
            windows=windows_of(settings),
            caps=caps_of(settings),
            hold=settings.hold,
            memory=settings.ledger.memory,
            lease=lease_of(settings),
            events=self.events,
            now_us=self.clock or redis_time,
            in_force=InForce(settings, self.events, self.change),
        )

    def change(self, settings: Settings, shadow: Shadow) -> None:
        self.heard.append(settings)
        self.limiter.limits.change(quotas_of(settings), windows_of(settings), caps_of(settings), shadow)

    @property
    def rate(self) -> int:
        return (self.heard or [self.settings])[-1].quota.send_message_to_globe

    def told(self, name: str) -> list[dict[str, Any]]:
        return self.events.named(name)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
def keys(namespace: str) -> Keys:
    return Keys(namespace)


@pytest.fixture
def settings(redis_url: str, namespace: str) -> Settings:
    return settings_of(redis_url, namespace)


def settings_of(redis_url: str, namespace: str, **flags: Any) -> Settings:
    given = {name.replace("__", "."): value for name, value in flags.items()}
    timeout = {"redis.timeout": "5s", "limits.recipient": []}
    return load([], {}, {"redis.url": redis_url, "redis.namespace": namespace, **timeout, **given})


@asynccontextmanager
async def following(settings: Settings, clock: VirtualTime | None = None) -> AsyncIterator[Follower]:
    follower = Follower(settings, clock)
    await follower.limiter.start()
    if clock:
        clock.advance(SILENCE)
    try:
        yield follower
    finally:
        await follower.limiter.aclose()


@asynccontextmanager
async def watching(settings: Settings) -> AsyncIterator[Follower]:
    """A limiter that looks by itself, as a worker's does."""
    async with following(settings) as follower:
        watch = asyncio.create_task(LimiterWatch(follower.limiter, settings.redis, follower.events).run())
        try:
            yield follower
        finally:
            watch.cancel()
            await asyncio.wait([watch])


async def set_to(settings: Settings, lasts: timedelta | None = None, *, shadow: bool = False, **texts: str) -> None:
    values = {name.replace("__", "."): text for name, text in texts.items()}
    read = {key: value_of(key, text) for key, text in values.items()}
    assert await carry_out(settings, planned(settings, Wanted(read, "Ada", lasts, shadow)))


async def rate_of(client: Redis, keys: Keys) -> tuple[int, list[int]]:
    """How many slots were booked, and the instants of the latest of them by their number."""
    seq = int(await client.hget(keys.rate(GLOBE), "seq") or 0)
    cells: Any = await client.get(keys.ring(GLOBE)) or b""
    assert seq <= 4096
    return seq, [int(slot) for (slot,) in struct.iter_unpack("<d", cells)]


async def ask_for_ever(limiter: RedisLimiter, lane: Lane) -> None:
    while True:
        match await limiter.grant(GLOBE, lane, 10):
            case Slots(waits_s):
                await asyncio.sleep(waits_s[-1])
            case Turn(after_s):
                await asyncio.sleep(after_s)


@asynccontextmanager
async def running(*work: Awaitable[None]) -> AsyncIterator[None]:
    started = [asyncio.ensure_future(each) for each in work]
    try:
        yield
        assert not [each for each in started if each.done()]
    finally:
        for each in started:
            each.cancel()
        await asyncio.wait(started)


async def later(seconds: float) -> None:
    """Until so much time has passed: what is promised is an instant."""
    await asyncio.sleep(seconds)


async def test_two_limiters_grant_no_more_than_a_lower_rate_a_second_after_it_was_set(
    redis_url: str, namespace: str, client: Redis, keys: Keys
) -> None:
    settings = settings_of(redis_url, namespace, quota__send_message_to_globe=200)
    async with (
        watching(settings) as one,
        watching(settings) as other,
        running(ask_for_ever(one.limiter, Lane.OTP), ask_for_ever(other.limiter, Lane.MARKETING)),
    ):
        await eventually(lambda: booked(client, keys, 300), because="the old rate is used")
        await set_to(settings, quota__send_message_to_globe="20")
        await later(SOON_S)
        assert (one.rate, other.rate) == (20, 20)
        changed, _ = await rate_of(client, keys)
        await eventually(lambda: booked(client, keys, changed + 60), because="the new rate is used")
        await carry_out(settings, planned_reset(settings, [RATE], "Ada"))
        await later(SOON_S)
        lowered, slots = await rate_of(client, keys)
        await eventually(lambda: booked(client, keys, lowered + 200), 3, because="the old rate is used again")
    limited = range(changed, changed + 60)

    assert all(slots[i] - slots[i - 20] > SECOND_US for i in limited)
    assert slots[changed + 59] - slots[changed] < 3.2 * SECOND_US
    assert [(line["key"], line["before"], line["after"]) for line in one.told("limits.changed")] == [
        (RATE, "200", "20"),
        (RATE, "20", "200"),
    ]


async def booked(client: Redis, keys: Keys, count: int) -> bool:
    return (await rate_of(client, keys))[0] >= count


def has_rate(rate: int, *followers: Follower) -> bool:
    return all(follower.rate == rate for follower in followers)


async def test_each_change_is_in_force_within_a_second(settings: Settings) -> None:
    async with watching(settings) as one, watching(settings) as other:
        for rate in range(20, 24):  # each is made just after a look
            await set_to(settings, quota__send_message_to_globe=str(rate))
            await eventually(partial(has_rate, rate, one, other), SOON_S, because="it is in force")


async def test_a_change_ends_by_redis_clock_in_all_limiters(settings: Settings) -> None:
    async with watching(settings) as one, watching(settings) as other:
        await set_to(settings, timedelta(seconds=2), quota__send_message_to_globe="20")
        await later(SOON_S)
        during = (one.rate, other.rate)
        await later(1 + SOON_S)

        assert during == (20, 20)
        assert (one.rate, other.rate) == (30, 30)
        rows, faults = await look(settings)
        assert (rows[0]["key"], rows[0]["by"], faults) == (RATE, None, [])


async def test_a_change_is_in_force_before_the_first_grant_of_a_connection(
    settings: Settings, client: Redis, keys: Keys
) -> None:
    await set_to(settings, quota__send_message_to_globe="7")
    async with following(settings) as follower:
        assert follower.rate == 7

        await client.set(keys.overrides, written(Overrides(9, (Override(RATE, 5, "Bob", 1),))))
        await client.client_kill_filter(_type="normal", skipme=True)
        await eventually(lambda: granted(follower), because="it connects anew")
        assert follower.rate == 5


async def granted(follower: Follower) -> bool:
    try:
        await follower.limiter.grant(GLOBE, Lane.OTP, 1)
    except Exception:  # noqa: BLE001 - the connection broke
        return False
    return True


async def test_when_redis_is_emptied_the_configured_values_are_in_force(settings: Settings, client: Redis) -> None:
    async with watching(settings) as follower:
        await set_to(settings, quota__send_message_to_globe="20")
        await eventually(lambda: follower.rate == 20, because="it is in force")
        await client.flushdb()
        await eventually(lambda: follower.rate == 30, because="it is in force no more")


@pytest.mark.parametrize(
    "garbage", [b"garbage", b"[" * 9000, b"\xff\x00", b"7" * (LONGEST + 1), b'{"version": 1, "every": [7]}', None]
)
async def test_garbage_is_told_once_and_ignored(
    settings: Settings, client: Redis, keys: Keys, garbage: bytes | None
) -> None:
    async with following(settings) as follower:
        await set_to(settings, quota__send_message_to_globe="20")
        await follower.limiter.overrides.poll()
        await client.delete(keys.overrides)
        await (client.set(keys.overrides, garbage) if garbage else client.rpush(keys.overrides, "x"))
        await client.set(keys.shadowed, "x")
        for _ in range(3):
            await follower.limiter.overrides.poll()

        assert follower.rate == 20
        assert len(follower.told("limits.unreadable")) == 1
        await carry_out(settings, planned_reset(settings, [], "Ada"), whatever_is_there=True)
        await follower.limiter.overrides.poll()
        assert follower.rate == 30


async def test_a_limiter_that_starts_with_garbage_has_its_configured_limits(
    settings: Settings, client: Redis, keys: Keys
) -> None:
    await client.rpush(keys.overrides, "x")
    async with watching(settings) as follower:
        await eventually(lambda: follower.told("limiter.available"), because="it works")

        assert follower.rate == 30
        assert [line["reason"] for line in follower.told("limits.unreadable")] != []


async def test_a_limiter_keeps_what_it_has_when_a_change_does_not_go_with_its_configuration(
    redis_url: str, namespace: str, settings: Settings
) -> None:
    its_own = settings_of(redis_url, namespace, lanes__notify__floor=0.9)
    async with following(its_own) as follower, following(settings) as other:
        await set_to(settings, quota__send_message_to_globe="20")
        await follower.limiter.overrides.poll()
        await set_to(settings, lanes__otp__floor="0.2")
        for each in (follower, other, follower):
            await each.limiter.overrides.poll()
        rows, faults = await look(its_own)

        assert other.heard[-1].lanes.otp.floor == 0.2
        assert (follower.rate, follower.heard[-1].lanes.otp.floor) == (20, 0.0)
        (line,) = follower.told("limits.refused")
        assert "override: lanes: the floors of all lanes together must be at most 1" in line["reason"]
        assert len(rows) > 5
        assert "workers with this configuration keep what they have" in faults[0]

        await set_to(settings, lanes__otp__floor="0.05")
        await follower.limiter.overrides.poll()
        assert follower.heard[-1].lanes.otp.floor == 0.05


async def test_what_was_kept_ends_too(redis_url: str, namespace: str, settings: Settings, client: Redis) -> None:
    its_own = settings_of(redis_url, namespace, lanes__notify__floor=0.9)
    async with watching(its_own) as follower:
        await set_to(settings, timedelta(seconds=1), quota__send_message_to_globe="20")
        await eventually(lambda: follower.rate == 20, because="it is in force")
        await set_to(settings, lanes__otp__floor="0.2")

        await eventually(lambda: follower.rate == 30, because="it has ended")
        assert len(follower.told("limits.refused")) == 1


async def test_what_another_version_changed_is_told_and_the_rest_applied(
    settings: Settings, client: Redis, keys: Keys
) -> None:
    every = (Override("later.key", 1, "Eve", 1), Override(RATE, 9, "Eve", 1))
    await client.set(keys.overrides, written(Overrides(3, every)))
    async with following(settings) as follower:
        await follower.limiter.overrides.poll()

        assert follower.rate == 9
        assert follower.told("limits.unknown") == [{"keys": 1}]


async def test_a_raised_floor_takes_force_though_a_lower_one_was_due_much_later(
    settings: Settings, clock: VirtualTime
) -> None:
    async with following(settings, clock) as follower:
        limiter = follower.limiter

        async def slots_in(seconds: float) -> int:
            count, end = 0, clock.us + seconds * SECOND_US
            while clock.us < end:
                await limiter.grant(GLOBE, Lane.OTP, 50)
                answer = await limiter.grant(GLOBE, Lane.MARKETING, 1)
                count += len(answer.waits_s) if isinstance(answer, Slots) else 0
                clock.advance(timedelta(milliseconds=20))
            return count

        await set_to(settings, lanes__marketing__floor="0.001")
        await limiter.overrides.poll()
        await slots_in(3)
        before = await slots_in(3)
        await set_to(settings, lanes__marketing__floor="0.2")
        await limiter.overrides.poll()

        assert before == 0
        assert await slots_in(3) >= 12


# -- shadows


async def shadow_row(settings: Settings, key: str) -> dict[str, Any]:
    rows, faults = await look(settings)
    assert faults == []
    (row,) = (row for row in rows if row["key"] == key)
    shadow = row["shadow"]
    assert isinstance(shadow, dict)
    return shadow


async def test_a_shadow_window_counts_what_it_would_refuse_and_refuses_nobody(
    settings: Settings, clock: VirtualTime
) -> None:
    async with following(settings, clock) as follower:
        poll = follower.limiter.overrides.poll
        text = '[{limit = 2, period = "1h", lanes = ["otp"]}, {limit = 3, period = "day"}]'
        await set_to(settings, shadow=True, limits__recipient=text)
        await poll()
        answers = []
        for _ in range(5):
            answers.append(await admit(follower.limiter, make_request(Lane.OTP)))
            clock.advance(timedelta(minutes=1))
        await admit(follower.limiter, make_request(Lane.OTP, to="+85259999999"))
        await poll()
        counted = await shadow_row(settings, WINDOWS)

        assert all(isinstance(answer, Admitted) for answer in answers)
        assert [line["limit"] for line in follower.told("limits.shadowed")] == [
            "otp 2 per hour",
            "otp 2 per hour; 3 per day",
            "otp 2 per hour; 3 per day",
        ]
        assert (counted["refused"], counted["refused_by"]) == (3, {"otp 2 per hour": 3, "3 per day": 2})


async def test_a_shadow_beside_a_window_leaves_the_windows_verdict_as_it_is(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    window = [{"limit": 3, "period": "1h"}]
    settings = settings_of(redis_url, namespace, limits__recipient=window)
    async with following(settings, clock) as follower:
        await set_to(settings, shadow=True, limits__recipient='[{limit = 1, period = "1d"}]')
        await follower.limiter.overrides.poll()
        answers = [await admit(follower.limiter, make_request()) for _ in range(4)]
        clock.advance(timedelta(hours=2))
        # The shadow's marks are kept longer than those of the window.
        again = await admit(follower.limiter, make_request(to="+85251234567"))

        assert [type(answer) for answer in answers] == [Admitted, Admitted, Admitted, Closed]
        assert isinstance(answers[3], Closed)
        assert answers[3].window == "3 per hour"
        assert isinstance(again, Admitted)
        assert len(follower.told("limits.shadowed")) == 3


async def test_a_shadow_alone_keeps_marks_and_ends_with_a_reset(settings: Settings, clock: VirtualTime) -> None:
    async with following(settings, clock) as follower:
        await set_to(settings, shadow=True, limits__recipient='[{limit = 1, period = "1h"}]')
        await follower.limiter.overrides.poll()
        for _ in range(2):
            assert isinstance(await admit(follower.limiter, make_request()), Admitted)
        await carry_out(settings, planned_reset(settings, [WINDOWS], "Ada", shadows_only=True))
        await follower.limiter.overrides.poll()
        await admit(follower.limiter, make_request())

        assert len(follower.told("limits.shadowed")) == 1
        # What was counted meanwhile counts when the window is set in force.
        await set_to(settings, limits__recipient='[{limit = 2, period = "1h"}]')
        await follower.limiter.overrides.poll()
        assert isinstance(await admit(follower.limiter, make_request()), Closed)


async def test_a_shadow_cap_counts_each_message_once_beside_a_cap_of_its_name(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis, keys: Keys
) -> None:
    settings = settings_of(redis_url, namespace, limits__caps=[{"limit": 4, "period": "day", "prefix": "852"}])
    text = (
        '[{limit = 2, period = "day", prefix = "852"}, {limit = 3, period = "day"}, '
        '{limit = 1, period = "day", prefix = "65"}]'
    )
    async with following(settings, clock) as follower:
        await set_to(settings, shadow=True, limits__caps=text)
        await follower.limiter.overrides.poll()
        limiter = follower.limiter
        answers = [await admit(limiter, make_request())]
        admitted = await limiter.admit(make_request(id="a"), Token("a"))
        assert isinstance(admitted, Admitted)
        await limiter.record(admitted, None)  # certainly not sent: it is taken out again, once
        answers += [await admit(limiter, make_request()) for _ in range(4)]
        await limiter.overrides.poll()
        counted = await shadow_row(settings, CAPS)
        stored: dict[Any, Any] = await client.hgetall(keys.caps)

        assert [type(answer) for answer in answers] == [Admitted] * 4 + [Closed]
        assert isinstance(answers[4], Closed)
        assert answers[4].window == "country 852: 4 per day"
        assert {name.decode(): count.decode().split()[1] for name, count in stored.items()} == {
            "day:852": "4",
            "day:": "4",
        }
        assert counted["refused"] == 2
        assert counted["refused_by"] == {"country 852: 2 per day": 2, "account: 3 per day": 1}


async def test_a_shadow_that_takes_force_goes_on_where_it_counted(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    settings = settings_of(redis_url, namespace)
    text = '[{limit = 2, period = "day", prefix = "852"}]'
    async with following(settings, clock) as follower:
        await set_to(settings, shadow=True, limits__caps=text)
        await follower.limiter.overrides.poll()
        for _ in range(2):
            await admit(follower.limiter, make_request())
        await set_to(settings, limits__caps=text)
        await follower.limiter.overrides.poll()

        assert isinstance(await admit(follower.limiter, make_request()), Closed)


async def test_what_a_shadow_counted_is_told_again_when_redis_did_not_take_it(
    settings: Settings, clock: VirtualTime, client: Redis, keys: Keys
) -> None:
    async with following(settings, clock) as follower:
        await set_to(settings, shadow=True, limits__caps='[{limit = 1, period = "day"}]')
        await follower.limiter.overrides.poll()
        for _ in range(3):
            await admit(follower.limiter, make_request())
        await client.client_kill_filter(_type="normal", skipme=True)
        await eventually(lambda: polled(follower), because="it connects anew")

        assert (await shadow_row(settings, CAPS))["refused"] == 2


async def polled(follower: Follower) -> bool:
    try:
        await follower.limiter.overrides.poll()
    except Exception:  # noqa: BLE001 - the connection broke
        return False
    return True


async def test_counts_of_a_shadow_that_ended_are_removed(
    settings: Settings, clock: VirtualTime, client: Redis, keys: Keys
) -> None:
    async with following(settings, clock) as follower:
        for _ in range(2):
            await set_to(settings, shadow=True, limits__caps='[{limit = 1, period = "day"}]')
            await follower.limiter.overrides.poll()
            for _ in range(2):
                await admit(follower.limiter, make_request())
            await follower.limiter.overrides.poll()
        assert (await shadow_row(settings, CAPS))["refused"] == 2
        assert await client.hlen(keys.shadowed) == 2
        await carry_out(settings, planned_reset(settings, [CAPS], "Ada"))

        assert await client.exists(keys.shadowed) == 0
