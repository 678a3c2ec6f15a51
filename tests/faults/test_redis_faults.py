"""Redis lives, and is of no use: read-only in several ways, full, or stalled. Nothing is sent meanwhile."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pytest

from deploy.local.redis import Redis
from deploy.local.stack import Stack
from tests.faults.outages import Outage, table
from tests.faults.requests import Mix
from tests.faults.scene import Scene, Stage
from tests.faults.size import SEED, SIZE

#: How each begins and how it ends, as commands to Redis.
FAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "no replica takes the writes": ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
    "a replica without its master": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    "full": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    "stalled": ("CLIENT PAUSE 2000 ALL", "PING"),  # answers when the pause is over: it holds up UNPAUSE, too
}
#: Seconds in which nothing may be called; and the calls that may have been on their way when they began.
QUIET_S, ON_THEIR_WAY = 0.5, 3
#: Seconds for one fault with the recovery from it, on a busy machine.
EACH_S = 15


@pytest.fixture
def redis(stack: Stack) -> Iterator[Redis]:
    """Every fault ends with the test."""
    assert isinstance(stack.redis, Redis), "a Redis that was given is not ours to break"
    yield stack.redis
    for _, end in FAULTS.values():
        stack.redis.command(*end.split())


@pytest.mark.timeout(120 + EACH_S * SIZE.rounds * len(FAULTS))
async def test_a_redis_that_takes_no_writes_stops_all_calls_and_costs_no_message(
    stage: Stage, redis: Redis, show: Callable[[str], None]
) -> None:
    outages: dict[str, list[Outage]] = {name: [] for name in FAULTS}
    async with stage.scene(Mix(SEED, faults=False)) as scene:
        async with scene.load():
            for name in [name for _ in range(SIZE.rounds) for name in FAULTS]:
                outages[name].append(await outage(scene, redis, *FAULTS[name]))
        verdict = await scene.verdict()

    show(table("Redis is of no use", outages, verdict))
    assert verdict.agrees, str(verdict)
    assert (verdict.twice, verdict.resends) == ({}, 0)


async def outage(scene: Scene, redis: Redis, begin: str, end: str) -> Outage:
    """Break Redis, see that nothing is called, mend it, and wait for the full rate."""
    told = scene.told("limiter.unavailable")
    began = time.monotonic()
    await asyncio.to_thread(redis.command, *begin.split())
    await scene.will_tell("limiter.unavailable", told + 1)
    calls = scene.sandbox.account.calls
    await asyncio.sleep(QUIET_S)
    assert scene.sandbox.account.calls - calls <= ON_THEIR_WAY
    await asyncio.to_thread(redis.command, *end.split())
    lasted_s = time.monotonic() - began
    return Outage(lasted_s, await scene.full_rate(EACH_S))
