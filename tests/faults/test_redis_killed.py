"""Redis is killed under load, with its data and without: nothing is lost, and nothing is sent twice at all."""

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.faults.outages import Outage, table
from tests.faults.requests import Mix
from tests.faults.scene import Scene, Stage
from tests.faults.size import SEED, SIZE
from tests.waiting import eventually

#: Seconds for one outage of Redis with the recovery from it, on a busy machine.
EACH_S = 15


@pytest.mark.timeout(120 + EACH_S * 2 * SIZE.redis_kills)
async def test_redis_killed_with_or_without_its_data_under_load_loses_nothing_and_sends_nothing_twice(
    stage: Stage, show: Callable[[str], None]
) -> None:
    """No id is published twice here: a ledger that was emptied cannot know what was sent before.

    The worker lives on and tells the ledger what it could not tell while Redis was away.
    """
    async with stage.scene(Mix(SEED, faults=False, repeats=False)) as scene:
        async with scene.load():
            kept = [await outage(scene, number, keep=True) for number in range(SIZE.redis_kills)]
            emptied = [await outage(scene, number, keep=False) for number in range(SIZE.redis_kills)]
        verdict = await scene.verdict()

    show(table("Redis is away", {"killed": kept, "killed, its data lost": emptied}, verdict))
    assert verdict.agrees, str(verdict)
    assert (verdict.twice, verdict.resends) == ({}, 0)
    assert len(scene.zygote.lines("worker.started")) == 1
    assert len(scene.zygote.lines("limiter.restarted")) >= SIZE.redis_kills
    assert len(scene.zygote.lines("limiter.emptied")) >= SIZE.redis_kills


async def outage(scene: Scene, number: int, *, keep: bool) -> Outage:
    """Kill Redis, start it again, at once or when the worker has told that it is away, and wait for the full rate."""
    redis = scene.stack.redis
    told = len(scene.zygote.lines("limiter.unavailable"))
    began = time.monotonic()
    if not keep:
        await asyncio.to_thread(redis.wipe)
    await asyncio.to_thread(redis.kill)
    if number % 2 == 0:
        await eventually(lambda: len(scene.zygote.lines("limiter.unavailable")) > told, EACH_S, "the worker noticed")
    await asyncio.to_thread(redis.start)
    lasted_s = time.monotonic() - began
    return Outage(lasted_s, await scene.full_rate(EACH_S))
