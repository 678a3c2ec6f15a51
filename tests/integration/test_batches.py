"""Batch calls in the whole system: all of both quotas, each message once, each member its own outcome."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.local.stack import Stack
from tests.brokers import depth, send, take
from tests.makers import make_fields
from tests.system import FLAGS, System, running_system
from tests.waiting import eventually
from tests.worker_process import worker_process
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE
from worker.core.outcome.outcome import ErrorClass
from worker.core.topology import Topology
from worker.sandbox import Sandbox, SandboxSettings

SINGLES = 20
BATCHED: Mapping[str, Any] = {
    "batch.size": 200,
    "quota.send_message_to_globe": SINGLES,
    "quota.batch_send_message_to_globe": 1,
    "provider.read_timeout": "2s",
}
QUOTAS = SandboxSettings(qps={Operation.GLOBE: SINGLES, Operation.BATCH: 1})


async def publish(system: System, count: int, first: int = 0, **fields: Any) -> None:
    """Publish *count* notices to ordinary numbers, all with one text."""
    for number in range(first, first + count):
        body = make_fields(Lane.NOTIFY, id=f"r-{number}", to=f"+8525{number:07}", text="It is on its way", **fields)
        await system.publish("notify", body)


def accepted(system: System) -> Counter[str]:
    """How often the provider took a message for each number."""
    return Counter(entry.number for entry in system.sandbox.account if entry.accepted)


def calls(system: System, operation: Operation) -> Counter[int]:
    """Members of each call of *operation*, by its number."""
    return Counter(entry.call for entry in system.sandbox.account if entry.action == operation)


async def test_both_quotas_are_used_and_every_message_is_sent_once(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url, flags=BATCHED, sandbox_settings=QUOTAS) as system:
        await publish(system, 400)
        assert await system.settled(400) == {"done": 400}
        events = [orjson.loads(one.body) for one in await take(amqp_url, system.topology.done_queue, 400)]

    assert set(accepted(system).values()) == {1}
    assert len(accepted(system)) == 400
    batches = list(calls(system, Operation.BATCH).values())
    assert batches[0] <= 10
    assert max(batches) > 60
    assert "QPS_LIMIT_CONTROL" not in system.sandbox.account.summary().by_code
    assert {event["segments"] for event in events} == {1}
    assert sorted(event["id"] for event in events) == sorted(f"r-{number}" for number in range(400))
    assert len(system.lines("delivery.settled")) == 400


async def test_a_failed_member_is_sent_alone_and_dies_of_its_own_code(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url, flags=BATCHED, sandbox_settings=QUOTAS) as system:
        await publish(system, 100)
        await system.publish("notify", make_fields(Lane.NOTIFY, id="bad", to="+852990033", text="It is on its way"))
        assert await system.settled(101) == {"done": 100, "dead.recipient": 1}

    assert set(accepted(system).values()) == {1}
    ours = [entry for entry in system.sandbox.account if entry.number == "852990033"]
    assert [entry.action for entry in ours][-1] == Operation.GLOBE
    assert len(ours) <= 2


async def test_a_lost_reply_makes_its_members_unknown_and_no_others(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url, flags=BATCHED, sandbox_settings=QUOTAS) as system:
        await system.publish("notify", make_fields(Lane.NOTIFY, id="cut", to="+852993002", text="It is on its way"))
        await publish(system, 60)
        depths = await system.settled(61)

    lost = next(entry.call for entry in system.sandbox.account if entry.number == "852993002")
    assert depths == {"done": 61 - depths["dead.unknown"], "dead.unknown": depths["dead.unknown"]}
    of_call = sum(entry.call == lost for entry in system.sandbox.account)
    assert depths["dead.unknown"] == of_call
    assert set(accepted(system).values()) == {1}


async def test_a_call_that_is_too_large_for_the_gateway_is_made_in_smaller_ones(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url, flags=BATCHED, sandbox_settings=QUOTAS) as system:
        await publish(system, 80)
        await system.publish("notify", make_fields(Lane.NOTIFY, id="414", to="+852993015", text="It is on its way"))
        assert await system.settled(81) == {"done": 81}

    refused = [entry for entry in system.sandbox.account if entry.number == "852993015" and not entry.accepted]
    assert [entry.action for entry in refused] == [Operation.BATCH]
    assert set(accepted(system).values()) == {1}


@pytest.mark.parametrize("parameters", ["query", "form"])
async def test_hundreds_go_in_one_call_in_either_form(amqp_url: str, redis_url: str, parameters: str) -> None:
    flags = {**BATCHED, "batch.parameters": parameters, "quota.batch_send_message_to_globe": 5}
    async with running_system(amqp_url, redis_url, flags=flags) as system:
        await publish(system, 1200)
        assert await system.settled(1200) == {"done": 1200}

    assert set(accepted(system).values()) == {1}
    assert max(calls(system, Operation.BATCH).values()) == 200


async def test_a_worker_that_is_killed_leaves_what_was_in_the_air_unknown_and_nobody_else(
    amqp_url: str, redis_url: str, stack: Stack, tmp_path: Path
) -> None:
    latency_s, total, namespace = 1.5, 300, Topology()
    async with Sandbox(replace(QUOTAS, latency_s=latency_s)) as sandbox:
        endpoint = await sandbox.start()
        addresses = {"broker.url": amqp_url, "redis.url": redis_url, "provider.endpoint": endpoint}
        flags = {**FLAGS, **BATCHED, **addresses, "provider.connect_timeout": "1s"}
        async with worker_process(tmp_path / "killed.log", stack.environment, flags):
            bodies = [
                orjson.dumps(make_fields(Lane.NOTIFY, id=f"r-{one}", to=f"+8525{one:07}", text="It is on its way"))
                for one in range(total)
            ]
            await send(amqp_url, "sms.send", "notify", *bodies, message_type=MESSAGE_TYPE)
            large = await eventually(lambda: _members_of_a_large_batch(sandbox), 20, "a batch call in the air")
        killed = time.time()
        async with worker_process(tmp_path / "next.log", stack.environment, flags):

            async def ended() -> bool:
                queues = [namespace.done_queue, namespace.dead_queue(ErrorClass.UNKNOWN)]
                return sum([await depth(amqp_url, queue) for queue in queues]) == total

            await eventually(ended, 60, "every request has ended")
        letters = await take(amqp_url, dead := namespace.dead_queue(ErrorClass.UNKNOWN), await depth(amqp_url, dead))
        entries = [entry for entry in sandbox.account if entry.accepted]

    unknown = {orjson.loads(letter.body)["to"].removeprefix("+") for letter in letters}
    in_the_air = {entry.number for entry in entries if killed - latency_s - 0.5 < entry.arrived < killed}
    assert set(Counter(entry.number for entry in entries).values()) == {1}
    claimed = unknown - {entry.number for entry in entries}  # for a call that had not begun
    assert len(entries) + len(claimed) == total
    assert large <= unknown <= in_the_air | claimed


def _members_of_a_large_batch(sandbox: Sandbox) -> set[str]:
    """The numbers of a batch call that has just arrived and is larger than the first."""
    sizes = Counter(entry.call for entry in sandbox.account if entry.action == Operation.BATCH)
    last = max(sizes, default=0)
    return {entry.number for entry in sandbox.account if entry.call == last} if sizes[last] > 50 else set()
