"""Declaring and comparing the topology on a real RabbitMQ."""

import asyncio

import pytest

from deploy.local.stack import Stack
from tests.brokers import TOPOLOGY, declared, raw_channel, settings_for
from worker.broker.connection import connected
from worker.broker.declare import declare, verify
from worker.core.message.lane import Lane
from worker.core.topology import Bounds, Topology
from worker.errors import TopologyMismatch
from worker.settings.sections import OutcomesSettings


async def test_a_topology_that_is_declared_twice_has_no_difference(amqp_url: str) -> None:
    async with connected(settings_for(amqp_url), "operate") as connection:
        assert await declare(connection, Topology()) == []
        assert await declare(connection, Topology()) == []
        assert await verify(connection, Topology()) == []


async def test_the_furthest_bounds_that_the_configuration_allows_are_taken(amqp_url: str) -> None:
    outcomes = OutcomesSettings.model_validate({"length": 1_000_000_000, "age": "365d"})
    async with connected(settings_for(amqp_url), "operate") as connection:
        assert await declare(connection, Topology(done=Bounds(outcomes.length, outcomes.age), levels=4)) == []


async def test_looking_at_an_empty_broker_names_everything_and_creates_nothing(amqp_url: str) -> None:
    async with connected(settings_for(amqp_url), "operate") as connection:
        first = await verify(connection, TOPOLOGY)
        second = await verify(connection, TOPOLOGY)

    names = {queue.name for queue in TOPOLOGY.queues()} | {exchange.name for exchange in TOPOLOGY.exchanges()}
    assert {difference.name for difference in first} == names
    assert {difference.name for difference in second} == names
    assert all(difference.argument is None and difference.is_fatal for difference in second)


async def test_a_queue_that_can_lose_messages_is_refused_by_name_and_argument(amqp_url: str) -> None:
    designed = {queue.name: dict(queue.arguments) for queue in TOPOLOGY.queues()}[TOPOLOGY.lane_queue(Lane.OTP)]
    async with raw_channel(amqp_url) as channel:
        await channel.queue_declare(
            TOPOLOGY.lane_queue(Lane.OTP), durable=True, arguments=designed | {"x-delivery-limit": 3}
        )
        await channel.queue_declare(TOPOLOGY.lane_queue(Lane.NOTIFY), durable=False)

    async with connected(settings_for(amqp_url), "operate") as connection:
        with pytest.raises(TopologyMismatch) as refused:
            await declare(connection, TOPOLOGY)

    text = str(refused.value)
    assert "queue sms.send.otp: x-delivery-limit should be '20' but is '3'" in text
    assert "queue sms.send.notify: durable should be" in text
    assert "sms.send.marketing" not in text


async def test_an_exchange_of_another_type_is_refused(amqp_url: str) -> None:
    async with raw_channel(amqp_url) as channel:
        await channel.exchange_declare("sms.dead", exchange_type="fanout", durable=True)

    async with connected(settings_for(amqp_url), "operate") as connection:
        with pytest.raises(TopologyMismatch, match=r"exchange sms\.dead: type should be 'direct' but is 'fanout'"):
            await declare(connection, TOPOLOGY)


async def test_another_length_of_the_outcome_queue_is_told_and_tolerated(amqp_url: str) -> None:
    await declared(amqp_url, Topology(levels=4, done=Bounds(length=10)))

    async with connected(settings_for(amqp_url), "operate") as connection:
        (difference,) = await declare(connection, TOPOLOGY)

    assert (difference.name, difference.argument, difference.is_fatal) == ("sms.done", "x-max-length", False)
    assert "'1000000'" in difference.sentence
    assert "'10'" in difference.sentence


async def test_without_the_right_to_configure_the_worker_still_learns_what_exists(
    amqp_url: str, stack: Stack, namespace: str
) -> None:
    async with connected(settings_for(amqp_url), "operate") as connection:
        await declare(connection, TOPOLOGY)
    user = f"reader-{namespace}"
    await asyncio.to_thread(stack.rabbitmq.ctl, "add_user", user, "secret")
    await asyncio.to_thread(stack.rabbitmq.ctl, "set_permissions", "--vhost", namespace, user, "", ".*", ".*")
    restricted = amqp_url.replace("guest:guest", f"{user}:secret")
    try:
        async with connected(settings_for(restricted), "operate") as connection:
            differences = await verify(connection, TOPOLOGY)
    finally:
        await asyncio.to_thread(stack.rabbitmq.ctl, "delete_user", user)

    assert len(differences) == len(TOPOLOGY.queues()) + len(TOPOLOGY.exchanges())
    assert not any(difference.is_fatal for difference in differences)
    assert "cannot be compared" in differences[0].sentence
