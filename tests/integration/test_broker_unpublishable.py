"""What cannot be published, whatever the broker's version counts: it ends as poison, and nothing else does."""

import asyncio
from typing import Any

import pytest

from tests.brokers import (
    TOPOLOGY,
    Recorder,
    consuming,
    declared,
    depth,
    outgoing,
    publishing,
    raw_channel,
    send_to,
    settler_for,
    take,
)
from tests.fakes import RecordingEvents
from tests.waiting import eventually
from worker.broker.letter import letter_of
from worker.broker.settle import MOST_ROUNDS
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.core.topology import DELIVERY_LIMIT
from worker.errors import Unpublishable

POISON = TOPOLOGY.dead_queue(ErrorClass.POISON)
TO_DONE = TOPOLOGY.to_done(Lane.OTP)
#: Do not fit into a frame of 128 KiB: the broker closes the connection.
TOO_LARGE = {"own": "x" * 200_000}
#: Cannot be written at all.
UNWRITABLE: dict[str, Any] = {"own": object()}


@pytest.mark.parametrize("headers", [TOO_LARGE, UNWRITABLE], ids=["too large", "unwritable"])
async def test_what_ends_every_channel_becomes_poison_after_few_rounds_and_others_go_on(
    amqp_url: str, headers: dict[str, Any]
) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1", *(f"o-{number}" for number in range(5)))
    receiver, events = Recorder(), RecordingEvents()
    async with publishing(amqp_url, events) as publisher, consuming(amqp_url, receiver):
        await eventually(lambda: len(receiver.got) == 6)
        settler = settler_for(publisher, events)
        bad = next(one for one in receiver.got if b'"r-1"' in one.raw.body)
        async with asyncio.timeout(60):
            await asyncio.gather(
                settler.publish_and_ack(bad, outgoing(TOPOLOGY.to_lane(Lane.OTP), bad.raw.body, **headers)),
                *(settler.publish_and_ack(one, outgoing(TO_DONE)) for one in receiver.got if one is not bad),
            )
        assert len(receiver.got) == 6  # nothing came again

    (message,) = await take(amqp_url, POISON)
    letter = letter_of(message, ErrorClass.POISON, 1, TOPOLOGY)
    assert (letter.body, letter.lane, letter.code) == (bad.raw.body, Lane.OTP, "local.unpublishable")
    assert all(name.startswith("x-sms-") for name in letter.headers)
    assert len(events.named("broker.unpublishable")) == 1
    assert len(events.named("broker.unconfirmed")) >= MOST_ROUNDS
    assert await depth(amqp_url, TOPOLOGY.done_queue) >= 5
    assert await depth(amqp_url, TOPOLOGY.lane_queue(Lane.OTP)) == 0


async def test_alone_a_message_is_told_to_be_at_fault_and_the_channel_of_the_others_lives(amqp_url: str) -> None:
    await declared(amqp_url)
    events = RecordingEvents()
    async with publishing(amqp_url, events) as publisher:
        with pytest.raises(Unpublishable):
            await publisher.publish_alone(outgoing(TO_DONE, **UNWRITABLE))
        await publisher.publish(outgoing(TO_DONE))
        await publisher.publish_alone(outgoing(TO_DONE))
    assert not events.named("broker.lost")


async def test_a_queue_that_is_full_makes_nobody_poison(amqp_url: str) -> None:
    """RabbitMQ refuses each publish, more often than any limit of rounds or deliveries."""
    await declared(amqp_url)
    async with raw_channel(amqp_url) as channel:
        full: dict[str, Any] = {"x-max-length": 1, "x-overflow": "reject-publish"}
        await channel.queue_declare("full", durable=True, arguments=full)
        await channel.exchange_declare("full", exchange_type="fanout", durable=True)
        await channel.queue_bind("full", "full")
        await channel.basic_publish(b"first", routing_key="full")
    await send_to(amqp_url, Lane.OTP, "r-1")
    receiver, events = Recorder(), RecordingEvents()
    message = outgoing(type(TO_DONE)("full", "x"))
    async with publishing(amqp_url, events) as publisher, consuming(amqp_url, receiver):
        delivery = await receiver.next()
        settling = asyncio.create_task(
            settler_for(publisher, events, impatient=True).publish_and_ack(delivery, message)
        )
        await eventually(lambda: len(events.named("broker.unconfirmed")) > DELIVERY_LIMIT, 60)
        await take(amqp_url, "full")
        async with asyncio.timeout(20):
            await settling

    assert (len(receiver.got), await depth(amqp_url, POISON), await depth(amqp_url, "full")) == (1, 0, 1)
