from collections.abc import Mapping
from datetime import timedelta

import pytest

from tests.makers import NOW, make_failed
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Accepted, Closed, Early, Outcome, Unserved
from worker.core.plan import MOST_OVERTAKING, is_certain, is_due_next, lane_for, lease


@pytest.mark.parametrize(
    ("slot_lane", "floor", "waiting", "taker"),
    [
        (Lane.MARKETING, False, {Lane.OTP: 1, Lane.MARKETING: 5}, Lane.OTP),
        (Lane.MARKETING, True, {Lane.OTP: 1, Lane.MARKETING: 5}, Lane.MARKETING),
        (Lane.MARKETING, True, {Lane.OTP: 1, Lane.MARKETING: 0}, Lane.OTP),
        (Lane.OTP, False, {Lane.NOTIFY: 2, Lane.MARKETING: 9}, Lane.NOTIFY),
        (Lane.OTP, False, {Lane.OTP: 0, Lane.NOTIFY: 0}, None),
        (Lane.NOTIFY, True, {}, None),
    ],
)
def test_a_slot_goes_to_the_most_urgent_lane_unless_it_is_a_guaranteed_share(
    slot_lane: Lane, floor: bool, waiting: Mapping[Lane, int], taker: Lane | None
) -> None:
    assert lane_for(slot_lane, waiting, floor=floor) is taker


@pytest.mark.parametrize(
    ("rate", "unbooked", "slots"),
    [(2000, 500, 40), (2000, 7, 7), (30, 500, 1), (1, 500, 1), (0, 500, 64), (0, 3, 3), (30, 0, 1)],
)
def test_a_lease_is_a_moment_of_quota_and_never_more_than_waits(rate: int, unbooked: int, slots: int) -> None:
    assert lease(rate, unbooked) == slots


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Accepted("m", "r", 1), False),
        (Closed("otp 1 per 30 s", timedelta(0)), True),
        (Early(NOW), True),
        (Unserved("the worker is draining"), True),
        (make_failed("local.not_reached"), True),
        (make_failed("local.expired"), True),
        (make_failed("local.timeout"), False),
        (make_failed("local.connection_cut"), False),
        (make_failed("local.unreadable"), False),
        (make_failed("A_CODE_OF_TOMORROW"), False),
        (make_failed("SYSTEM_ERROR"), True),
        (make_failed("QPS_LIMIT_CONTROL"), True),
        (make_failed("AMOUNT_NOT_ENOUGH"), True),
        (make_failed("FREQUENCY_LIMIT_DAY"), True),
        (make_failed("SMS_CONTENT_ILLEGAL"), True),
    ],
)
def test_a_window_gets_its_count_back_only_when_certainly_nothing_was_sent(outcome: Outcome, expected: bool) -> None:
    assert is_certain(outcome) is expected


@pytest.mark.parametrize(
    ("due", "others", "overtook", "expected"),
    [
        (1, 0, 0, True),
        (1, 5, 0, True),
        (1, 5, MOST_OVERTAKING - 1, True),
        (1, 5, MOST_OVERTAKING, False),
        (1, 0, MOST_OVERTAKING, True),
        (0, 5, 0, False),
    ],
)
def test_what_is_due_goes_first_but_keeps_nobody_out_for_ever(
    due: int,
    others: int,
    overtook: int,
    expected: bool,
) -> None:
    assert is_due_next(due, others, overtook) is expected
