"""Pausing the intake against a real RabbitMQ: nothing comes, nothing is lost, and it goes on where it was."""

import asyncio
from dataclasses import dataclass, field

from tests.brokers import (
    TOPOLOGY,
    Recorder,
    consuming,
    declared,
    depth,
    filled,
    publishing,
    raw_channel,
    send_to,
    settler_for,
)
from tests.fakes import RecordingEvents
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from worker.broker.settle import BrokerSettler
from worker.core.message.lane import Lane
from worker.ports import Delivery

OTP = TOPOLOGY.lane_queue(Lane.OTP)


@dataclass
class Returning(Recorder):
    """A receiver that gives everything back when it is told to."""

    settler: BrokerSettler | None = None
    returned: list[Delivery] = field(default_factory=list)

    async def __call__(self, delivery: Delivery) -> None:
        await super().__call__(delivery)
        assert self.settler is not None
        await self.settler.requeue(delivery)
        self.returned.append(delivery)


async def test_while_paused_nothing_comes_and_what_is_in_hand_is_settled(amqp_url: str) -> None:
    await declared(amqp_url)
    async with publishing(amqp_url) as publisher:
        receiver = Returning(settler=settler_for(publisher))
        async with consuming(amqp_url, receiver) as intake:
            await send_to(amqp_url, Lane.OTP, "before")
            await receiver.next()
            await intake.pause()
            await send_to(amqp_url, Lane.OTP, "meanwhile")
            receiver.open.set()
            await intake.wait_idle()

            await filled(amqp_url, OTP, 2)
            assert (intake.in_hand, intake.is_paused, intake.is_consuming) == (0, True, True)
            receiver.open.clear()
            intake.resume()
            assert {b"before" in (await receiver.next()).raw.body for _ in range(2)} == {True, False}
            assert not intake.is_paused


async def test_what_was_pushed_when_the_pause_began_is_in_hand_or_in_the_queue_and_nowhere_else(amqp_url: str) -> None:
    """Under a stream of deliveries, several times: none may be left with a consumer that is gone."""
    await declared(amqp_url)
    ids = [f"r-{number}" for number in range(400)]
    async with publishing(amqp_url) as publisher:
        receiver = Returning(settler=settler_for(publisher))
        receiver.open.set()
        async with consuming(amqp_url, receiver, prefetch=50) as intake:
            await send_to(amqp_url, Lane.OTP, *ids)
            for _ in range(3):
                await eventually(lambda: intake.in_hand > 0)
                await intake.pause()
                await intake.wait_idle()
                taken = len(receiver.got)
                await filled(amqp_url, OTP, len(ids))
                assert len(receiver.got) == len(receiver.returned) == taken
                intake.resume()
                await receiver.next()


async def test_a_pause_outlives_the_connection(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver, events = Recorder(), RecordingEvents()
    async with TcpProxy(amqp_url) as proxy, consuming(proxy.url, receiver, events) as intake:
        await eventually(lambda: intake.is_consuming)
        await intake.pause()
        await send_to(amqp_url, Lane.OTP, "r-1")
        await proxy.cut()
        await eventually(lambda: len(events.named("broker.connected")) == 2 and intake.is_consuming)

        assert await consumers_of(amqp_url, OTP) == 0
        assert receiver.got == []
        intake.resume()
        await receiver.next()


async def test_a_pause_before_the_first_consumer_lets_nothing_in(amqp_url: str) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1")
    receiver = Recorder()
    async with consuming(amqp_url, receiver) as intake:
        await intake.pause()
        await eventually(lambda: intake.is_consuming)
        assert await depth(amqp_url, OTP) == 1
        intake.resume()
        await receiver.next()


async def test_a_few_are_let_in_at_a_time_and_afterwards_as_many_as_before(amqp_url: str) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, *(f"r-{number}" for number in range(30)))
    receiver = Recorder()
    async with consuming(amqp_url, receiver, prefetch=20) as intake:
        await intake.pause()
        intake.resume(6)  # half of them from the queue of what is due, where nothing is
        await eventually(lambda: intake.in_hand == 3)
        await filled(amqp_url, OTP, 27)
        await asyncio.sleep(0.1)
        assert intake.in_hand == 3

        intake.resume()
        await eventually(lambda: intake.in_hand == 23, because="the three of before and twenty more")


async def test_a_worker_that_leaves_is_not_resumed(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver = Recorder()
    async with consuming(amqp_url, receiver) as intake:
        await eventually(lambda: intake.is_consuming)
        await intake.pause()
        await intake.stop()
        intake.resume()
        await send_to(amqp_url, Lane.OTP, "r-1")
        await asyncio.sleep(0.1)
        assert receiver.got == []
        assert await consumers_of(amqp_url, OTP) == 0


async def test_a_queue_that_is_deleted_during_a_pause_is_restored_by_the_end_of_it(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver = Recorder()
    async with consuming(amqp_url, receiver) as intake:
        await eventually(lambda: intake.is_consuming)
        await intake.pause()
        async with raw_channel(amqp_url) as channel:
            await channel.queue_delete(OTP)
        intake.resume()
        await eventually(lambda: not intake.is_consuming)
        await eventually(lambda: intake.is_consuming)
        await send_to(amqp_url, Lane.OTP, "r-1")
        await receiver.next()


async def consumers_of(url: str, queue: str) -> int:
    async with raw_channel(url) as channel:
        return (await channel.queue_declare(queue, passive=True)).consumer_count or 0
