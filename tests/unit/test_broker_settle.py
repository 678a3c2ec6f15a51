"""In which order a delivery is settled, with a publisher and a channel that only remember."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pamqp.frame
import pytest
from aiormq.abc import ChannelFrame
from pamqp.commands import Basic

from tests.fakes import FakeDelivery, RecordingEvents
from tests.makers import NOW, make_raw
from worker.broker.delivery import BrokerDelivery
from worker.broker.settle import MOST_RETURNS, MOST_UNCONFIRMED, BrokerSettler
from worker.core.envelope import Outgoing
from worker.core.lane import Lane
from worker.core.topology import Route, Topology
from worker.errors import BrokerUnavailable, PublishUnconfirmed, Unroutable

TOPOLOGY = Topology()
MESSAGE = Outgoing(Route("sms.done", "otp"), b"{}", {}, None, None, "r-1")


class Connection:
    """The part of a connection that settling touches; everything written is drained at once."""

    def __init__(self, log: list[str]) -> None:
        self.channels: dict[int, Any] = {}
        self.write_queue = self
        self.log = log
        self.writes = 0

    def full(self) -> bool:
        return False

    def put_nowait(self, frame: ChannelFrame) -> None:
        self.writes += 1
        payload = frame.payload
        while payload:
            size, _, answer = pamqp.frame.unmarshal(payload)
            assert isinstance(answer, Basic.Ack | Basic.Nack)
            assert not answer.multiple
            name = "ack" if isinstance(answer, Basic.Ack) else "requeue" if answer.requeue else "drop"
            self.log.append(f"{name} {answer.delivery_tag}")
            payload = payload[size:]
        frame.drain()


class Channel:
    """An open channel."""

    def __init__(self, connection: Connection) -> None:
        self.number = 1
        self.is_closed = False
        self.connection = connection
        connection.channels[1] = self

    def create_future(self) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().create_future()


@dataclass
class Bench:
    """Everything around a settler; *log* has the order of things."""

    answer: Callable[[], Exception | None] = lambda: None
    log: list[str] = field(default_factory=list)
    published: list[Outgoing] = field(default_factory=list)
    events: RecordingEvents = field(default_factory=RecordingEvents)

    def __post_init__(self) -> None:
        self.connection = Connection(self.log)
        self.channel = Channel(self.connection)
        self.settler = BrokerSettler(self, TOPOLOGY, self.events, pause=timedelta(milliseconds=1), now=lambda: NOW)

    async def publish(self, message: Outgoing) -> None:
        self.log.append("publish")
        await asyncio.sleep(0)
        if (error := self.answer()) is not None:
            raise error
        self.log.append("confirmed")
        self.published.append(message)

    def delivery(self, tag: int = 1, deliveries: int = 0, **changes: Any) -> BrokerDelivery:
        channel: Any = self.channel
        return BrokerDelivery(make_raw(Lane.OTP, **changes), False, deliveries, tag, channel)


async def test_a_delivery_is_acked_after_its_publish_was_confirmed() -> None:
    bench = Bench()
    await bench.settler.hand_over(bench.delivery(7), MESSAGE)
    assert bench.log == ["publish", "confirmed", "ack 7"]


@pytest.mark.parametrize("error", [PublishUnconfirmed("?"), BrokerUnavailable("?"), Unroutable("?")])
async def test_what_was_not_confirmed_is_published_again_and_never_called_again(error: Exception) -> None:
    answers: list[Exception | None] = [error, error, None]
    bench = Bench(lambda: answers.pop(0))
    await bench.settler.hand_over(bench.delivery(7), MESSAGE)
    assert bench.log == ["publish", "publish", "publish", "confirmed", "ack 7"]
    assert [fields["kind"] for fields in bench.events.named("broker.unconfirmed")] == [type(error).__name__] * 2


@pytest.mark.parametrize("error", [PublishUnconfirmed("?"), BrokerUnavailable("?"), Unroutable("?")])
async def test_a_message_is_not_acked_when_its_delivery_is_gone_before_it_is_confirmed(error: Exception) -> None:
    bench = Bench()

    def fail() -> Exception:
        bench.channel.is_closed = True
        return error

    bench.answer = fail
    with pytest.raises(type(error)):
        await bench.settler.hand_over(bench.delivery(7), MESSAGE)
    assert bench.log == ["publish"]


async def test_a_message_that_is_never_confirmed_does_not_end_the_publishing_channel_for_ever() -> None:
    bench = Bench(lambda: PublishUnconfirmed("?"))
    with pytest.raises(PublishUnconfirmed):
        await bench.settler.hand_over(bench.delivery(7), MESSAGE)
    assert bench.log == ["publish"] * MOST_UNCONFIRMED + ["requeue 7"]


async def test_a_cancelled_hand_over_settles_nothing() -> None:
    bench = Bench()
    settling = asyncio.create_task(bench.settler.hand_over(bench.delivery(7), MESSAGE))
    await asyncio.sleep(0)
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    assert bench.log == ["publish"]


async def test_many_settled_together_are_written_together_and_each_for_itself() -> None:
    bench = Bench()
    tags = [3, 1, 9]
    await asyncio.gather(*(bench.settler.hand_over(bench.delivery(tag), MESSAGE) for tag in tags))
    assert sorted(bench.log[-3:]) == ["ack 1", "ack 3", "ack 9"]
    assert bench.connection.writes == 1


async def test_giving_back_returns_the_delivery_and_publishes_nothing() -> None:
    bench = Bench()
    await bench.settler.give_back(bench.delivery(7, deliveries=MOST_RETURNS - 1))
    assert bench.log == ["requeue 7"]


async def test_the_tenth_giving_back_publishes_the_same_message_anew() -> None:
    bench = Bench()
    headers = {"own": "kept", "x-sms-attempts": 2, "x-delivery-count": 10, "x-death": [{}], "CC": ["elsewhere"]}
    delivery = bench.delivery(7, deliveries=MOST_RETURNS, headers=headers)
    await bench.settler.give_back(delivery)

    assert bench.log == ["publish", "confirmed", "ack 7"]
    (message,) = bench.published
    assert (message.route, message.body) == (TOPOLOGY.back_to_lane(Lane.OTP), delivery.raw.body)
    assert (message.type, message.content_type) == (delivery.raw.type, delivery.raw.content_type)
    assert message.headers == {"own": "kept", "x-sms-attempts": 2, "x-sms-published": "2026-11-23T12:00:00.000+00:00"}


async def test_giving_back_never_raises_when_even_publishing_fails() -> None:
    bench = Bench(lambda: BrokerUnavailable("?"))
    await bench.settler.give_back(bench.delivery(7, deliveries=MOST_RETURNS))
    assert bench.log == ["publish", "requeue 7"]


@pytest.mark.parametrize("how", ["closed", "closed by the broker"])
async def test_nothing_is_written_to_a_channel_that_is_gone(how: str) -> None:
    """A frame for a channel that the broker has closed would end the connection of all lanes."""
    bench = Bench()
    if how == "closed":
        bench.channel.is_closed = True
    else:
        bench.connection.channels.clear()
    await bench.settler.hand_over(bench.delivery(7), MESSAGE)
    assert bench.log == ["publish", "confirmed"]


async def test_a_delivery_of_somebody_else_is_refused() -> None:
    with pytest.raises(TypeError, match="FakeDelivery"):
        await Bench().settler.give_back(FakeDelivery(make_raw()))


async def test_a_returned_message_keeps_the_age_that_its_publisher_gave_it() -> None:
    bench = Bench()
    for timestamp in (datetime(2026, 11, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC), None):
        delivery = bench.delivery(1, deliveries=MOST_RETURNS)
        raw = type(delivery.raw)(delivery.raw.body, Lane.OTP, {}, timestamp=timestamp)
        await bench.settler.give_back(BrokerDelivery(raw, False, MOST_RETURNS, 1, delivery.channel))

    published = [str(message.headers["x-sms-published"])[:10] for message in bench.published]
    assert published == ["2026-11-01", "2026-11-23", "2026-11-23"]
