"""What status tells of what RabbitMQ and Redis told, or did not."""

from typing import Any

import pytest

from worker.broker.depths import Depth
from worker.core.limits.holds import ACCOUNT, Hold, HoldName
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Scope
from worker.limiter.ring import CELLS, Shared, rate_per_s
from worker.operator.status import Found, summary
from worker.settings.load import load
from worker.settings.sections import Settings

SETTINGS = load([], {}, {"quota.send_message_to_globe": 100, "quota.send_message_with_template": 0})
LANES = {
    Lane.OTP: (Depth(0, 2), Depth(0, 2)),
    Lane.NOTIFY: (Depth(90, 2), Depth(5, 1)),
    Lane.MARKETING: (Depth(500, 0), Depth(0, 0)),
}
GRANTED = {Operation.GLOBE: 10.0}


def etas(found: Found, settings: Settings = SETTINGS) -> list[Any]:
    return [row["eta_s"] for row in summary(found, settings)["lanes"]]


def test_lanes_tell_what_waits_who_serves_and_when_it_ends() -> None:
    rows = summary(Found(LANES, {}, GRANTED), SETTINGS)["lanes"]

    assert [(row["lane"], row["waiting"], row["due"], row["workers"], row["due_workers"]) for row in rows] == [
        ("otp", 0, 0, 2, 2),
        ("notify", 95, 5, 2, 1),
        ("marketing", 500, 0, 0, 0),
    ]
    assert [row["eta_s"] for row in rows] == [None, pytest.approx(9.5), None], "nobody serves marketing"


def test_a_held_account_has_no_estimate() -> None:
    found = Found(LANES, {}, GRANTED, [Hold(ACCOUNT, "AMOUNT_NOT_ENOUGH", 60, 5, 2)])

    assert etas(found) == [None, None, None]
    assert summary(found, SETTINGS)["account"] == "held"


def test_a_held_sender_is_told_with_its_remedy_and_leaves_the_account_alone() -> None:
    status = summary(
        Found(LANES, {}, GRANTED, [Hold(HoldName(Scope.SENDER, "ACME"), "INVALID_SENDERID", 60, 5)]), SETTINGS
    )
    (row,) = status["holds"]

    assert (status["account"], row["scope"], row["subject"]) == ("not held", "sender", "ACME")
    assert row["remedy"] == "Contact SMS technical support."


def test_without_redis_the_rate_the_estimate_and_the_hold_are_unknown() -> None:
    status = summary(Found(LANES, {"sms.done": Depth(3, 0)}, faults=["Redis cannot be reached"]), SETTINGS)

    assert (status["account"], status["holds"]) == ("unknown", None)
    assert [row["granted_per_s"] for row in status["quota"]] == [None, None]
    assert [row["eta_s"] for row in status["lanes"]] == [None, None, None]
    assert status["queues"] == {"sms.done": 3}


def test_without_rabbitmq_the_rate_and_the_hold_are_told() -> None:
    status = summary(Found(granted=GRANTED, faults=["RabbitMQ cannot be reached"]), SETTINGS)

    assert (status["lanes"], status["queues"], status["account"]) == (None, None, "not held")
    assert status["quota"] == [
        {
            "operation": "SendMessageToGlobe",
            "quota_per_s": None,
            "quota_known": False,
            "configured_per_s": 100,
            "granted_per_s": 10.0,
            "opens_in_s": 0.0,
        },
        {
            "operation": "SendMessageWithTemplate",
            "quota_per_s": None,
            "quota_known": False,
            "configured_per_s": None,
            "granted_per_s": None,
            "opens_in_s": 0.0,
        },
    ]


def test_the_quota_is_that_of_the_workers() -> None:
    shared = {Operation.GLOBE: Shared(50, 1.5), Operation.TEMPLATE: Shared(0, 0.0)}
    globe, template = summary(Found(granted=GRANTED, shared=shared), SETTINGS)["quota"]

    assert (globe["quota_per_s"], globe["quota_known"], globe["configured_per_s"]) == (50, True, 100)
    assert (template["quota_per_s"], template["quota_known"], template["configured_per_s"]) == (None, True, None)
    assert globe["opens_in_s"] == 1.5


def test_letters_in_somebodys_hands_are_told() -> None:
    queues = {"sms.dead.content": Depth(0, 1), "sms.dead.expired": Depth(3, 0), "sms.done": Depth(0, 2)}
    status = summary(Found(LANES, queues, GRANTED), SETTINGS)

    assert status["looked_into"] == ["sms.dead.content"]


@pytest.mark.parametrize(
    ("slots", "rate"),
    [
        ([], 0.0),
        (range(100_000, 10_000_001, 100_000), 10.0),
        (range(9_000_000, 10_000_000, 100_000), 2.0),
        (range(10_000_001, 11_000_000, 100_000), 0.0),
        # Two seconds of 2,048 a second fill the ring: an older second has left it.
        (range(8_000_000, 10_000_000, 2_000_000 // CELLS), pytest.approx(2048, rel=0.01)),
    ],
    ids=["never", "steady", "began a second ago", "only booked", "more than the ring holds"],
)
def test_the_rate_is_that_of_the_last_seconds(slots: Any, rate: Any) -> None:
    assert rate_per_s(list(slots)[-CELLS:], 10_000_000) == rate
