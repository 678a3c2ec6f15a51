"""Publishing to a real RabbitMQ that confirms, returns, vanishes or stands still."""

import asyncio

import pytest

from tests.brokers import TOPOLOGY, declared, depth, filled, outgoing, publishing, send, take
from tests.fakes import RecordingEvents
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.core.topology import Route
from worker.errors import BrokerUnavailable, PublishUnconfirmed, Unroutable


async def test_a_confirmed_publish_is_in_its_queue_with_everything_it_was_given(amqp_url: str) -> None:
    async with publishing(amqp_url) as publisher:
        await publisher.publish(outgoing(TOPOLOGY.to_lane(Lane.OTP), b"body", **{"x-sms-attempts": 2, "own": "kept"}))

    (message,) = await take(amqp_url, TOPOLOGY.lane_queue(Lane.OTP))
    properties = message.header.properties
    assert message.body == b"body"
    assert properties.headers == {"x-sms-attempts": 2, "own": "kept"}
    assert (properties.delivery_mode, properties.correlation_id) == (2, "r-1")
    assert (properties.message_type, properties.content_type) == ("sms.request.v1", "application/json")


async def test_each_of_many_publishes_of_one_request_at_once_gets_its_own_answer(amqp_url: str) -> None:
    good, bad = TOPOLOGY.to_lane(Lane.OTP), Route("sms.dead", "no-such-class")
    async with publishing(amqp_url) as publisher:
        answers = await asyncio.gather(
            *(publisher.publish(outgoing(bad if number % 3 == 0 else good)) for number in range(60)),
            return_exceptions=True,
        )

    assert [isinstance(answer, Unroutable) for answer in answers] == [number % 3 == 0 for number in range(60)]
    assert [answer for number, answer in enumerate(answers) if number % 3] == [None] * 40


async def test_a_message_for_an_unknown_lane_is_kept_as_unroutable(amqp_url: str) -> None:
    await declared(amqp_url)

    await send(amqp_url, "sms.send", "otpp", b"lost?")

    (message,) = await take(amqp_url, TOPOLOGY.dead_queue(ErrorClass.UNROUTABLE))
    assert (message.body, message.routing_key) == (b"lost?", "otpp")


async def test_a_publish_that_is_not_confirmed_in_time_says_so_and_may_arrive_later(amqp_url: str) -> None:
    async with TcpProxy(amqp_url) as proxy, publishing(proxy.url, publish_timeout="200ms") as publisher:
        proxy.pause()
        with pytest.raises(PublishUnconfirmed, match="no answer in time"):
            await publisher.publish(outgoing(TOPOLOGY.to_lane(Lane.OTP)))
        proxy.resume()

        await filled(amqp_url, TOPOLOGY.lane_queue(Lane.OTP))


async def test_a_cut_connection_fails_what_waits_refuses_what_comes_and_is_replaced(amqp_url: str) -> None:
    events = RecordingEvents()
    async with TcpProxy(amqp_url) as proxy, publishing(proxy.url, events) as publisher:
        proxy.pause()
        waiting = [asyncio.create_task(publisher.publish(outgoing(TOPOLOGY.to_lane(Lane.OTP)))) for _ in range(5)]
        await asyncio.sleep(0)
        await proxy.refuse()
        await proxy.cut()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(answer) for answer in answers} == {PublishUnconfirmed}
        await eventually(lambda: not publisher.is_connected)
        with pytest.raises(BrokerUnavailable, match="not connected"):
            await publisher.publish(outgoing(TOPOLOGY.to_lane(Lane.OTP)))

        proxy.resume()
        await proxy.listen()
        await publisher.wait_connected()
        await publisher.publish(outgoing(TOPOLOGY.to_lane(Lane.NOTIFY)))

    assert await depth(amqp_url, TOPOLOGY.lane_queue(Lane.NOTIFY)) == 1
    assert {fields["role"] for fields in events.named("broker.lost")} == {"publish"}


@pytest.mark.slow
async def test_a_half_open_connection_is_found_out_by_the_heartbeat_and_fails_what_waits(amqp_url: str) -> None:
    async with TcpProxy(amqp_url) as proxy, publishing(proxy.url, heartbeat="1s") as publisher:
        proxy.pause()
        with pytest.raises(PublishUnconfirmed, match="broke"):  # well before the publish's own 15 s
            await publisher.publish(outgoing(TOPOLOGY.to_lane(Lane.OTP)))
        await eventually(lambda: not publisher.is_connected)


async def test_a_channel_that_the_broker_closed_is_replaced(amqp_url: str) -> None:
    async with publishing(amqp_url) as publisher:
        with pytest.raises(PublishUnconfirmed, match="no exchange 'nowhere'"):
            await publisher.publish(outgoing(Route("nowhere", "key")))
        await eventually(lambda: publisher.is_connected)
        await publisher.publish(outgoing(TOPOLOGY.to_lane(Lane.OTP)))


async def test_a_cancelled_publish_stays_cancelled(amqp_url: str) -> None:
    async with TcpProxy(amqp_url) as proxy, publishing(proxy.url) as publisher:
        proxy.pause()
        waiting = asyncio.create_task(publisher.publish(outgoing(TOPOLOGY.to_lane(Lane.OTP))))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        proxy.resume()
