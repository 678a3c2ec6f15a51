"""What status tells of what RabbitMQ and Redis told, or did not."""

from typing import Any

import pytest

from worker.broker.depths import Depth
from worker.cli.overview import explained
from worker.core.limits.holds import ACCOUNT, Hold, HoldName
from worker.core.limits.learned import LearnedRate
from worker.core.limits.overrides import Override, Overrides
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Scope
from worker.core.standing import Standing
from worker.core.topology import Topology
from worker.limiter.overrides import Seen, written
from worker.limiter.ring import CELLS, Shared, rate_per_s
from worker.operator.found import Found
from worker.operator.status import summary
from worker.settings.load import load
from worker.settings.sections import Settings

SETTINGS = load([], {}, {"quota.send_message_to_globe": 100, "quota.send_message_with_template": 0})
LANES = {
    Lane.OTP: (Depth(0, 2), Depth(0, 2)),
    Lane.NOTIFY: (Depth(90, 2), Depth(5, 1)),
    Lane.MARKETING: (Depth(500, 0), Depth(0, 0)),
}
GRANTED = {Operation.GLOBE: 10.0}
NOW_US = 1_764_000_000_000_000
WORKERS = {
    "a": Standing({Lane.OTP: 1, Lane.NOTIFY: 40}, {Lane.OTP: 0.5, Lane.NOTIFY: 400.0}),
    "b": Standing({Lane.OTP: 2}, {Lane.OTP: 2.5}),
}


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
    globe, template = status["quota"]
    assert globe == {
        "operation": "SendMessageToGlobe",
        "quota_per_s": None,
        "quota_known": False,
        "configured_per_s": 100,
        "in_force_per_s": None,
        "set_by": None,
        "set_ends_in_s": None,
        "learned_per_s": None,
        "foreign_ratio": None,
        "granted_per_s": 10.0,
        "throttled_last_60_s": None,
        "opens_in_s": 0.0,
    }
    assert (template["configured_per_s"], template["granted_per_s"]) == (None, None)


def test_the_quota_is_that_of_the_workers() -> None:
    shared = {Operation.GLOBE: Shared(50, 1.5), Operation.TEMPLATE: Shared(0, 0.0)}
    globe, template = summary(Found(granted=GRANTED, shared=shared), SETTINGS)["quota"]

    assert (globe["quota_per_s"], globe["quota_known"], globe["configured_per_s"]) == (50, True, 100)
    assert (template["quota_per_s"], template["quota_known"], template["configured_per_s"]) == (None, True, None)
    assert globe["opens_in_s"] == 1.5


def seen(*overrides: Override) -> Seen:
    return Seen(written(Overrides(1, overrides)), NOW_US, {})


def test_what_an_operator_has_set_is_told_beside_what_is_configured() -> None:
    until_us = NOW_US + 60_000_000
    limits = seen(Override("quota.send_message_to_globe", 40, "Ada", NOW_US, until_us))
    globe, template = summary(Found(granted=GRANTED, limits=limits), SETTINGS)["quota"]

    assert (globe["configured_per_s"], globe["in_force_per_s"], globe["set_by"]) == (100, 40, "Ada")
    assert globe["set_ends_in_s"] == 60
    assert (template["in_force_per_s"], template["set_by"]) == (None, None)


def test_batch_calls_are_told_of_once_there_are_any() -> None:
    limits = seen(Override("batch.size", 100, "Ada", NOW_US))

    assert len(summary(Found(limits=seen()), SETTINGS)["quota"]) == 2
    assert summary(Found(limits=limits), SETTINGS)["quota"][2]["operation"] == "BatchSendMessageToGlobe"


def test_limits_that_cannot_be_read_are_not_known() -> None:
    status = summary(Found(LANES, {}, GRANTED, limits=Seen(b"nonsense", NOW_US, {}), workers=WORKERS), SETTINGS)

    assert any("cannot be read" in sentence for sentence in status["unknown"])
    assert status["quota"][0]["in_force_per_s"] == 100


def test_what_was_learned_and_refused_is_told() -> None:
    learned, throttled = {Operation.GLOBE: LearnedRate(75.0, 100)}, {Operation.GLOBE: 3}
    globe, template = summary(Found(granted=GRANTED, learned=learned, throttled=throttled), SETTINGS)["quota"]

    assert (globe["learned_per_s"], globe["foreign_ratio"], globe["throttled_last_60_s"]) == (75, 0.25, 3)
    assert (template["learned_per_s"], template["foreign_ratio"]) == (None, None)


def test_workers_tell_what_they_have_in_hand_and_it_takes_its_time_too() -> None:
    rows = summary(Found(LANES, {}, GRANTED, workers=WORKERS), SETTINGS)["lanes"]

    assert [row["in_hand"] for row in rows] == [3, 40, 0]
    assert [row["oldest_in_hand_s"] for row in rows] == [2.5, 400.0, None]
    assert [row["telling_workers"] for row in rows] == [2, 1, 0]
    assert rows[1]["eta_s"] == pytest.approx((95 + 40 + 3) / 10)
    assert rows[0]["share_per_s"] == pytest.approx(10 * (1 - 0.15))


def test_that_some_workers_do_not_tell_is_told() -> None:
    status = summary(Found(LANES, {}, GRANTED, workers=WORKERS), SETTINGS)

    assert status["unknown"] == [
        "1 of 2 workers of notify do not tell what they have in hand: they are of an older version, or cannot use Redis"
    ]


def test_what_nobody_tells_is_not_known_where_somebody_consumes() -> None:
    status = summary(Found(LANES, {}, GRANTED, workers={}), SETTINGS)

    assert [row["in_hand"] for row in status["lanes"]] == [None, None, 0], "nobody consumes marketing"
    assert status["brake"] == "unknown"
    assert status["unknown"][0].startswith("no worker tells whether its brake is set")


def test_more_wait_than_have_their_turn_before_they_expire() -> None:
    lanes = LANES | {Lane.OTP: (Depth(5000, 2), Depth(0, 2)), Lane.NOTIFY: (Depth(0, 1), Depth(0, 1))}
    otp, notify, marketing = summary(Found(lanes, {}, GRANTED), SETTINGS)["lanes"]

    assert (otp["lifetime_s"], otp["expiring"]) == (300, 5000 - 300 * 10)
    assert (notify["expiring"], marketing["expiring"]) == (None, None), "nothing waits, nobody serves"


@pytest.mark.parametrize(
    ("braked", "word"), [((None, None), "released"), ((None, "why"), "set")], ids=["none of them", "one of them"]
)
def test_the_brake_is_set_when_one_worker_has_it_set(braked: tuple[str | None, ...], word: str) -> None:
    workers = {str(pid): Standing(braked=why, host="h", pid=pid) for pid, why in enumerate(braked)}
    status = summary(Found(granted=GRANTED, workers=workers), SETTINGS)

    assert status["brake"] == word
    assert [(row["pid"], row["braked"]) for row in status["workers"]] == list(enumerate(braked))


def test_a_queue_that_does_not_exist_leaves_the_others_known() -> None:
    lanes = LANES | {Lane.OTP: (Depth(3, 1), None)}
    otp, notify, _ = summary(Found(lanes, {}, GRANTED, workers=WORKERS), SETTINGS)["lanes"]

    assert (otp["waiting"], otp["due"], otp["due_workers"], otp["workers"], otp["eta_s"]) == (None, None, None, 1, None)
    assert notify["waiting"] == 95


def test_a_delay_queue_tells_how_long_what_it_holds_waits_at_most() -> None:
    queues = dict.fromkeys(Topology().delay_queues(), Depth(0, 0))
    assert summary(Found({}, queues, GRANTED), SETTINGS)["delayed"] == {
        "messages": 0,
        "next_due_within_s": None,
        "all_due_within_s": None,
        "by_queue": [],
    }
    queues |= {"sms.delay.02": Depth(5, 0), "sms.delay.500ms": Depth(2, 0)}

    assert summary(Found({}, queues, GRANTED), SETTINGS)["delayed"] == {
        "messages": 7,
        "next_due_within_s": pytest.approx(0.938),
        "all_due_within_s": pytest.approx(7.938),
        "by_queue": [
            {"queue": "sms.delay.02", "messages": 5, "due_within_s": pytest.approx(7.938)},
            {"queue": "sms.delay.500ms", "messages": 2, "due_within_s": pytest.approx(0.938)},
        ],
    }
    del queues["sms.delay.03"]
    assert summary(Found({}, queues, GRANTED), SETTINGS)["delayed"]["messages"] is None


def test_who_did_not_answer_is_told_with_what_is_not_known_for_it() -> None:
    status = summary(Found(faults=["Redis cannot be reached", "RabbitMQ cannot be reached"]), SETTINGS)

    assert [status[key] for key in ("lanes", "delayed", "queues", "holds", "workers")] == [None] * 5
    assert (status["account"], status["brake"]) == ("unknown", "unknown")
    assert [sentence.split(" nobody")[0] for sentence in status["unknown"]] == ["without RabbitMQ", "without Redis"]


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


IS_SET = "SendMessageToGlobe is set to 40 until it is reset: see sms-worker limits show."


@pytest.mark.parametrize(
    ("shared", "is_set", "told"),
    [
        (100, False, []),
        (None, False, []),
        (
            50,
            False,
            ["Workers send SendMessageToGlobe with a quota of 50, the configuration here says 100: is it theirs?"],
        ),
        (40, True, [IS_SET]),
        (100, True, [IS_SET, "No call of SendMessageToGlobe was granted since."]),
        (
            50,
            True,
            [
                IS_SET,
                "Workers send SendMessageToGlobe with a quota of 50, the configuration here says 100: is it theirs?",
            ],
        ),
    ],
)
def test_a_quota_that_workers_do_not_share_is_explained(shared: int | None, is_set: bool, told: list[str]) -> None:
    limits = seen(*[Override("quota.send_message_to_globe", 40, "Ada", NOW_US)] * is_set)
    found = Found(LANES, {}, GRANTED, shared={Operation.GLOBE: Shared(shared, 0.0)}, limits=limits)

    assert [*explained(summary(found, SETTINGS)["quota"][0])] == told
