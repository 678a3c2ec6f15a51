"""Settling against a real RabbitMQ: the order, what comes again, and what must not die of politeness."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

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
    send_to,
    settler_for,
    take,
)
from tests.fakes import RecordingEvents
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.core.outgoing.envelope import WORN_FROM, foreign_headers
from worker.core.topology import DELIVERY_LIMIT
from worker.ports import Delivery

LANE_QUEUE = TOPOLOGY.lane_queue(Lane.OTP)
TO_DONE = TOPOLOGY.to_done(Lane.OTP)


async def test_what_was_handed_over_is_there_and_its_delivery_is_gone(amqp_url: str) -> None:
    await declared(amqp_url)
    ids = [f"r-{number}" for number in range(40)]
    await send_to(amqp_url, Lane.OTP, *ids)
    async with publishing(amqp_url) as publisher:
        settler = settler_for(publisher)

        async def settle(delivery: Delivery) -> None:
            await settler.publish_and_ack(delivery, outgoing(TO_DONE, delivery.raw.body))

        async with consuming(amqp_url, settle) as intake:
            await filled(amqp_url, TOPOLOGY.done_queue)
            messages = await take(amqp_url, TOPOLOGY.done_queue, len(ids))
            await intake.stop()
            await intake.wait_idle()

    assert len({message.body for message in messages}) == len(ids)
    assert await depth(amqp_url, LANE_QUEUE) == 0


async def test_a_publish_that_is_not_confirmed_is_tried_again_and_the_delivery_stays(amqp_url: str) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1")
    receiver, events = Recorder(), RecordingEvents()
    async with (
        TcpProxy(amqp_url) as proxy,
        publishing(proxy.url, publish_timeout="100ms") as publisher,
        consuming(amqp_url, receiver),
    ):
        delivery = await receiver.next()
        proxy.pause()
        settling = asyncio.create_task(settler_for(publisher, events).publish_and_ack(delivery, outgoing(TO_DONE)))
        await eventually(lambda: events.named("broker.unconfirmed"))
        proxy.resume()
        await settling

    assert len(receiver.got) == 1
    assert await depth(amqp_url, LANE_QUEUE) == 0


async def test_a_message_that_no_queue_takes_waits_until_one_does(amqp_url: str) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1")
    receiver, events = Recorder(), RecordingEvents()
    async with publishing(amqp_url, declare=False) as publisher, consuming(amqp_url, receiver):
        delivery = await receiver.next()
        async with raw_channel(amqp_url) as channel:
            await channel.queue_delete(TOPOLOGY.done_queue)
        settling = asyncio.create_task(settler_for(publisher, events).publish_and_ack(delivery, outgoing(TO_DONE)))
        await eventually(lambda: events.named("broker.unroutable"))
        await declared(amqp_url)
        await settling

    assert await depth(amqp_url, TOPOLOGY.done_queue) == 1
    assert len(receiver.got) == 1


async def test_settling_on_a_channel_that_is_gone_is_quiet_and_the_broker_delivers_again(amqp_url: str) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1", "r-2")
    receiver = Recorder()
    async with publishing(amqp_url) as publisher, TcpProxy(amqp_url) as proxy, consuming(proxy.url, receiver):
        first, second = await receiver.next(), await receiver.next()
        await proxy.cut()
        settler = settler_for(publisher)
        async with asyncio.timeout(5):
            await settler.publish_and_ack(first, outgoing(TO_DONE))
            await settler.requeue(second)
        assert {(await receiver.next()).redelivered, (await receiver.next()).redelivered} == {True}


async def test_only_the_delivery_that_was_settled_is_gone(amqp_url: str) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1", "r-2", "r-3")
    receiver = Recorder()
    async with publishing(amqp_url) as publisher, consuming(amqp_url, receiver):
        await eventually(lambda: len(receiver.got) == 3)
        await settler_for(publisher).publish_and_ack(receiver.got[2], outgoing(TO_DONE))

    left = await take(amqp_url, LANE_QUEUE, 2)
    assert [b'"r-1"' in left[0].body, b'"r-2"' in left[1].body] == [True, True]
    assert await depth(amqp_url, LANE_QUEUE) == 0


async def test_giving_back_again_and_again_never_makes_a_request_poison(amqp_url: str) -> None:
    await declared(amqp_url)
    rounds = 2 * DELIVERY_LIMIT + 3
    published = datetime(2026, 11, 1, tzinfo=UTC)
    await send_to(
        amqp_url, Lane.OTP, "r-1", headers={"own": "kept", "x-sms-attempts": 2}, timestamp=published, back=True
    )
    counts: list[int] = []
    done = asyncio.Event()
    async with publishing(amqp_url) as publisher:
        settler = settler_for(publisher)

        async def requeue(delivery: Delivery) -> None:
            counts.append(delivery.deliveries)
            if len(counts) == rounds:
                done.set()
                await asyncio.Event().wait()
            await settler.requeue(delivery)

        async with consuming(amqp_url, requeue):
            async with asyncio.timeout(20):
                await done.wait()

    (message,) = await take(amqp_url, LANE_QUEUE)
    headers = message.header.properties.headers or {}
    assert max(counts) == WORN_FROM
    assert {key: value for key, value in headers.items() if key != "x-delivery-count"} == {
        "own": "kept",
        "x-sms-attempts": 2,
        "x-sms-published": "2026-11-01T00:00:00.000+00:00",
        "x-sms-copies": 3,
    }
    assert await depth(amqp_url, TOPOLOGY.dead_queue(ErrorClass.POISON)) == 0


async def test_a_request_that_ends_its_worker_every_time_becomes_poison(amqp_url: str) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1")
    receiver = Recorder()
    async with TcpProxy(amqp_url) as proxy, consuming(proxy.url, receiver):
        for _ in range(DELIVERY_LIMIT + 1):
            delivery = await receiver.next()
            await delivery.channel.library.close()  # type: ignore[attr-defined] # what ends a worker ends its channel
        await filled(amqp_url, TOPOLOGY.dead_queue(ErrorClass.POISON))

    assert await depth(amqp_url, LANE_QUEUE) == 0


@pytest.mark.parametrize("seconds", [0.05, 0.3, 1, 2.9])
async def test_a_delayed_message_is_due_on_its_lane_not_early_and_soon(amqp_url: str, seconds: float) -> None:
    await declared(amqp_url)
    route = TOPOLOGY.to_lane_after(timedelta(seconds=seconds), Lane.NOTIFY)
    loop = asyncio.get_running_loop()
    async with publishing(amqp_url) as publisher:
        began = loop.time()
        await publisher.publish(outgoing(route, b"later", **{"x-sms-attempts": 1}))
        (message,) = await take(amqp_url, TOPOLOGY.due_queue(Lane.NOTIFY))

    assert seconds <= loop.time() - began < seconds + 0.5  # much later than it should be: other tests share the machine
    assert message.body == b"later"


async def test_a_request_survives_several_rounds_of_the_ladder(amqp_url: str) -> None:
    """RabbitMQ 3.10 drops a message that carries its own x-death into the ladder a second time."""
    await declared(amqp_url)
    async with publishing(amqp_url) as publisher:
        settler, arrived = settler_for(publisher), asyncio.Queue[Delivery]()
        rounds = 3

        async def retry(delivery: Delivery) -> None:
            arrived.put_nowait(delivery)
            if arrived.qsize() <= rounds:
                route = TOPOLOGY.to_lane_after(timedelta(seconds=1), Lane.OTP)
                await settler.publish_and_ack(delivery, outgoing(route, **foreign_headers(delivery.raw.headers)))

        async with consuming(amqp_url, retry):
            await send_to(amqp_url, Lane.OTP, "r-1", headers={"own": "kept"})
            await eventually(lambda: arrived.qsize() > rounds)

    last = [arrived.get_nowait() for _ in range(rounds + 1)][-1]
    assert last.raw.headers["own"] == "kept"
    assert len(last.raw.headers["x-death"]) == 1
