"""RabbitMQ is killed and restarted under load: nothing is lost, and nothing is sent twice at all."""

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.faults.outages import Outage, table
from tests.faults.requests import Mix
from tests.faults.scene import Scene, Stage
from tests.faults.size import SEED, SIZE

#: Seconds for one outage of RabbitMQ with the recovery from it, on a busy machine.
EACH_S = 40


@pytest.mark.timeout(120 + EACH_S * (SIZE.broker_kills + SIZE.broker_restarts))
async def test_a_broker_that_is_killed_or_restarted_under_load_loses_nothing_and_sends_nothing_twice(
    stage: Stage, show: Callable[[str], None]
) -> None:
    """The worker lives on, so it knows the outcome of every call: no call is unknown, and none may be made twice.

    What the publisher publishes again because a confirm was lost is the ledger's to answer.
    """
    async with stage.scene(Mix(SEED, faults=False), broker__reconnect_pause="1s") as scene:
        broker = stage.stack.rabbitmq
        await asyncio.to_thread(broker.flush)
        async with scene.load():
            kills = [await outage(scene, broker.kill) for _ in range(SIZE.broker_kills)]
            restarts = [await outage(scene, broker.stop) for _ in range(SIZE.broker_restarts)]
        verdict = await scene.verdict()

    show(table("RabbitMQ is away", {"killed": kills, "restarted": restarts}, verdict))
    assert verdict.agrees, str(verdict)
    assert (verdict.twice, verdict.resends) == ({}, 0)
    assert len(scene.zygote.lines("worker.started")) == 1
    assert len(scene.zygote.lines("broker.connected")) >= 2 * len([*kills, *restarts])


async def outage(scene: Scene, end: Callable[[], None]) -> Outage:
    """*end* the broker, start it again, and wait for the full rate."""
    began = time.monotonic()
    await asyncio.to_thread(end)
    await asyncio.to_thread(scene.stack.rabbitmq.start)
    lasted_s = time.monotonic() - began
    return Outage(lasted_s, await scene.full_rate(EACH_S))
