"""What can be read of a dead letter, whoever buried it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from tests.makers import make_raw
from worker.broker.dead_letters import chosen_by
from worker.broker.letter import Letter, letter_of
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.core.topology import Topology

TOPOLOGY = Topology()
DIED = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)


def letter(
    error_class: ErrorClass, headers: Any = None, *, key: str = "", body: bytes = b"{}", correlation: str | None = None
) -> Letter:
    properties = Basic.Properties(headers=headers, correlation_id=correlation)
    delivery = Basic.Deliver(consumer_tag="c", delivery_tag=1, exchange="sms.dead", routing_key=key)
    channel: Any = None
    message = DeliveredMessage(delivery, ContentHeader(properties=properties), body, channel)
    return letter_of(message, error_class, 1, TOPOLOGY)


def test_our_own_headers_tell_everything() -> None:
    found = letter(
        ErrorClass.RECIPIENT,
        {
            "x-sms-code": "MOBILE_NUMBER_ILLEGAL",
            "x-sms-reason": "No such number.",
            "x-sms-remedy": "Correct it.",
            "x-sms-lane": "marketing",
            "x-sms-died": "2026-11-23T11:00:00.000+00:00",
            "x-sms-attempts": 2,
            "x-delivery-count": 4,
        },
        correlation="r-1",
    )

    assert (found.code, found.reason, found.remedy) == ("MOBILE_NUMBER_ILLEGAL", "No such number.", "Correct it.")
    assert (found.request_id, found.lane, found.died) == ("r-1", Lane.MARKETING, DIED)
    assert (found.history.attempts, found.deliveries) == (2, 4)


@pytest.mark.parametrize("queue", ["sms.send.notify", "sms.due.notify"])
@pytest.mark.parametrize(
    ("cause", "words"), [("delivery_limit", "delivered too often"), ("expired", "AMQP expiration")]
)
def test_a_poisonous_letter_takes_its_lane_and_time_from_what_the_broker_wrote(
    cause: str, words: str, queue: str
) -> None:
    death = [{"queue": queue, "reason": cause, "time": DIED, "routing-keys": ["0.1.notify"]}]

    found = letter(ErrorClass.POISON, {"x-death": death}, key="poison", body=make_raw(id="r-9").body)

    assert (found.lane, found.died, found.request_id) == (Lane.NOTIFY, DIED, "r-9")
    assert found.code == "local.poison"
    assert words in (found.reason or "")
    assert found.remedy


def test_an_unroutable_letter_has_a_lane_only_if_its_routing_key_was_one() -> None:
    assert letter(ErrorClass.UNROUTABLE, key="otp").lane is Lane.OTP
    assert letter(ErrorClass.UNROUTABLE, key="otpp").lane is None
    assert letter(ErrorClass.UNROUTABLE, key="otpp").routing_key == "otpp"


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {"x-death": "once"},
        {"x-death": []},
        {"x-death": ["once"]},
        {"x-death": [{"time": 4, "queue": ["q"]}]},
        {"x-sms-died": "yesterday", "x-sms-lane": 7, "x-sms-code": b"\xff", "x-sms-attempts": "many"},
        {"x-sms-died": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_headers_that_a_publisher_made_up_are_no_obstacle(headers: Any) -> None:
    found = letter(ErrorClass.MALFORMED, headers, key="malformed", body=b"\xff{not json")

    assert (found.request_id, found.lane, found.died, found.code) == (None, None, None, None)


def test_letters_are_chosen_by_id_or_position() -> None:
    mine = letter(ErrorClass.EXPIRED, correlation="r-1")

    assert chosen_by("r-1")(mine)
    assert chosen_by(1)(mine)
    assert not chosen_by("1", 2)(mine)
