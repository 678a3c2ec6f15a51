"""Which dead letters are chosen, and what is shown of one."""

import base64
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.letters import DIED, LETTER, NUMBER, make_letter
from worker.cli.output import dumped
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.operator.letters import Filter, detail, grouped, lines_of, summary


@pytest.mark.parametrize(
    ("chosen", "is_chosen"),
    [
        (Filter(), True),
        (Filter(frozenset({"r-1", "r-2"})), True),
        (Filter(frozenset({"r-2"})), False),
        (Filter(code="local.timeout"), True),
        (Filter(code="OK"), False),
        (Filter(lane=Lane.NOTIFY), True),
        (Filter(lane=Lane.OTP), False),
        (Filter(frozenset({"r-1"}), "OK", Lane.NOTIFY), False),
    ],
)
def test_a_letter_is_chosen_when_every_condition_holds(chosen: Filter, is_chosen: bool) -> None:
    assert chosen(LETTER) is is_chosen


def test_only_a_filter_without_conditions_is_open() -> None:
    assert Filter().is_open
    assert not any(one.is_open for one in (Filter(frozenset({"a"})), Filter(code="a"), Filter(lane=Lane.OTP)))


def test_ids_that_nobody_had_are_told() -> None:
    assert Filter(frozenset({"r-1", "r-3", "r-2"})).missed([LETTER]) == ["r-2", "r-3"]


def test_groups_count_letters_by_code_the_most_frequent_first_and_those_that_nobody_looked_at() -> None:
    later = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
    letters = [make_letter(code="A"), make_letter(code=None, remedy=None), make_letter(code="A", died=later)]
    rows = grouped(ErrorClass.UNKNOWN, 10, letters)

    assert [(row["code"], row["letters"], row["looked_at"]) for row in rows] == [
        ("A", 2, True),
        (None, 1, True),
        (None, 7, False),
    ]
    assert (rows[0]["oldest"], rows[0]["newest"], rows[0]["remedy"]) == (DIED, later, "Look first.")
    assert sum(row["letters"] for row in rows) == 10


def test_a_letter_without_a_remedy_gets_the_catalogues() -> None:
    (row,) = grouped(ErrorClass.RECIPIENT, 1, [make_letter(code="MOBILE_NUMBER_ILLEGAL", remedy=None)])

    assert "phone number" in row["remedy"]


@pytest.mark.parametrize("shown", [summary(LETTER), detail(LETTER, body=False), lines_of(detail(LETTER, body=False))])
def test_numbers_and_texts_are_not_shown_unless_asked_for(shown: Any) -> None:
    text = dumped(shown).decode()

    assert NUMBER not in text
    assert "4711" not in text


def test_the_body_and_its_publishers_headers_are_shown_when_asked_for() -> None:
    shown = detail(LETTER, body=True)

    assert orjson.loads(shown["body"])["to"] == NUMBER
    assert shown["publishers_headers"] == {"phone": NUMBER}
    assert shown["headers"] == {"x-sms-code": "local.timeout", "x-delivery-count": 3}


def test_a_body_that_is_no_text_is_kept_byte_by_byte() -> None:
    shown = detail(make_letter(body=b"\xff\x00"), body=True)

    assert base64.b64decode(shown["body_base64"]) == b"\xff\x00"
    assert "body" not in shown


def test_a_history_is_told_line_by_line() -> None:
    rows = {row["field"]: row["value"] for row in lines_of(detail(LETTER, body=False))}

    assert rows["history"] == ("2026-11-23 12:00:00Z unknown local.timeout",)
    assert rows["headers"] == ("x-sms-code: local.timeout", "x-delivery-count: 3")
    assert rows["publishers headers"] == "phone"
