"""RabbitMQ lives, and is of no use: an alarm, a queue that somebody deleted, confirms that never come."""

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest

from deploy.local.stack import Stack
from tests.brokers import declared, raw_channel
from tests.faults.deaf import DeafProxy
from tests.faults.requests import Mix
from tests.faults.scene import Scene, Stage
from tests.faults.size import SEED, SIZE
from tests.waiting import eventually
from worker.core.message.lane import Lane
from worker.core.topology import Topology

TOPOLOGY = Topology()
#: What the private node runs with, and what no disk has.
USUAL, TOO_MUCH = "50MB", "1000000GB"
#: Seconds in which nothing may be called; and the calls that may have been on their way when they began.
QUIET_S, ON_THEIR_WAY = 0.7, 3
#: Calls that are under way when a lane is deleted, and how long each takes. Seconds.
FEW, CALL_S = 10, 0.4
#: Seconds for one round of each test, on a busy machine.
ROUND_S = 60


@pytest.fixture
def full_disk(stack: Stack) -> Iterator[Stack]:
    """Lets a test raise the alarm, and ends it in any case."""
    yield stack
    stack.rabbitmq.ctl("set_disk_free_limit", USUAL)


async def is_quiet(scene: Scene) -> None:
    """Nothing is called from now on."""
    calls = scene.sandbox.account.calls
    await asyncio.sleep(QUIET_S)
    assert scene.sandbox.account.calls - calls <= ON_THEIR_WAY


@pytest.mark.timeout(60 + ROUND_S * SIZE.rounds)
async def test_while_the_disk_alarm_lasts_nothing_is_called_and_afterwards_nothing_was_lost_or_sent_twice(
    stage: Stage, full_disk: Stack
) -> None:
    async with stage.scene(Mix(SEED, faults=False)) as scene:
        async with scene.load():
            for number in range(SIZE.rounds):
                await asyncio.to_thread(full_disk.rabbitmq.ctl, "set_disk_free_limit", TOO_MUCH)
                await scene.will_tell("broker.blocked", number + 1)
                await is_quiet(scene)
                await asyncio.to_thread(full_disk.rabbitmq.ctl, "set_disk_free_limit", USUAL)
                await scene.full_rate()
        verdict = await scene.verdict()

    assert verdict.agrees, str(verdict)
    assert (verdict.twice, verdict.resends) == ({}, 0)


@pytest.mark.timeout(60 + ROUND_S * SIZE.rounds)
async def test_when_a_lane_is_deleted_under_us_what_was_called_is_told_and_the_lane_comes_back(stage: Stage) -> None:
    """What nobody was called for is deleted with its queue, whoever had it in hand; so all are called here."""
    async with stage.scene(Mix(SEED, faults=False, repeats=False)) as scene:
        for number in range(SIZE.rounds):
            scene.sandbox.switch(latency_s=CALL_S)
            calls = scene.sandbox.account.calls
            await scene.publishing.publish(scene.mix.draw(Lane.OTP) for _ in range(FEW))
            await eventually(partial(_has_called, scene, calls + FEW), because="all are called")
            await _delete(stage, TOPOLOGY.lane_queue(Lane.OTP))
            await scene.will_tell("broker.lost", number + 1)
            scene.sandbox.switch(latency_s=0.0)
            await scene.settled()
            async with scene.load():
                await scene.full_rate()
            await scene.settled()
        verdict = await scene.verdict()

    assert verdict.agrees, str(verdict)
    assert (verdict.twice, verdict.resends) == ({}, 0)


def _has_called(scene: Scene, calls: int) -> bool:
    return scene.sandbox.account.calls >= calls


async def _delete(stage: Stage, queue: str) -> None:
    async with raw_channel(stage.amqp_url) as channel:
        await channel.queue_delete(queue)


@pytest.mark.timeout(60 + ROUND_S * SIZE.rounds)
async def test_when_the_queue_of_outcomes_is_deleted_calling_stops_until_it_is_there_again(stage: Stage) -> None:
    """An outcome that no queue takes is not acknowledged; what would be called then could not be told either."""
    await declared(stage.amqp_url, TOPOLOGY)
    async with stage.scene(Mix(SEED, faults=False), broker__declare=False) as scene:
        for _ in range(SIZE.rounds):
            await scene.settled()
            missed = scene.told("broker.unroutable")
            await _delete(stage, TOPOLOGY.done_queue)
            async with scene.feeding():
                await scene.will_tell("broker.unroutable", missed + 1)
                await is_quiet(scene)
                await declared(stage.amqp_url, TOPOLOGY)
                await scene.full_rate()
        verdict = await scene.verdict()

    assert verdict.agrees, str(verdict)
    assert (verdict.twice, verdict.resends) == ({}, 0)


@pytest.mark.timeout(60 + ROUND_S * SIZE.rounds)
async def test_when_the_queue_of_outcomes_is_deleted_a_worker_that_may_declare_goes_on_by_itself(stage: Stage) -> None:
    async with stage.scene(Mix(SEED, faults=False)) as scene:
        for _ in range(SIZE.rounds):
            await scene.settled()
            missed = scene.told("broker.unroutable")
            await _delete(stage, TOPOLOGY.done_queue)
            async with scene.feeding():
                await scene.will_tell("broker.unroutable", missed + 1)
                await scene.full_rate()
        verdict = await scene.verdict()

    assert verdict.agrees, str(verdict)
    assert (verdict.twice, verdict.resends) == ({}, 0)


@pytest.mark.timeout(60 + ROUND_S * SIZE.rounds)
async def test_when_confirms_never_come_nothing_is_lost_and_nothing_is_called_again(stage: Stage) -> None:
    """What was not confirmed is published again for as long as that takes; its delivery does not come again for it."""
    mix = Mix(SEED, faults=False, repeats=False)
    async with stage.scene(mix, "broker", proxy=DeafProxy, broker__publish_timeout="300ms") as scene:
        proxy = scene.proxies["broker"]
        assert isinstance(proxy, DeafProxy)
        async with scene.load():
            for _ in range(SIZE.rounds):
                unconfirmed, unsettled = scene.told("broker.unconfirmed"), scene.told("delivery.unsettled")
                proxy.deafen()
                await scene.will_tell("broker.unconfirmed", unconfirmed + 4)
                proxy.hear()
                await scene.full_rate()
                assert scene.told("delivery.unsettled") == unsettled
        verdict = await scene.verdict()

    assert verdict.agrees, str(verdict)
    assert (verdict.twice, verdict.resends) == ({}, 0)
    assert verdict.depths["done"] > verdict.published, "unconfirmed, and yet there"
