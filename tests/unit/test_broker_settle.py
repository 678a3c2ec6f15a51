"""In which order a delivery is settled, with a publisher and a channel that only remember."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes import FakeDelivery, RecordingEvents
from tests.makers import NOW, make_raw
from worker.broker.delivery import BrokerDelivery
from worker.broker.settle import MOST_ROUNDS, BrokerSettler
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE
from worker.core.outcome.outcome import ErrorClass
from worker.core.outgoing.envelope import WORN_FROM, Outgoing
from worker.core.topology import Route, Topology
from worker.errors import BrokerUnavailable, PublishUnconfirmed, Unpublishable, Unroutable, WorkerError

TOPOLOGY = Topology()
PAUSE = timedelta(seconds=1)
MESSAGE = Outgoing(Route("sms.done", "otp"), b"{}", {}, None, None, "r-1")


class Channel:
    """An open channel that only remembers."""

    def __init__(self, log: list[str]) -> None:
        self.is_open = True
        self.log = log

    def ack(self, tag: int) -> None:
        self.log.append(f"ack {tag}")

    def requeue(self, tag: int) -> None:
        self.log.append(f"requeue {tag}")


@dataclass
class Bench:
    """Everything around a settler; *log* has the order of things."""

    answer: Callable[[], Exception | None] = lambda: None
    #: What publishing alone answers, which depends on the message.
    alone: Callable[[Outgoing], Exception | None] = lambda _: None
    log: list[str] = field(default_factory=list)
    published: list[Outgoing] = field(default_factory=list)
    events: RecordingEvents = field(default_factory=RecordingEvents)

    def __post_init__(self) -> None:
        self.channel = Channel(self.log)
        self.pauses: list[float] = []
        self.settler = BrokerSettler(
            self, TOPOLOGY, self.events, pause=PAUSE, now=lambda: NOW, dice=lambda: 1.0, sleep=self.sleep
        )

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def publish(self, message: Outgoing) -> None:
        self.log.append("publish")
        await asyncio.sleep(0)
        if (error := self.answer()) is not None:
            raise error
        self.log.append("confirmed")
        self.published.append(message)

    async def publish_alone(self, message: Outgoing) -> None:
        self.log.append("publish alone")
        await asyncio.sleep(0)
        if (error := self.alone(message)) is not None:
            raise error
        self.log.append("confirmed")
        self.published.append(message)

    def delivery(self, tag: int = 1, deliveries: int = 0, **changes: Any) -> BrokerDelivery:
        channel: Any = self.channel
        return BrokerDelivery(make_raw(Lane.OTP, **changes), False, deliveries, tag, channel)


async def test_a_delivery_is_acked_after_its_publish_was_confirmed() -> None:
    bench = Bench()
    await bench.settler.publish_and_ack(bench.delivery(7), MESSAGE)
    assert bench.log == ["publish", "confirmed", "ack 7"]


@pytest.mark.parametrize("error", [PublishUnconfirmed("?"), BrokerUnavailable("?"), Unroutable("?")])
async def test_what_was_not_confirmed_is_published_again_and_never_called_again(error: Exception) -> None:
    answers: list[Exception | None] = [error, error, None]
    bench = Bench(lambda: answers.pop(0))
    await bench.settler.publish_and_ack(bench.delivery(7), MESSAGE)
    assert bench.log == ["publish", "publish", "publish", "confirmed", "ack 7"]
    event = "broker.unroutable" if isinstance(error, Unroutable) else "broker.unconfirmed"
    told = [(name, fields["error"], fields["exchange"]) for name, fields in bench.events.told]
    assert told == [(event, error, "sms.done")] * 2
    assert not bench.settler.is_stuck


@pytest.mark.parametrize("error", [PublishUnconfirmed("?"), BrokerUnavailable("?"), Unroutable("?")])
async def test_a_message_is_not_acked_when_its_delivery_is_gone_before_it_is_confirmed(error: Exception) -> None:
    bench = Bench()

    def fail() -> Exception:
        bench.channel.is_open = False
        return error

    bench.answer = fail
    with pytest.raises(type(error)):
        await bench.settler.publish_and_ack(bench.delivery(7), MESSAGE)
    assert bench.log == ["publish"]


@pytest.mark.parametrize("error", [PublishUnconfirmed("?"), BrokerUnavailable("?"), Unroutable("?")])
async def test_what_the_broker_does_not_take_for_its_own_reasons_is_never_given_up(error: WorkerError) -> None:
    """A queue that is full or missing, an alarm, a broker that is away: waiting is no fault of the message."""
    answers: list[Exception | None] = [*([error] * 50), None]
    bench = Bench(lambda: answers.pop(0))
    await bench.settler.publish_and_ack(bench.delivery(7), MESSAGE)
    assert bench.log == ["publish"] * 51 + ["confirmed", "ack 7"]
    assert bench.published == [MESSAGE]
    assert bench.pauses[:6] == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


async def test_while_something_cannot_be_told_the_settler_is_stuck() -> None:
    bench = Bench(lambda: Unroutable("?"))
    settling = asyncio.create_task(bench.settler.publish_and_ack(bench.delivery(7), MESSAGE))
    for _ in range(50):
        await asyncio.sleep(0)
    assert bench.settler.is_stuck
    settling.cancel()
    await asyncio.wait([settling])
    assert not bench.settler.is_stuck


async def test_a_message_that_ends_every_channel_is_put_to_rest_as_poison_with_nothing_of_its_publisher() -> None:
    bench = Bench(lambda: Unpublishable("?"), lambda message: Unpublishable("?") if message is hostile else None)
    delivery = bench.delivery(7, headers={"own": "x" * 200_000, "x-sms-attempts": 2}, content_type="application/json")
    headers = {"own": "x" * 200_000, "x-sms-attempts": 2, "x-sms-code": "forged"}
    hostile = Outgoing(TOPOLOGY.to_lane(Lane.OTP), delivery.raw.body, headers, MESSAGE_TYPE, "application/json", "r-1")
    await bench.settler.publish_and_ack(delivery, hostile)

    assert bench.log == ["publish", *["publish alone"] * (MOST_ROUNDS + 1), "confirmed", "ack 7"]
    (letter,) = bench.published
    assert (letter.route, letter.body) == (TOPOLOGY.to_dead(ErrorClass.POISON), delivery.raw.body)
    assert (letter.type, letter.content_type, letter.correlation_id) == (MESSAGE_TYPE, "application/json", "r-1")
    assert letter.headers["x-sms-attempts"] == 2
    assert letter.headers["x-sms-code"] == "local.unpublishable"
    assert all(name.startswith("x-sms-") and len(str(value)) < 300 for name, value in letter.headers.items())
    assert [fields["request_id"] for fields in bench.events.named("broker.unpublishable")] == ["r-1"]


async def test_a_message_that_was_only_beside_the_one_at_fault_is_published() -> None:
    bench = Bench(lambda: Unpublishable("?"))
    await bench.settler.publish_and_ack(bench.delivery(7), MESSAGE)
    assert bench.log == ["publish", "publish alone", "confirmed", "ack 7"]
    assert bench.published == [MESSAGE]


async def test_when_the_broker_closes_for_everything_no_message_is_at_fault() -> None:
    """Its last form would be taken if it were the message."""
    failures = [Unpublishable("?")] * 20
    bench = Bench(lambda: Unpublishable("?"), lambda _: failures.pop() if failures else None)
    await bench.settler.publish_and_ack(bench.delivery(7), MESSAGE)
    assert bench.published == [MESSAGE]


async def test_rounds_that_are_no_ones_fault_do_not_count_towards_poison() -> None:
    errors: list[WorkerError] = [*[BrokerUnavailable("?")] * 20, *[Unpublishable("?")] * (MOST_ROUNDS - 1)]
    bench = Bench(lambda: Unpublishable("?"), lambda _: errors.pop() if errors else None)
    await bench.settler.publish_and_ack(bench.delivery(7), MESSAGE)
    assert bench.published == [MESSAGE]


async def test_a_cancelled_hand_over_settles_nothing() -> None:
    bench = Bench()
    settling = asyncio.create_task(bench.settler.publish_and_ack(bench.delivery(7), MESSAGE))
    await asyncio.sleep(0)
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    assert bench.log == ["publish"]


async def test_giving_back_returns_the_delivery_and_publishes_nothing() -> None:
    bench = Bench()
    await bench.settler.requeue(bench.delivery(7, deliveries=WORN_FROM - 1))
    assert bench.log == ["requeue 7"]


async def test_the_tenth_giving_back_publishes_the_same_message_anew() -> None:
    bench = Bench()
    headers = {"own": "kept", "x-sms-attempts": 2, "x-delivery-count": 10, "x-death": [{}], "CC": ["elsewhere"]}
    delivery = bench.delivery(7, deliveries=WORN_FROM, headers=headers)
    await bench.settler.requeue(delivery)

    assert bench.log == ["publish", "confirmed", "ack 7"]
    (message,) = bench.published
    assert (message.route, message.body) == (TOPOLOGY.back_to_lane(Lane.OTP), delivery.raw.body)
    assert (message.type, message.content_type) == (delivery.raw.type, delivery.raw.content_type)
    published = {"x-sms-published": "2026-11-23T12:00:00.000+00:00"}
    assert message.headers == {"own": "kept", "x-sms-attempts": 2, "x-sms-copies": 1} | published


@pytest.mark.parametrize("error", [PublishUnconfirmed("?"), BrokerUnavailable("?"), Unroutable("?")])
async def test_while_no_copy_can_be_published_the_delivery_is_not_returned_again_and_again(error: WorkerError) -> None:
    """Each return would count: within seconds of an alarm of the broker it would be poison for having waited."""
    failures: list[WorkerError | None] = [error] * 30
    bench = Bench(lambda: failures.pop() if failures else None)
    await bench.settler.requeue(bench.delivery(7, deliveries=WORN_FROM))

    assert bench.log == ["publish"] * 31 + ["confirmed", "ack 7"]


async def test_giving_back_a_copy_never_raises_when_its_channel_is_lost_meanwhile() -> None:
    bench = Bench()

    def fail() -> Exception:
        bench.channel.is_open = False
        return BrokerUnavailable("?")

    bench.answer = fail
    await bench.settler.requeue(bench.delivery(7, deliveries=WORN_FROM))
    assert bench.log == ["publish"]


async def test_giving_back_what_cannot_be_published_anew_puts_it_to_rest_and_does_not_repeat_it_for_ever() -> None:
    bench = Bench(lambda: Unpublishable("?"), lambda out: Unpublishable("?") if "own" in out.headers else None)
    await bench.settler.requeue(bench.delivery(7, deliveries=WORN_FROM, headers={"own": "x" * 200_000}))
    assert bench.log[-2:] == ["confirmed", "ack 7"]
    assert [letter.route for letter in bench.published] == [TOPOLOGY.to_dead(ErrorClass.POISON)]


async def test_a_delivery_of_somebody_else_is_refused() -> None:
    with pytest.raises(TypeError, match="FakeDelivery"):
        await Bench().settler.requeue(FakeDelivery(make_raw()))


async def test_a_returned_message_keeps_the_age_that_its_publisher_gave_it() -> None:
    bench = Bench()
    for timestamp in (datetime(2026, 11, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC), None):
        delivery = bench.delivery(1, deliveries=WORN_FROM)
        raw = type(delivery.raw)(delivery.raw.body, Lane.OTP, {}, timestamp=timestamp)
        await bench.settler.requeue(BrokerDelivery(raw, False, WORN_FROM, 1, delivery.channel))

    published = [str(message.headers["x-sms-published"])[:10] for message in bench.published]
    assert published == ["2026-11-01", "2026-11-23", "2026-11-23"]
