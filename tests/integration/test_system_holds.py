"""Holds seen from the queues: what a blocked account or sender costs, what becomes of its requests, what goes on."""

import asyncio
from typing import Any

from tests.makers import make_fields
from tests.system import System, running_system
from tests.waiting import eventually
from worker.core.limits.holds import HoldName
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Scope
from worker.limiter.operators import OperatorLimiter

QUOTA = {"quota.send_message_to_globe": 30}


async def publish(system: System, lane: Lane, number: int, **fields: Any) -> None:
    await system.publish(lane.value, make_fields(lane, id=f"r-{number}", to=f"8529{number:07}", **fields))


async def test_slots_that_were_booked_before_the_account_was_held_are_not_used(amqp_url: str, redis_url: str) -> None:
    """The most urgent lane books a second ahead: thirty calls that would all be refused."""
    async with running_system(
        amqp_url, redis_url, flags=QUOTA | {"hold.first_probe": "1h", "hold.slowest_probe": "1h"}
    ) as system:
        system.sandbox.switch(account_code="AMOUNT_NOT_ENOUGH")
        for number in range(100):
            await publish(system, Lane.OTP, number)
        await eventually(lambda: system.lines("hold.set"), because="the account is held")
        await asyncio.sleep(2)  # every slot that was booked before has come

        assert system.sandbox.account.calls <= 5
        assert not [name for name in await system.depths() if not name.startswith("send.")]


async def test_a_blocked_sender_costs_few_calls_and_loses_no_request_and_others_go_on(
    amqp_url: str, redis_url: str
) -> None:
    sender = {"from": "ACME"}
    async with running_system(amqp_url, redis_url, flags=QUOTA | {"hold.slowest_probe": "2s"}) as system:
        account = system.sandbox.account
        system.sandbox.switch(account_code="SENDERID_BLACKLISTED")
        for number in range(60):
            await publish(system, Lane.NOTIFY, number, **sender)
        await eventually(lambda: system.lines("hold.set"), because="the sender is held")
        (told,) = system.lines("hold.set")
        wasted = account.calls
        await eventually(lambda: not sum(system.app.dispatch.waiting().values()), because="all met the hold")
        system.sandbox.switch(account_code=None)
        await publish(system, Lane.NOTIFY, 100)
        await system.settled(3, timeout=5)
        depths = await system.settled(61, timeout=60)

        assert (told["scope"], told["subject"], told["code"]) == ("sender", "ACME", "SENDERID_BLACKLISTED")
        assert wasted <= 5
        assert depths == {"done": 59, "dead.content": 2}
        assert [line["scope"] for line in system.lines("hold.lifted")] == ["sender"]
        assert account.accepted == 59


async def test_what_the_operator_holds_waits_until_it_is_released(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url) as system:
        country = HoldName(Scope.COUNTRY, "852")
        async with OperatorLimiter(system.settings.redis, system.settings.hold) as operator:
            await operator.holds.stop(country, "a test", None)
        await publish(system, Lane.NOTIFY, 1)
        await publish(system, Lane.NOTIFY, 2)
        await system.publish("notify", make_fields(Lane.NOTIFY, id="elsewhere", to="6591234567"))
        await system.settled(1)
        await eventually(lambda: len(system.lines("delivery.settled")) == 3, because="all are settled")
        waiting = await system.depths()
        async with OperatorLimiter(system.settings.redis, system.settings.hold) as operator:
            await operator.holds.release(country)

        assert waiting.pop("done") == 1
        assert sum(waiting.values()) == 2
        assert all(queue.startswith("delay.") for queue in waiting)
        assert await system.settled(3, timeout=30) == {"done": 3}
        assert system.sandbox.account.calls == 3
