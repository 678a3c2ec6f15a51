"""A queue or an exchange that somebody deleted: it is told, made again, and nothing is lost or stands still."""

import asyncio
from datetime import timedelta

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
)
from tests.fakes import RecordingEvents
from tests.makers import make_fields
from tests.system import running_system
from tests.waiting import eventually
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.core.topology import Route, Topology

TWO_SECONDS = TOPOLOGY.to_lane_after(timedelta(seconds=2), Lane.OTP)


@pytest.mark.parametrize(
    ("route", "queue"),
    [
        (TWO_SECONDS, "sms.delay.01"),
        (TOPOLOGY.to_done(Lane.OTP), TOPOLOGY.done_queue),
        (TOPOLOGY.to_dead(ErrorClass.EXPIRED), TOPOLOGY.dead_queue(ErrorClass.EXPIRED)),
    ],
    ids=["delay", "done", "dead"],
)
async def test_a_queue_that_is_missing_is_told_by_its_exchange_and_key_and_made_again(
    amqp_url: str, route: Route, queue: str
) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1")
    receiver, events = Recorder(), RecordingEvents()
    async with publishing(amqp_url, events) as publisher, consuming(amqp_url, receiver):
        delivery = await receiver.next()
        async with raw_channel(amqp_url) as channel:
            await channel.queue_delete(queue)
        async with asyncio.timeout(20):
            await settler_for(publisher, events).publish_and_ack(delivery, outgoing(route))
        await filled(amqp_url, TOPOLOGY.due_queue(Lane.OTP) if route == TWO_SECONDS else queue, 0)

    assert await depth(amqp_url, queue) <= 1
    told = events.named("broker.unroutable")
    assert {(fields["exchange"], fields["key"]) for fields in told} == {(route.exchange, route.key)}
    assert not events.named("broker.unconfirmed")
    assert len(events.named("broker.connected")) == 1  # nobody else's publishes were cut for it
    assert len(receiver.got) == 1


async def test_an_exchange_that_is_missing_is_made_again(amqp_url: str) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1")
    receiver, events = Recorder(), RecordingEvents()
    async with publishing(amqp_url, events) as publisher, consuming(amqp_url, receiver):
        delivery = await receiver.next()
        async with raw_channel(amqp_url) as channel:
            await channel.exchange_delete(TWO_SECONDS.exchange)
        async with asyncio.timeout(20):
            await settler_for(publisher, events).publish_and_ack(delivery, outgoing(TWO_SECONDS))

    assert {fields["exchange"] for fields in events.named("broker.unconfirmed")} == {TWO_SECONDS.exchange}
    assert not events.named("broker.unpublishable")


async def test_a_worker_that_cannot_tell_outcomes_is_not_ready_and_goes_on_when_it_can(
    amqp_url: str, redis_url: str
) -> None:
    await declared(amqp_url, Topology())  # a worker without the right to declare
    async with running_system(amqp_url, redis_url, flags={"broker.declare": "false"}) as system:
        async with raw_channel(amqp_url) as channel:
            await channel.queue_delete(system.topology.done_queue)
        await system.publish("otp", make_fields(Lane.OTP))
        await eventually(lambda: system.app.snapshot().conditions()["outcomes_told"] is False)
        assert system.lines("broker.unroutable")[0]["exchange"] == "sms.done"
        await declared(amqp_url, system.topology)
        await eventually(lambda: system.app.snapshot().conditions()["outcomes_told"] is True, 30)
        await filled(amqp_url, system.topology.done_queue)
