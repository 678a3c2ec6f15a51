"""The publisher for other people's programs, against a real RabbitMQ."""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.brokers import TOPOLOGY, declared, take
from tests.makers import LIFETIMES, make_fields
from worker.client import Publisher
from worker.core.message.decode import RawMessage, Request, decode
from worker.core.message.lane import Lane
from worker.core.message.request import SmsRequest
from worker.errors import BrokerUnavailable, PublishUnconfirmed, UsageError


async def test_what_a_program_publishes_is_what_the_worker_reads(amqp_url: str) -> None:
    await declared(amqp_url)
    fields = make_fields(Lane.NOTIFY, id="order-1", metadata={"order": "1"}, deadline="2030-01-01T00:00:00Z")
    async with Publisher(amqp_url) as publisher:
        await publisher.publish(fields)
        await publisher.publish(
            SmsRequest.model_validate_json('{"id":"o-2","to":"85251234567","type":"NOTIFY","text":"x"}')
        )

    first, second = await take(amqp_url, TOPOLOGY.lane_queue(Lane.NOTIFY), 2)
    properties = first.header.properties
    raw = RawMessage(first.body, Lane.NOTIFY, {}, properties.message_type, properties.content_type)
    request = decode(raw, LIFETIMES, datetime.now(UTC))
    assert isinstance(request, Request)
    assert request.sms == SmsRequest.model_validate_json(orjson.dumps(fields))
    assert properties.correlation_id == "order-1"
    assert properties.timestamp is not None
    assert second.header.properties.correlation_id == "o-2"


async def test_a_request_at_fault_names_every_fault_and_quotes_no_value(amqp_url: str) -> None:
    async with Publisher(amqp_url) as publisher:
        with pytest.raises(UsageError, match=r"to: .*; typo: ") as refused:
            await publisher.publish(make_fields(to="not-a-number", typo="secret"))

    assert "not-a-number" not in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_a_namespace_that_nobody_declared_is_told(amqp_url: str) -> None:
    async with Publisher(amqp_url, "nobody") as publisher:
        with pytest.raises(PublishUnconfirmed, match=r"no exchange 'nobody\.send'"):
            await publisher.publish(make_fields())


async def test_a_refused_connection_says_why_and_shows_no_password(unused_tcp_port: int) -> None:
    url = f"amqp://somebody:s3cret@127.0.0.1:{unused_tcp_port}/"
    with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{unused_tcp_port}.*Connect call failed") as refused:
        async with Publisher(url, connect_timeout=timedelta(milliseconds=300)):
            pass

    assert "s3cret" not in str(refused.value)


async def test_a_wrong_password_is_told_and_not_shown(amqp_url: str) -> None:
    with pytest.raises(BrokerUnavailable, match="ACCESS_REFUSED") as refused:
        async with Publisher(amqp_url.replace(":guest@", ":s3cret@"), connect_timeout=timedelta(seconds=1)):
            pass

    assert "s3cret" not in str(refused.value)


def test_an_address_and_a_namespace_that_are_none_are_told_together() -> None:
    with pytest.raises(UsageError, match=r"url: .*amqp://.*; namespace: ") as refused:
        Publisher("http://somebody:s3cret@127.0.0.1/", "No Namespace")

    assert "s3cret" not in str(refused.value)


async def test_a_publisher_that_is_cancelled_while_it_connects_leaves_nothing_running(unused_tcp_port: int) -> None:
    before = asyncio.all_tasks()
    entering = asyncio.create_task(Publisher(f"amqp://127.0.0.1:{unused_tcp_port}/").__aenter__())
    await asyncio.sleep(0.05)
    entering.cancel()
    await asyncio.wait([entering])

    assert entering.cancelled()
    assert asyncio.all_tasks() == before


async def test_a_publisher_in_another_thread_is_told_what_is_allowed_and_goes_on_where_it_belongs(
    amqp_url: str,
) -> None:
    await declared(amqp_url)
    async with Publisher(amqp_url) as publisher:
        with pytest.raises(UsageError, match="belongs to the event loop and thread that entered it"):
            await asyncio.to_thread(asyncio.run, publisher.publish(make_fields(Lane.OTP)))
        with pytest.raises(UsageError, match="in use"):
            await publisher.__aenter__()
        await publisher.publish(make_fields(Lane.OTP))


def test_a_publisher_may_be_entered_again_in_another_loop_and_not_be_kept_over_two(amqp_url: str) -> None:
    asyncio.run(declared(amqp_url))
    publisher = Publisher(amqp_url)

    async def use() -> None:
        async with publisher:
            await publisher.publish(make_fields(Lane.OTP))

    asyncio.run(use())
    asyncio.run(use())
    with pytest.raises(UsageError, match="not connected"):
        asyncio.run(publisher.publish(make_fields(Lane.OTP)))
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(publisher.__aenter__())
        for late in (publisher.publish(make_fields(Lane.OTP)), publisher.__aexit__()):
            with pytest.raises(UsageError, match="belongs to the event loop"):
                asyncio.run(late)
        loop.run_until_complete(publisher.__aexit__())
    finally:
        loop.close()
