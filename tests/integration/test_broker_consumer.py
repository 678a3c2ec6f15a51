"""Receiving from a real RabbitMQ: what comes, what comes again, and consumers that come back."""

import asyncio
import struct
from datetime import timedelta
from typing import Any

import pytest
from aiormq.abc import ChannelFrame
from pamqp.commands import Basic

from tests.brokers import (
    PAUSE,
    TOPOLOGY,
    Recorder,
    consuming,
    declared,
    depth,
    filled,
    raw_channel,
    send_to,
    settings_for,
)
from tests.fakes import RecordingEvents
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from worker.broker.consumer import Intake
from worker.broker.delivery import BrokerDelivery
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE
from worker.errors import BrokerUnavailable


async def test_a_delivery_has_the_message_its_lane_and_its_count(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver = Recorder()
    async with consuming(amqp_url, receiver) as intake:
        given = {"x-sms-attempts": 3, "own": 4}
        await send_to(amqp_url, Lane.NOTIFY, "r-7", headers=given, content_type="application/json")
        delivery = await receiver.next()

        assert delivery.raw.lane is Lane.NOTIFY
        assert b'"r-7"' in delivery.raw.body
        assert (delivery.raw.type, delivery.raw.content_type) == (MESSAGE_TYPE, "application/json")
        assert (delivery.raw.headers, delivery.raw.forged) == ({"own": 4}, 1)
        assert (delivery.redelivered, delivery.deliveries) == (False, 0)
        assert intake.in_hand == 1


async def test_what_workers_return_keeps_their_headers(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver = Recorder()
    async with consuming(amqp_url, receiver):
        await send_to(amqp_url, Lane.NOTIFY, "r-7", headers={"x-sms-attempts": 3}, back=True)
        delivery = await receiver.next()

    assert (delivery.raw.headers, delivery.raw.forged) == ({"x-sms-attempts": 3}, 0)


async def test_each_lane_has_its_own_prefetch(amqp_url: str) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.MARKETING, *(f"m-{number}" for number in range(5)))
    receiver = Recorder()
    async with consuming(amqp_url, receiver, prefetch=2):
        await eventually(lambda: len(receiver.got) == 2)
        await send_to(amqp_url, Lane.OTP, "urgent")
        await eventually(lambda: any(delivery.raw.lane is Lane.OTP for delivery in receiver.got))

    assert sum(delivery.raw.lane is Lane.MARKETING for delivery in receiver.got) == 2


async def test_after_a_stop_nothing_comes_and_what_is_in_hand_goes_on(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver = Recorder()
    async with consuming(amqp_url, receiver) as intake:
        await send_to(amqp_url, Lane.OTP, "before")
        await receiver.next()
        await intake.stop()
        await send_to(amqp_url, Lane.OTP, "after")

        assert await depth(amqp_url, TOPOLOGY.lane_queue(Lane.OTP)) == 1
        assert intake.in_hand == 1
        receiver.open.set()
        await intake.wait_idle()
        assert intake.in_hand == 0


async def test_leaving_at_once_leaves_nothing_acknowledged(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver = Recorder()
    await send_to(amqp_url, Lane.OTP, "r-1", "r-2")
    async with consuming(amqp_url, receiver):
        await eventually(lambda: len(receiver.got) == 2)

    await filled(amqp_url, TOPOLOGY.lane_queue(Lane.OTP), 2)


async def test_a_cut_connection_does_not_cancel_what_is_in_hand_and_consumers_come_back(amqp_url: str) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1")
    receiver, events = Recorder(), RecordingEvents()
    async with TcpProxy(amqp_url) as proxy, consuming(proxy.url, receiver, events) as intake:
        await receiver.next()
        await proxy.cut()
        again = await receiver.next()

        assert (again.redelivered, again.deliveries) == (True, 1)
        assert intake.in_hand == 2
        await eventually(lambda: intake.is_consuming)
        assert len(events.named("broker.lost")) == 1


async def test_a_connection_that_the_broker_ends_is_replaced(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver = Recorder()
    async with TcpProxy(amqp_url) as proxy, consuming(proxy.url, receiver) as intake:
        await eventually(lambda: intake.is_consuming)
        proxy.half_close()
        await eventually(lambda: proxy.accepted == 2 and intake.is_consuming)
        await send_to(amqp_url, Lane.OTP, "r-1")
        await receiver.next()


async def test_a_channel_that_the_broker_closes_is_replaced_and_other_lanes_go_on(amqp_url: str) -> None:
    await declared(amqp_url)
    await send_to(amqp_url, Lane.OTP, "r-1")
    await send_to(amqp_url, Lane.NOTIFY, "n-1")
    receiver = Recorder()
    async with consuming(amqp_url, receiver) as intake:
        first = {(await receiver.next()).raw.lane, (await receiver.next()).raw.lane}
        assert first == {Lane.OTP, Lane.NOTIFY}
        otp = next(one for one in receiver.got if one.raw.lane is Lane.OTP)
        assert isinstance(otp, BrokerDelivery)
        otp.channel.ack(4711)  # unknown: the broker closes the channel

        again = await receiver.next()
        assert (again.raw.lane, again.redelivered) == (Lane.OTP, True)
        await eventually(lambda: intake.is_consuming)
        assert [one.redelivered for one in receiver.got if one.raw.lane is Lane.NOTIFY] == [False]


async def test_a_queue_that_was_deleted_is_declared_and_consumed_again(amqp_url: str) -> None:
    await declared(amqp_url)
    receiver, events = Recorder(), RecordingEvents()
    async with consuming(amqp_url, receiver, events) as intake:
        await eventually(lambda: intake.is_consuming)
        async with raw_channel(amqp_url) as channel:
            await channel.queue_delete(TOPOLOGY.lane_queue(Lane.NOTIFY))
        await eventually(lambda: not intake.is_consuming)
        await eventually(lambda: intake.is_consuming)
        await send_to(amqp_url, Lane.NOTIFY, "n-1")
        await receiver.next()

    assert len(events.named("broker.connected")) == 1


async def test_a_queue_that_others_declare_is_consumed_as_soon_as_it_is_there(amqp_url: str) -> None:
    receiver = Recorder()
    async with consuming(amqp_url, receiver, declare=False) as intake:
        await asyncio.sleep(2 * PAUSE.total_seconds())
        await declared(amqp_url)
        await eventually(lambda: intake.is_consuming)


async def test_a_receiver_that_fails_is_told_and_does_not_end_the_intake(amqp_url: str) -> None:
    async def fail(_: object) -> None:
        raise ValueError("a bug")

    await declared(amqp_url)
    events = RecordingEvents()
    async with consuming(amqp_url, fail, events) as intake:
        await eventually(lambda: intake.is_consuming)
        await send_to(amqp_url, Lane.OTP, "r-1")
        await eventually(lambda: events.named("pipeline.failed"))
        assert intake.is_consuming


async def test_properties_that_cannot_be_read_do_not_end_the_connection(amqp_url: str) -> None:
    """Nanoseconds for seconds, a type that is no UTF-8, and headers that are none at all."""
    await declared(amqp_url)
    hostile = [
        struct.pack(">HHQH", 60, 0, 2, 0x0040) + struct.pack(">Q", 2**63 + 1),
        struct.pack(">HHQH", 60, 0, 2, 0x0020) + b"\x03\xff\xfe\xfd",
        struct.pack(">HHQH", 60, 0, 2, 0x2000) + struct.pack(">I", 6) + b"\x03\xff\xff\xfft\x01",
    ]
    receiver, events = Recorder(), RecordingEvents()
    async with consuming(amqp_url, receiver, events), raw_channel(amqp_url) as channel:
        publish = ChannelFrame.marshall(channel.number, [Basic.Publish(exchange="sms.send", routing_key="otp")]).payload
        for header in hostile:
            frames = [(2, header), (3, b"{}")]
            wire = b"".join(
                struct.pack(">BHI", kind, channel.number, len(payload)) + payload + b"\xce" for kind, payload in frames
            )
            await channel.connection.write_queue.put(ChannelFrame(publish + wire, should_close=False))
        await eventually(lambda: len(receiver.got) == 3)

    assert [delivery.raw.body for delivery in receiver.got] == [b"{}"] * 3
    assert [delivery.raw.type for delivery in receiver.got] == [None, "???", None]
    assert all(delivery.raw.timestamp is None for delivery in receiver.got)
    assert not events.named("broker.lost")


@pytest.mark.parametrize("how", [KeyError("a bug"), asyncio.CancelledError()], ids=["raises", "is cancelled"])
async def test_a_lane_that_ends_unexpectedly_is_told_loudly_and_consumed_again(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch, how: BaseException
) -> None:
    """It would have been silent: the worker looked alive, and took nothing of that lane any more."""
    await declared(amqp_url)
    receiver, events, left = Recorder(), RecordingEvents(), [how]
    wanted = Intake._wanted

    def fail_once(intake: Intake, lane: Lane) -> int:
        if lane is Lane.NOTIFY and left:
            raise left.pop()
        return wanted(intake, lane)

    monkeypatch.setattr(Intake, "_wanted", fail_once)
    async with consuming(amqp_url, receiver, events) as intake:
        await eventually(lambda: events.named("broker.lost") and intake.is_consuming)
        for lane in Lane:
            await send_to(amqp_url, lane, f"r-{lane.value}")
        await eventually(lambda: {delivery.raw.lane for delivery in receiver.got} == set(Lane))

    (failed,) = events.named("broker.failed")
    assert failed["role"] == "consume"
    assert "Intake._keep" in str(events.named("broker.lost")[0]["error"])


async def test_what_the_broker_says_of_its_patience_is_passed_on(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[timedelta] = []
    text = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 2000 ms. This"
    left = [BrokerUnavailable("unknown delivery tag"), BrokerUnavailable(text)]
    consume = Intake._consume

    async def fail(intake: Intake, connection: Any, lane: Lane) -> None:
        if left:
            raise left.pop()
        await consume(intake, connection, lane)

    monkeypatch.setattr(Intake, "_consume", fail)
    await declared(amqp_url)
    intake = Intake(
        settings_for(amqp_url), TOPOLOGY, {Lane.OTP: 1}, Recorder(), RecordingEvents(), impatient=heard.append
    )
    intake.start()
    await eventually(lambda: intake.is_consuming)
    await intake.aclose()
    assert heard == [timedelta(seconds=2)]
