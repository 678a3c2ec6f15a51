"""Who goes together in a batch call, and when a call is worth it."""

from datetime import timedelta
from typing import Any

import pytest

from tests.makers import MAINLAND, NOW, make_request
from worker.core.batch import (
    BatchKey,
    Group,
    Likeness,
    Member,
    batch_key,
    fewest,
    fill,
    likeness_of,
    rounded_validity_s,
    worthy,
)
from worker.core.message.history import History
from worker.core.message.lane import Lane, SmsType

SHOP: dict[str, Any] = {"from": "Shop"}
ANY = Likeness("Shop", "852", 1)


def key(name: str) -> BatchKey:
    return BatchKey(SmsType.MKT, name, None, 1000)


def members(*numbers: str, size: int = 10, likeness: Likeness = ANY) -> list[Member]:
    return [Member(number, size, likeness) for number in numbers]


def test_what_the_call_has_one_value_for_is_the_key() -> None:
    request = make_request(Lane.MARKETING, **SHOP, task_id="t")

    assert batch_key(request, 259_200) == BatchKey(SmsType.MKT, "Shop", "t", 200_000)
    assert batch_key(make_request(Lane.NOTIFY), 4.9) == BatchKey(SmsType.NOTIFY, None, None, 2)


@pytest.mark.parametrize(
    "request_",
    [
        make_request(Lane.OTP),
        make_request(Lane.NOTIFY, to=f"+{MAINLAND}", text=..., template={"code": "SMS_1", "params": {}}, **SHOP),
        make_request(Lane.MARKETING, history=History(published=NOW, retries=1)),
        make_request(Lane.MARKETING, history=History(published=NOW, unknowns=1)),
    ],
    ids=["a one-time password", "a template", "tried before", "an unknown call behind it"],
)
def test_what_needs_an_outcome_of_its_own_goes_alone(request_: object) -> None:
    assert batch_key(request_, 1000) is None  # type: ignore[arg-type]  # all are requests


def test_what_is_of_no_use_for_a_second_goes_alone() -> None:
    assert batch_key(make_request(Lane.MARKETING), 0.9) is None


@pytest.mark.parametrize(
    ("left_s", "rounded"), [(1, 1), (2, 2), (4, 2), (5, 5), (9, 5), (10, 10), (19, 10), (20, 20), (999_999, 500_000)]
)
def test_validity_is_rounded_down_to_few_values(left_s: float, rounded: int) -> None:
    assert rounded_validity_s(left_s) == rounded


@pytest.mark.parametrize(("rate", "expected"), [(1, 2), (8, 2), (30, 7), (300, 75), (2000, 500), (4000, 500), (0, 500)])
def test_as_many_must_wait_as_singles_send_in_a_quarter_of_a_second(rate: int, expected: int) -> None:
    assert fewest(rate) == expected


def test_a_key_with_too_few_is_left_to_the_singles() -> None:
    assert worthy({key("a"): Group(6, 60.0, 3600.0)}, 30, 200) == []
    assert worthy({key("a"): Group(7, 0.0, 3600.0)}, 30, 200) == [key("a")]


def test_a_key_that_singles_would_send_too_late_is_worth_a_call() -> None:
    assert worthy({key("a"): Group(6, 1.0, 2.1)}, 30, 200) == [key("a")]
    assert worthy({key("a"): Group(6, 1.0, 2.3)}, 30, 200) == []
    assert worthy({key("a"): Group(1, 1.0, 0.5)}, 30, 200) == []


def test_the_best_key_has_many_and_waited_long_and_more_than_a_call_takes_does_not_count() -> None:
    groups = {
        key("huge"): Group(10_000, 1.0, 3600.0),
        key("old"): Group(20, 5.0, 3600.0),
        key("large"): Group(150, 2.0, 3600.0),
    }

    assert worthy(groups, 30, 200) == [key("large"), key("old"), key("huge")]


def test_no_number_goes_twice_in_a_call() -> None:
    assert list(fill(members("1", "2", "1", "3"), 10, 1000, lambda _: 1000)) == [0, 1, 3]


def test_a_call_takes_no_more_members_and_no_more_bytes_than_it_may() -> None:
    assert list(fill(members("1", "2", "3"), 2, 1000, lambda _: 1000)) == [0, 1]
    mixed = [*members("1"), *members("2", size=95), *members("3", size=80), *members("4")]
    assert list(fill(mixed, 10, 100, lambda _: 1000)) == [0, 2, 3]


def test_a_new_likeness_has_few_members_and_others_go_on() -> None:
    other = Likeness("Shop", "65", 1)
    mixed = [*members(*map(str, range(20))), *members("x", "y", likeness=other)]
    chosen = list(fill(mixed, 1000, 10_000, lambda likeness: 3 if likeness == ANY else 1000))

    assert chosen == [0, 1, 2, 20, 21]


def test_texts_that_differ_by_digits_are_alike_and_others_are_not() -> None:
    one, same, other, abroad = (
        likeness_of(make_request(Lane.MARKETING, text=text, to=to))
        for text, to in (
            ("Order 4711 has left", "+85251234567"),
            ("Order 99 has left", "+85251234568"),
            ("Your order has left", "+85251234567"),
            ("Order 4711 has left", "+6591234567"),
        )
    )

    assert one == same
    assert len({one, other, abroad}) == 3


def test_the_key_follows_the_time_that_is_left() -> None:
    request = make_request(Lane.NOTIFY, deadline=NOW + timedelta(seconds=90))
    found = batch_key(request, (request.deadline - NOW).total_seconds())

    assert found is not None
    assert found.validity_s == 50
