"""While the broker has an alarm of memory or disk it takes no publishes; acknowledgements still get through."""

from collections.abc import Iterator

import pytest

from deploy.local.stack import Stack
from tests.brokers import TOPOLOGY, Recorder, consuming, declared, depth, outgoing, publishing, send_to, settler_for
from tests.fakes import RecordingEvents
from tests.waiting import eventually
from worker.core.message.lane import Lane
from worker.errors import BrokerUnavailable, PublishUnconfirmed

#: What the private node runs with.
USUAL = "50MB"


@pytest.fixture
def full_disk(stack: Stack) -> Iterator[Stack]:
    """Lets a test raise the alarm, and ends it in any case."""
    yield stack
    stack.rabbitmq.ctl("set_disk_free_limit", USUAL)


@pytest.mark.slow
async def test_an_alarm_stops_publishes_at_once_and_leaves_acknowledgements_alone(
    full_disk: Stack, amqp_url: str
) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1", "r-2")
    receiver, events = Recorder(), RecordingEvents()
    async with publishing(amqp_url, events, publish_timeout="300ms") as publisher, consuming(amqp_url, receiver):
        first, _ = await receiver.next(), await receiver.next()
        full_disk.rabbitmq.ctl("set_disk_free_limit", "1000000GB")
        with pytest.raises(PublishUnconfirmed):  # the broker blocks a connection when it publishes, not before
            await publisher.publish(outgoing(TOPOLOGY.to_done(Lane.OTP)))
        await eventually(lambda: publisher.blocked)
        with pytest.raises(BrokerUnavailable, match="alarm"):
            await publisher.publish(outgoing(TOPOLOGY.to_done(Lane.OTP)))
        await settler_for(publisher).requeue(first)
        again = await receiver.next()
        assert (again.raw.body, again.redelivered) == (first.raw.body, True)

        full_disk.rabbitmq.ctl("set_disk_free_limit", USUAL)
        await eventually(lambda: not publisher.blocked)
        await settler_for(publisher).publish_and_ack(again, outgoing(TOPOLOGY.to_done(Lane.OTP)))

    assert await depth(amqp_url, TOPOLOGY.done_queue) >= 1
    assert [len(events.named(f"broker.{name}")) for name in ("blocked", "unblocked")] == [1, 1]
