"""Batch calls in the whole system: all of both quotas, each message once, each member its own outcome."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.brokers import take
from tests.makers import make_fields
from tests.system import System, running_system
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.sandbox import SandboxSettings

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
