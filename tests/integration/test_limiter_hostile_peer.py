"""Whatever the peer does that stands where Redis should be: the limiter says LimiterUnavailable, nobody waits for ever,
and it goes on when the real one is back.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from io import BytesIO

import pytest
import uvloop
from pydantic import SecretStr
from redis.asyncio.connection import AbstractConnection

from tests.fakes import RecordingEvents
from tests.hostile_peer import REDIS_GARBAGE, HostilePeer, Mishap, Strike, strikes
from tests.limiters import GLOBE, LEASE, uses_of
from tests.scripted_server import NewLoop, on_both_loops, run
from tests.waiting import eventually
from worker.app import App
from worker.core.limits.quota import Cap, Quota, Slots, Window
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Period
from worker.errors import LimiterUnavailable
from worker.limiter.connection import connect, disconnect
from worker.limiter.limiter import RedisLimiter
from worker.limiter.server import forget
from worker.settings.load import load
from worker.settings.policy import policy_of
from worker.settings.sections import HoldSettings, RedisSettings
from worker.telemetry.open import open_telemetry

#: Longer than any answer is waited for, on a busy machine too.
FOR_EVER_S = 20.0
#: Answers of a connection that are struck: hello, database, greeting, and the first of its life.
STEPS = 7


def limiter_of(url: str, namespace: str) -> RedisLimiter:
    return RedisLimiter(
        impatient(url, namespace),
        quotas={GLOBE: Quota(500)},
        windows=[Window(1000, Period.DAY, frozenset(Lane))],
        caps=[Cap(100_000, Period.DAY)],
        hold=HoldSettings(sender_failures=2),
        memory=timedelta(hours=72),
        lease=LEASE,
        events=RecordingEvents(),
    )


def impatient(url: str, namespace: str) -> RedisSettings:
    patience = timedelta(milliseconds=100)
    return RedisSettings(url=SecretStr(url), namespace=namespace, timeout=patience, connect_timeout=2 * patience)


async def use(one: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(FOR_EVER_S):
        with suppress(LimiterUnavailable):
            await one()


@on_both_loops
@pytest.mark.parametrize("seed", range(3))
def test_a_peer_that_is_no_redis_makes_the_limiter_unavailable_and_no_more(
    new_loop: NewLoop, seed: int, redis_url: str, namespace: str
) -> None:
    dice = random.Random(seed)
    plan = strikes(dice, 30, STEPS, REDIS_GARBAGE)

    async def scene() -> int:
        async with HostilePeer(redis_url, plan) as peer:
            limiter = limiter_of(peer.url, namespace)
            redis = impatient(peer.url, namespace)
            uses = [*uses_of(limiter, redis), lambda: forget(impatient(peer.url, f"{namespace}-gone"))]
            while not peer.is_good:
                await asyncio.gather(*(use(dice.choice(uses)) for _ in range(dice.randrange(1, 8))))
            peer.be_good()
            await eventually(lambda: goes_on(limiter), 30, "the limiter goes on")
            async with asyncio.timeout(FOR_EVER_S):
                await limiter.aclose()
            return len(peer.struck)

    assert run(new_loop, scene()) > len(plan) // 2


@pytest.mark.parametrize("step", range(1, STEPS))
def test_each_kind_of_nonsense_at_each_step_is_a_limiter_that_cannot_be_used(
    step: int, redis_url: str, namespace: str
) -> None:
    async def scene(garbage: bytes) -> None:
        async with HostilePeer(redis_url, [Strike(Mishap.GARBLES, step, garbage)]) as peer:
            limiter = limiter_of(peer.url, namespace)
            for one in uses_of(limiter, impatient(redis_url, namespace)):
                await use(one)
            await eventually(lambda: goes_on(limiter), 30, "the limiter goes on")
            await limiter.aclose()

    async def scenes() -> None:
        await asyncio.gather(*map(scene, REDIS_GARBAGE))

    run(uvloop.new_event_loop, scenes())


@on_both_loops
def test_the_watch_of_a_worker_survives_every_mishap_and_sees_redis_come_back(
    new_loop: NewLoop, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.limiter.watch._POLL_S", 0.01)
    plan = strikes(random.Random(4), 0, STEPS, REDIS_GARBAGE)

    async def scene() -> None:
        async with HostilePeer(redis_url, plan) as peer:
            addresses = {"redis.url": peer.url, "redis.namespace": namespace}
            settings = load([], {}, {**addresses, "redis.timeout": "100ms", "redis.connect_timeout": "200ms"})
            catalog = policy_of(settings).catalog
            observed = open_telemetry(settings.log, settings.sentry, catalog, "test", stream=BytesIO(), strict=True)
            app = App(settings, observed)
            watch = asyncio.create_task(app.watch.run())
            await eventually(lambda: watch.done() or peer.is_good, 60, "every mishap was met")
            peer.be_good()
            await eventually(lambda: watch.done() or app.snapshot().limiter, 30, "Redis is seen to be back")
            assert not watch.done(), watch.exception()
            watch.cancel()
            await asyncio.wait([watch])
            await app.limiter.aclose()
            observed.close()

    run(new_loop, scene())


async def goes_on(limiter: RedisLimiter) -> bool:
    try:
        await limiter.start()
        await limiter.check_writable()
        await limiter.holds.list()
        granted = await limiter.grant(GLOBE, Lane.OTP, 1)
    except LimiterUnavailable:
        return False
    return isinstance(granted, Slots)


async def test_a_connection_that_was_not_greeted_is_used_by_nobody(redis_url: str, namespace: str) -> None:
    """The greeting asks whether this server knows what was granted."""
    greeted = []

    async def greet(connection: AbstractConnection) -> None:
        greeted.append(connection)
        if len(greeted) == 1:
            raise LimiterUnavailable("this one does not know")

    client = connect(impatient(redis_url, namespace), greet)
    with pytest.raises(LimiterUnavailable):
        await client.get("key")
    await client.get("key")
    await disconnect(client)

    assert len(greeted) == 2
