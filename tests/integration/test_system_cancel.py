"""Cancels seen from the queues: nothing is sent after its cancel was answered, and every request has its outcome."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.makers import make_fields
from tests.system import System, running_system
from tests.waiting import eventually
from worker.core.limits.cancels import Cancel
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.limiter.operators import OperatorLimiter
from worker.sandbox import SandboxSettings

MEMORY = timedelta(hours=72)
CONNECT = timedelta(milliseconds=100)
SLOW = {"quota.send_message_to_globe": 30, "provider.connect_timeout": "100ms"}


def operator(system: System) -> OperatorLimiter:
    return OperatorLimiter(system.settings.redis, system.settings.hold)


async def publish(system: System, number: int, **fields: Any) -> None:
    await system.publish("marketing", make_fields(Lane.MARKETING, id=f"r-{number}", to=f"8529{number:07}", **fields))


async def outcomes(system: System, total: int) -> dict[str, dict[str, Any]]:
    taken = [orjson.loads((await system.take(system.topology.done_queue)).body) for _ in range(total)]
    return {each["id"]: each for each in taken}


def arrivals(system: System) -> dict[str, float]:
    """When the sandbox was called for each id, in Unix seconds."""
    return {call.task_id: call.arrived for call in system.sandbox.account if call.task_id}


async def test_ids_that_wait_are_not_called_for_once_their_cancel_is_answered(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url, flags=SLOW) as system, operator(system) as people:
        for number in range(120):
            await publish(system, number)
        await eventually(lambda: system.sandbox.account.accepted > 10, because="sending is under way")
        chosen = [f"r-{number}" for number in range(120)]
        answers = dict(zip(chosen, await people.cancels.cancel(chosen, MEMORY), strict=True))
        depths = await system.settled(120)
        sent = arrivals(system)
        told = await outcomes(system, 120)

        cancelled = {name for name, answer in answers.items() if answer is Cancel.CANCELLED}
        assert depths == {"done": 120}
        assert 20 < len(cancelled) < 115
        assert cancelled.isdisjoint(sent)
        assert {name for name, each in told.items() if each["outcome"] == "cancelled"} == told.keys() - sent.keys()
        assert {name for name, answer in answers.items() if answer is Cancel.SENT} <= sent.keys()
        (line, *_) = [line for line in system.lines("delivery.settled") if line["error_class"] == "cancelled"]
        assert (line["disposition"], line["code"], line["attempt"]) == ("done", "local.cancelled", 0)
        lines = [line["request_id"] for line in system.lines("delivery.settled")]
        assert sorted(lines) == sorted(told), "one line for each"
        exposition = system.observed.metrics.exposition()[0].decode()
        counted = f'disposition="done",error_class="cancelled",lane="marketing"}} {float(len(told) - len(sent))}'
        assert counted in exposition


async def test_a_campaign_ends_and_others_go_on(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url, flags=SLOW) as system, operator(system) as people:
        for number in range(150):
            await publish(system, number, metadata={"campaign": "spring" if number % 3 else "summer", "n": str(number)})
        await eventually(lambda: system.sandbox.account.accepted > 10, because="sending is under way")
        await people.cancels.cancel_campaign("spring", MEMORY, CONNECT)
        answered = datetime.now(UTC).timestamp()
        await system.settled(150)
        sent = arrivals(system)
        told = await outcomes(system, 150)

        assert {name for name, at in sent.items() if at > answered} <= {f"r-{n}" for n in range(0, 150, 3)}
        assert {f"r-{n}" for n in range(0, 150, 3)} <= sent.keys()
        cancelled = [each for each in told.values() if each["outcome"] == "cancelled"]
        assert len(cancelled) > 40
        assert {each["metadata"]["campaign"] for each in cancelled} == {"spring"}


async def test_what_waits_in_the_delays_meets_its_cancel_when_it_is_due(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url) as system, operator(system) as people:
        due = datetime.now(UTC) + timedelta(seconds=3)
        for number in range(3):
            await publish(system, number, not_before=due.isoformat())
        await eventually(lambda: len(system.lines("delivery.settled")) == 3, because="they wait in the delays")
        assert await people.cancels.cancel(["r-0", "r-1"], MEMORY) == [Cancel.CANCELLED] * 2
        assert await people.cancels.restore(["r-1"]) == [True]
        await system.settled(3)

        assert {name: each["outcome"] for name, each in (await outcomes(system, 3)).items()} == {
            "r-0": "cancelled",
            "r-1": "accepted",
            "r-2": "accepted",
        }


async def test_a_call_under_way_is_told_and_when_it_fails_there_is_no_other(amqp_url: str, redis_url: str) -> None:
    """The number is one that the sandbox answers late, and refuses for now."""
    async with running_system(amqp_url, redis_url) as system, operator(system) as people:
        system.sandbox.switch(latency_s=0.5, account_code="SYSTEM_ERROR")
        await publish(system, 1)
        await eventually(lambda: system.sandbox.account.calls, because="the call is under way")
        (answer,) = await people.cancels.cancel(["r-1"], MEMORY)
        await system.settled(1)

        told = (await outcomes(system, 1))["r-1"]
        assert answer is Cancel.CALLING
        assert (told["outcome"], told["attempts"]) == ("cancelled", 1)
        assert system.sandbox.account.calls == 1


@pytest.mark.parametrize("lane", [Lane.OTP, Lane.MARKETING])
async def test_with_an_unknown_call_it_is_dead_as_unknown_and_not_sent_again(
    amqp_url: str, redis_url: str, lane: Lane
) -> None:
    async with (
        running_system(amqp_url, redis_url, flags={"retry.first": "2s", "retry.ceiling": "2s"}) as system,
        operator(system) as people,
    ):
        system.sandbox.switch(latency_s=3)  # longer than is waited for
        await system.publish(lane.value, make_fields(lane, id="r-1"))
        await eventually(lambda: system.lines("delivery.settled"), because="its call is unknown")
        system.sandbox.switch(latency_s=0)
        (answer,) = await people.cancels.cancel(["r-1"], MEMORY)
        depths = await system.settled(1)
        letter = await system.take(system.topology.dead_queue(ErrorClass.UNKNOWN))

        assert answer is Cancel.UNKNOWN
        assert depths == {"dead.unknown": 1}
        assert letter.headers["x-sms-code"] == ("local.cancelled" if lane is Lane.OTP else "local.timeout")
        assert system.sandbox.account.calls == 1


async def test_who_is_cancelled_is_in_no_batch_call_after_the_answer(amqp_url: str, redis_url: str) -> None:
    batched = SLOW | {"batch.size": 200, "quota.batch_send_message_to_globe": 1}
    quotas = SandboxSettings(qps={Operation.GLOBE: 30, Operation.BATCH: 1})
    async with (
        running_system(amqp_url, redis_url, flags=batched, sandbox_settings=quotas) as system,
        operator(system) as people,
    ):
        for number in range(400):
            campaign = "spring" if number % 2 else "summer"
            await publish(system, number, text="It is on its way", metadata={"campaign": campaign})
        await people.cancels.cancel_campaign("spring", MEMORY, CONNECT)
        answered = datetime.now(UTC).timestamp()
        await system.settled(400)
        told = await outcomes(system, 400)
        book = list(system.sandbox.account)

    cancelled = {name for name, each in told.items() if each["outcome"] == "cancelled"}
    numbers = {f"8529{int(name.removeprefix('r-')):07}" for name in cancelled}
    assert any(entry.action == Operation.BATCH and entry.arrived > answered for entry in book), "it went on with others"
    assert len(cancelled) > 50
    assert {told[name]["metadata"]["campaign"] for name in cancelled} == {"spring"}
    assert numbers.isdisjoint(entry.number for entry in book)
    assert not any(entry.arrived > answered and int(entry.number[4:]) % 2 for entry in book)
