"""The queues of what is due, at a real RabbitMQ: beside the lane's own, and with the same care."""

import asyncio
from datetime import timedelta

from tests.brokers import (
    TOPOLOGY,
    Recorder,
    consuming,
    declared,
    depth,
    filled,
    outgoing,
    publishing,
    raw_channel,
    send,
    send_to,
    settler_for,
    take,
)
from tests.makers import make_fields, make_raw
from tests.system import running_system
from tests.waiting import eventually
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.core.outgoing.envelope import WORN_FROM
from worker.core.topology import DELIVERY_LIMIT

OTP, DUE = TOPOLOGY.queues_of(Lane.OTP)
TO_DUE = TOPOLOGY.to_due(Lane.OTP)


async def test_what_is_due_is_taken_while_the_prefetch_is_full_of_new_ones(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver = Recorder()
    await send_to(amqp_url, Lane.OTP, *(f"new-{number}" for number in range(20)))
    async with publishing(amqp_url) as publisher, consuming(amqp_url, receiver, prefetch=5) as intake:
        await eventually(lambda: intake.in_hand == 5)
        await publisher.publish(outgoing(TOPOLOGY.to_lane_after(timedelta(seconds=0.1), Lane.OTP), b"due"))
        await eventually(lambda: intake.in_hand == 6)

        assert [(one.raw.body == b"due", one.raw.due) for one in receiver.got] == [(False, False)] * 5 + [(True, True)]
        assert intake.in_hand_by_lane() == {Lane.OTP: 6, Lane.NOTIFY: 0, Lane.MARKETING: 0}
        assert receiver.got[-1].raw.lane is Lane.OTP


async def test_headers_of_what_is_due_count(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver = Recorder()
    async with publishing(amqp_url) as publisher, consuming(amqp_url, receiver):
        for route in (TO_DUE, TOPOLOGY.to_lane_after(timedelta(seconds=0.1), Lane.OTP)):
            await publisher.publish(outgoing(route, b"{}", **{"x-sms-attempts": 2}))
            delivery = await receiver.next()
            assert (delivery.raw.headers["x-sms-attempts"], delivery.raw.forged) == (2, 0)


async def test_what_is_given_back_returns_to_the_queue_that_it_came_from(amqp_url: str) -> None:
    await declared(amqp_url)
    await send(amqp_url, TO_DUE.exchange, TO_DUE.key, b"due")
    await send_to(amqp_url, Lane.OTP, "new")
    receiver = Recorder()
    async with publishing(amqp_url) as publisher, consuming(amqp_url, receiver) as intake:
        await eventually(lambda: len(receiver.got) == 2)
        await intake.pause()
        for delivery in receiver.got:
            await settler_for(publisher).requeue(delivery)
        await filled(amqp_url, DUE)
        await filled(amqp_url, OTP)

    assert (await take(amqp_url, DUE))[0].body == b"due"


async def test_a_copy_of_what_was_delivered_too_often_is_due_again_and_counts_from_zero(amqp_url: str) -> None:
    await declared(amqp_url)
    await send(amqp_url, TO_DUE.exchange, TO_DUE.key, make_raw().body)
    receiver = Recorder()
    async with publishing(amqp_url) as publisher, consuming(amqp_url, receiver):
        for _ in range(WORN_FROM):
            await settler_for(publisher).requeue(await receiver.next())
        worn = await receiver.next()
        assert (worn.deliveries, worn.raw.due) == (WORN_FROM, True)
        await settler_for(publisher).requeue(worn)
        copy = await receiver.next()

    assert (copy.deliveries, copy.raw.due, copy.raw.headers["x-sms-copies"]) == (0, True, 1)
    assert await depth(amqp_url, OTP) == 0


async def test_what_ends_its_channel_each_time_that_it_is_due_becomes_poison(amqp_url: str) -> None:
    await declared(amqp_url)
    await send(amqp_url, TO_DUE.exchange, TO_DUE.key, b"{}")
    receiver = Recorder()
    async with consuming(amqp_url, receiver):
        for _ in range(DELIVERY_LIMIT + 1):
            delivery = await receiver.next()
            await delivery.channel.library.close()  # type: ignore[attr-defined] # what ends a worker ends its channel
        await filled(amqp_url, TOPOLOGY.dead_queue(ErrorClass.POISON))

    assert await depth(amqp_url, DUE) == 0


async def test_a_pause_is_for_both_queues_and_a_few_are_let_in_from_each(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver = Recorder()
    async with consuming(amqp_url, receiver, prefetch=20) as intake:
        await eventually(lambda: intake.is_consuming)
        await intake.pause()
        await send(amqp_url, TO_DUE.exchange, TO_DUE.key, *[b"due"] * 10)
        await send_to(amqp_url, Lane.OTP, *(f"new-{number}" for number in range(10)))
        await filled(amqp_url, DUE, 10)
        assert (receiver.got, await consumers_of(amqp_url, DUE), await consumers_of(amqp_url, OTP)) == ([], 0, 0)

        intake.resume(4)
        await eventually(lambda: intake.in_hand == 4)
        await asyncio.sleep(0.1)
        assert sorted(delivery.raw.due for delivery in receiver.got) == [False, False, True, True]

        await intake.stop()
        receiver.open.set()
        await intake.wait_idle()
        await filled(amqp_url, DUE, 8)
        assert len(receiver.got) == 4


async def test_a_queue_of_what_is_due_that_was_deleted_is_declared_and_consumed_again(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver = Recorder()
    async with publishing(amqp_url) as publisher, consuming(amqp_url, receiver) as intake:
        await eventually(lambda: intake.is_consuming)
        async with raw_channel(amqp_url) as channel:
            await channel.queue_delete(DUE)
        await eventually(lambda: not intake.is_consuming)
        await eventually(lambda: intake.is_consuming)
        await publisher.publish(outgoing(TO_DUE, b"due"))
        assert (await receiver.next()).raw.due


async def test_a_schedule_overtakes_the_backlog_of_its_lane(amqp_url: str, redis_url: str) -> None:
    flags = {"quota.send_message_to_globe": 20, "lanes.marketing.prefetch": 10}
    async with running_system(amqp_url, redis_url, flags=flags, toml="[limits]\nrecipient = []") as system:
        marketing = Lane.MARKETING.value
        route = system.topology.to_lane_after(timedelta(seconds=1.5), Lane.MARKETING)
        body = make_raw(Lane.MARKETING, id="scheduled").body
        for number in range(150):
            await system.publish(marketing, make_fields(Lane.MARKETING, id=f"m-{number}", to=f"8529{number:07}"))
        await send(amqp_url, route.exchange, route.key, body, **_OURS)
        arrived = system.sandbox.account
        await eventually(lambda: "scheduled" in [one.task_id for one in arrived], because="the schedule is sent")

        assert arrived.calls < 100, "most of the backlog still waits"
        assert await system.depth(system.topology.lane_queue(Lane.MARKETING)) > 20


_OURS = {"message_type": "sms.request.v1", "content_type": "application/json"}


async def consumers_of(url: str, queue: str) -> int:
    async with raw_channel(url) as channel:
        return (await channel.queue_declare(queue, passive=True)).consumer_count or 0
