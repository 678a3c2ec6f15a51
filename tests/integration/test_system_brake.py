"""The whole worker when too much goes wrong, and when nothing can be sent for long: intake pauses, nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import aiohttp
import orjson
import pytest

from deploy.local.stack import Stack
from tests.brokers import raw_channel
from tests.makers import make_fields
from tests.system import System, running_system
from tests.waiting import eventually
from worker.core.message.lane import Lane
from worker.delivery import intake_control as braking

QUEUE = "sms.send.notify"
CONCURRENCY = 10
BRAKE: Final[Mapping[str, Any]] = {
    "brake.sample": 20,
    "brake.pause": "2s",
    "provider.concurrency": CONCURRENCY,
    "lanes.notify.prefetch": 50,
}
INVALID, WELL = "990036", "123456"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the worker take short standstills for long ones; for when it has started, which takes a while."""
    return lambda: monkeypatch.setattr(braking, "PATIENCE_S", 0.5)


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def publish(system: System, count: int, ending: str, **changes: Any) -> None:
    for number in range(count):
        fields = make_fields(Lane.NOTIFY, id=f"{ending}-{number}", to=f"8529{number:04}{ending}", **changes)
        await system.publish("notify", fields)


async def rests(system: System, queue: str, count: int) -> bool:
    return await system.depth(queue) == count


async def counts_in(url: str, queue: str, count: int) -> list[int]:
    """How often each of *count* messages was delivered before; they come back one time more."""
    async with raw_channel(url) as channel:
        got = [await channel.basic_get(queue) for _ in range(count)]
        headers = [message.header.properties.headers for message in got]
    return [int(str((each or {}).get("x-delivery-count", 0))) for each in headers]


def calls_around_the_brake(system: System) -> tuple[int, int]:
    """Calls that ended before the brake was set for the first time, and between that and the first trial."""
    names = [orjson.loads(line)["event"] for line in system.log.getvalue().splitlines()]
    braked = names.index("brake.set")
    tried = names.index("brake.trial") if "brake.trial" in names else len(names)
    return names[:braked].count("provider.called"), names[braked:tried].count("provider.called")


async def test_a_worker_whose_requests_all_die_stops_itself_and_goes_on_when_they_are_well(
    amqp_url: str, redis_url: str, client: aiohttp.ClientSession
) -> None:
    async with running_system(amqp_url, redis_url, flags={**BRAKE, "log.level": "debug"}) as system:
        system.sandbox.switch(latency_s=0.05)
        await publish(system, 120, INVALID)
        await eventually(lambda: system.app.snapshot().braked)
        async with client.get(f"{system.app.health.url}/readyz") as answer:
            conditions = (await answer.json())["conditions"]
            assert (answer.status, conditions["not_braked"], conditions["broker_consuming"]) == (503, False, True)
            assert conditions["brake"] == "11 of 11 dead, mostly invalid INVALID_PARAMETERS"
        async with client.get(f"{system.app.health.url}/metrics") as answer:
            assert "sms_worker_braked 1.0" in await answer.text()
        await eventually(lambda: system.app.intake.in_hand == 0)
        died = await system.depth("sms.dead.invalid")
        before, after = calls_around_the_brake(system)
        assert before >= 11
        assert after <= CONCURRENCY, "calls in flight came to their end, and none began"
        assert (died, await system.depth(QUEUE)) == (before + after, 120 - before - after)

        await eventually(lambda: len(system.lines("brake.set")) == 2, because="the trial was no better")
        assert await system.depth("sms.dead.invalid") < died + 30
        assert [line["pause_s"] for line in system.lines("brake.set")] == [2, 4]
        async with raw_channel(amqp_url) as channel:
            await channel.queue_purge(QUEUE)
        await publish(system, 60, WELL)
        await eventually(lambda: system.lines("brake.released"), timeout=20)
        await eventually(lambda: system.sandbox.account.accepted == 60)
        assert system.app.snapshot().braked is None
        await eventually(lambda: rests(system, "sms.done", 60), because="all are done")
        assert set(await system.depths()) == {"done", "dead.invalid"}


async def test_while_redis_is_away_for_long_everything_is_ready_in_its_queue(
    amqp_url: str, redis_url: str, stack: Stack, impatient: Callable[[], None]
) -> None:
    flags = {"quota.send_message_to_globe": 30}
    async with running_system(amqp_url, redis_url, flags=flags) as system:
        impatient()
        await publish(system, 100, WELL)
        await eventually(lambda: system.sandbox.account.calls > 10)
        await asyncio.to_thread(stack.redis.kill)
        try:
            await eventually(lambda: system.lines("intake.paused"))
            await eventually(lambda: system.app.intake.in_hand == 0)
            ready = 100 - system.sandbox.account.calls
            await eventually(lambda: rests(system, QUEUE, ready), because="all are back in their queue")
            await asyncio.sleep(1)
            assert await system.depth(QUEUE) == ready
            assert set(await counts_in(amqp_url, QUEUE, ready)) <= {0, 1}
        finally:
            await asyncio.to_thread(stack.redis.start)
        assert await system.settled(100) == {"done": 100}
        assert (system.sandbox.account.calls, system.sandbox.account.summary().duplicates) == (100, ())
        assert [line["reason"] for line in system.lines("intake.resumed")] == ["limiter"]


async def test_while_the_account_is_held_for_long_only_a_few_are_in_hand_for_the_probes(
    amqp_url: str, redis_url: str, impatient: Callable[[], None]
) -> None:
    flags = {"quota.send_message_to_globe": 50, "hold.first_probe": "300ms", "hold.slowest_probe": "600ms"}
    async with running_system(amqp_url, redis_url, flags=flags) as system:
        impatient()
        system.sandbox.switch(account_code="AMOUNT_NOT_ENOUGH")
        await publish(system, 100, WELL)
        await eventually(lambda: system.lines("intake.paused"))
        await eventually(lambda: system.app.intake.in_hand <= 2)
        calls = system.sandbox.account.calls
        await eventually(lambda: system.sandbox.account.calls >= calls + 3, because="it is probed")
        assert system.app.intake.in_hand <= 2
        assert await system.depth(QUEUE) >= 96
        assert max(await counts_in(amqp_url, QUEUE, 90)) <= 1
        system.sandbox.switch(account_code=None)

        assert await system.settled(100) == {"done": 100}
        assert system.sandbox.account.accepted == 100
        assert [line["reason"] for line in system.lines("intake.resumed")] == ["held"]


async def test_a_braked_worker_drains_as_every_other(amqp_url: str, redis_url: str) -> None:
    began = asyncio.get_running_loop().time()
    async with running_system(amqp_url, redis_url, flags={**BRAKE, "brake.pause": "1m"}) as system:
        await publish(system, 60, INVALID)
        await eventually(lambda: system.app.snapshot().braked)

    assert asyncio.get_running_loop().time() - began < timedelta(seconds=20).total_seconds()
