"""One delivery from start to end, among fakes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from tests.fakes import NOW, FakeDelivery, FakeSettler, RecordingEvents
from worker.core.decision.policy import Backoff, Policy, RetryPolicy
from worker.core.message.decode import RawMessage, Request
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE
from worker.core.outcome.catalog import catalog
from worker.core.outcome.disposition import Dead, Disposition, Requeue
from worker.core.outcome.outcome import Accepted, Outcome, Reply, Unserved
from worker.core.topology import Topology
from worker.delivery.pipeline import Pipeline
from worker.errors import BrokerUnavailable, Unroutable

NUMBER, TEXT = "+85251234567", "Your code is 4711"
POLICY = RetryPolicy(Backoff(timedelta(seconds=5), timedelta(minutes=10)), {Lane.OTP: 1})
TERMS = Policy(catalog(), Topology(), POLICY, {lane: timedelta(minutes=5) for lane in Lane})


def delivery(**changes: Any) -> FakeDelivery:
    body = {"id": "r-1", "to": NUMBER, "type": "OTP", "text": TEXT} | changes
    return FakeDelivery(RawMessage(orjson.dumps(body), Lane.OTP, type=MESSAGE_TYPE))


class FakeSender:
    """Answers with one outcome, or raises one error."""

    def __init__(self, answer: Outcome | Exception) -> None:
        self.answer = answer

    async def send(self, request: Request, is_wanted: Callable[[], bool]) -> Outcome:
        self.was_wanted = is_wanted()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Rig:
    def __init__(self, answer: Outcome | Exception) -> None:
        self.sender, self.settler, self.events = FakeSender(answer), FakeSettler(), RecordingEvents()
        self.settled: list[Disposition] = []
        self.pipeline = Pipeline(
            *(self.sender, self.settler, self.events, TERMS),
            now=lambda: NOW,
            dice=lambda: 0.5,
            settled=self.settled.append,
        )


async def test_an_accepted_request_ends_as_an_outcome_event() -> None:
    rig = Rig(Accepted("1008", "R-1", 1))
    await rig.pipeline.receive(delivery())

    ((_, message),) = rig.settler.handed_over
    assert message.route.exchange == "sms.done"
    event = orjson.loads(message.body)
    assert (event["id"], event["message_id"], event["attempts"]) == ("r-1", "1008", 1)
    assert rig.events.named("delivery.settled")[0]["disposition"] == "done"


@pytest.mark.parametrize(("deliveries", "is_sent"), [(9, True), (10, False)])
async def test_a_request_that_was_delivered_too_often_is_given_back_before_it_waits(
    deliveries: int, is_sent: bool
) -> None:
    rig = Rig(Accepted("1008", "R-1", 1))
    worn = replace(delivery(), deliveries=deliveries)
    await rig.pipeline.receive(worn)

    assert (rig.settler.given_back == [], bool(rig.settler.handed_over)) == (is_sent, is_sent)


async def test_a_refused_request_ends_in_the_queue_of_its_class_with_its_body_untouched() -> None:
    rig = Rig(catalog().classify(Reply(200, "SMS_CONTENT_ILLEGAL")))
    taken = delivery()
    await rig.pipeline.receive(taken)

    ((_, message),) = rig.settler.handed_over
    assert (message.route.exchange, message.route.key) == ("sms.dead", "content")
    assert message.body == taken.raw.body
    assert [type(disposition) for disposition in rig.settled] == [Dead]
    assert message.headers["x-sms-code"] == "SMS_CONTENT_ILLEGAL"


async def test_a_malformed_message_ends_among_the_malformed_with_a_reason_that_names_the_field() -> None:
    rig = Rig(Accepted(None, None, None))
    await rig.pipeline.receive(delivery(to="not a number"))

    ((_, message),) = rig.settler.handed_over
    assert message.route.key == "malformed"
    assert message.headers["x-sms-reason"].startswith("to: ")


async def test_an_error_of_our_own_costs_one_request_and_is_told_with_an_id() -> None:
    rig = Rig(ZeroDivisionError("ours"))
    await rig.pipeline.receive(delivery())

    ((_, message),) = rig.settler.handed_over
    (told,) = rig.events.named("pipeline.failed")
    assert message.route.key == "internal"
    assert told["error_id"] in message.headers["x-sms-reason"]


async def test_an_unserved_request_is_given_back() -> None:
    rig = Rig(Unserved("the worker is draining"))
    taken = delivery()
    await rig.pipeline.receive(taken)

    assert rig.settler.given_back == [taken]
    assert rig.settled == [Requeue("the worker is draining")]
    assert rig.settler.handed_over == []


@pytest.mark.parametrize("is_open", [True, False])
async def test_the_sender_learns_whether_the_delivery_can_still_be_settled(is_open: bool) -> None:
    rig = Rig(Unserved("its delivery was lost"))
    await rig.pipeline.receive(replace(delivery(), is_open=is_open))

    assert rig.sender.was_wanted is is_open


@pytest.mark.parametrize("error", [BrokerUnavailable("cut"), Unroutable("no queue")])
async def test_what_cannot_be_settled_is_told_and_not_counted_as_settled(error: Exception) -> None:
    rig = Rig(Accepted("1008", "R-1", 1))
    rig.settler.refuse = lambda: error
    await rig.pipeline.receive(delivery())

    assert rig.events.named("delivery.settled") == []
    assert rig.settled == []
    assert rig.events.named("delivery.unsettled") == [{"lane": "otp", "kind": type(error).__name__}]


async def test_cancellation_settles_nothing() -> None:
    class Hanging(FakeSender):
        async def send(self, request: Request, is_wanted: Callable[[], bool]) -> Outcome:
            never: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            return await never

    settler, events = FakeSettler(), RecordingEvents()
    pipeline = Pipeline(Hanging(ValueError()), settler, events, TERMS, now=lambda: NOW, dice=lambda: 0.5)
    taking = asyncio.create_task(pipeline.receive(delivery()))
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait([taking])

    assert (settler.handed_over, settler.given_back, events.told) == ([], [], [])


@pytest.mark.parametrize("answer", [Accepted("1008", "R-1", 1), ZeroDivisionError(NUMBER + TEXT)])
async def test_no_number_and_no_text_leaves_through_the_events(answer: Outcome | Exception) -> None:
    rig = Rig(answer)
    await rig.pipeline.receive(delivery())

    told = repr([(name, {key: fields[key] for key in fields if key != "error"}) for name, fields in rig.events.told])
    assert NUMBER.removeprefix("+") not in told
    assert TEXT not in told
