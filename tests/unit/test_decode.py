"""From a delivery to a request, or to a reason that its publisher understands."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.makers import LIFETIMES, NOW, NUMBER, make_fields, make_raw
from worker.core.message.decode import LONGEST_REASON, MOST_BYTES, Malformed, RawMessage, Request, decode
from worker.core.message.history import History
from worker.core.message.lane import Lane


def decoded(raw: RawMessage) -> Request:
    request = decode(raw, LIFETIMES, NOW)
    assert isinstance(request, Request), request
    return request


def refused(raw: RawMessage) -> Malformed:
    malformed = decode(raw, LIFETIMES, NOW)
    assert isinstance(malformed, Malformed)
    return malformed


def test_a_request_is_decoded_with_its_lane_its_history_and_its_deadline() -> None:
    raw = make_raw(headers={"x-sms-attempts": 2, "x-sms-published": "2026-11-23T11:59:00Z"})
    request = decoded(raw)

    published = NOW - timedelta(minutes=1)
    assert (request.sms.id, request.sms.number, request.lane) == ("r-1", NUMBER, Lane.OTP)
    assert request.history == History(published=published, attempts=2)
    assert request.deadline == published + LIFETIMES[Lane.OTP]


@pytest.mark.parametrize("lane", list(Lane))
def test_without_a_deadline_the_lane_gives_one_from_publication(lane: Lane) -> None:
    assert decoded(make_raw(lane)).deadline == NOW + LIFETIMES[lane]


def test_the_lifetime_of_a_scheduled_request_begins_when_it_may_be_sent() -> None:
    request = decoded(make_raw(not_before="2026-11-24T12:00:00Z"))

    assert request.deadline == NOW + timedelta(days=1) + LIFETIMES[Lane.OTP]


def test_a_given_deadline_is_kept_even_when_it_has_passed() -> None:
    assert decoded(make_raw(deadline="2026-11-23T11:00:00Z")).deadline == NOW - timedelta(hours=1)


MINUTE_AGO = NOW - timedelta(minutes=1)
TOMORROW = NOW + timedelta(days=1)


@pytest.mark.parametrize(
    ("header", "timestamp", "published"),
    [
        (None, None, NOW),
        (None, MINUTE_AGO, MINUTE_AGO),
        (None, MINUTE_AGO.replace(tzinfo=None), MINUTE_AGO),
        (None, TOMORROW, NOW),
        (None, datetime(1, 1, 1, tzinfo=UTC), NOW),
        (None, datetime.max.replace(tzinfo=UTC), NOW),
        (MINUTE_AGO, None, MINUTE_AGO),
        (MINUTE_AGO, NOW, MINUTE_AGO),
        # A header from the future would keep a useless request alive for ever.
        (TOMORROW, None, NOW),
        (TOMORROW, MINUTE_AGO, MINUTE_AGO),
    ],
)
def test_the_time_of_publication_is_the_first_that_can_be_believed(
    header: datetime | None, timestamp: datetime | None, published: datetime
) -> None:
    raw = make_raw(headers=History(published=header).to_headers())

    assert decoded(raw._replace(timestamp=timestamp)).history.published == published


@pytest.mark.parametrize(("days", "fits"), [(31, True), (32, False)])
def test_a_schedule_reaches_as_far_as_the_ladder_of_delays(days: int, fits: bool) -> None:
    raw = make_raw(not_before=(NOW + timedelta(days=days)).isoformat())

    if fits:
        decoded(raw)
    else:
        assert refused(raw) == Malformed("not_before: lies more than 31 days ahead", "r-1")


def test_a_type_on_a_foreign_lane_is_refused_with_the_right_one() -> None:
    malformed = refused(make_raw(Lane.MARKETING)._replace(lane=Lane.OTP))

    assert malformed == Malformed("type: MKT does not belong on the lane otp; publish with marketing", "r-1")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"type": None}, "AMQP property type: must be sms.request.v1, got none"),
        ({"type": "sms.outcome.v1"}, "AMQP property type: must be sms.request.v1, got another"),
        (
            {"type": "sms.request.v2"},
            (
                "AMQP property type: must be sms.request.v1, got sms.request.v2: a version that this worker does not "
                "know; upgrade the workers, then replay it"
            ),
        ),
        ({"content_type": "text/plain"}, "content_type"),
        ({"content_encoding": "gzip"}, "content_encoding"),
        ({"headers": {"x-sms-attempts": "many"}}, "header x-sms-attempts"),
    ],
)
def test_a_property_at_fault_is_named_and_the_id_still_told(changes: dict[str, Any], named: str) -> None:
    malformed = refused(make_raw()._replace(**changes))

    assert named in malformed.reason
    assert malformed.request_id == "r-1"


def test_faults_of_properties_and_headers_are_told_together() -> None:
    reason = refused(make_raw(headers={"x-sms-attempts": -1})._replace(type=None, content_type="x")).reason

    assert reason.count("; ") == 2


@pytest.mark.parametrize("changes", [{"content_type": None}, {"content_encoding": "utf-8"}])
def test_what_clients_leave_out_or_add_truthfully_is_no_fault(changes: dict[str, Any]) -> None:
    decoded(make_raw()._replace(**changes))


NOT_REQUESTS: list[bytes] = [
    b"",
    b"\x00",
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf" + orjson.dumps(make_fields()),
    b"null",
    b"7",
    b"[]",
    b'"text"',
    b"NaN",
    b"{",
    b'{"id": "a"',
    b'{"to": 1e400}',
    b'{"to": ' + b"9" * 5000 + b"}",
    b"[" * MOST_BYTES,
    b'{"a":' * 10_000,
    b"[" * 100_000,
    b"x" * 10_000_000,
    orjson.dumps(make_fields(text="SURROGATE")).replace(b"SURROGATE", rb"\ud800"),
    orjson.dumps(make_fields(text="SURROGATE")).replace(b"SURROGATE", b"\xed\xa0\x80"),
    orjson.dumps(make_fields(text="NUL")).replace(b"NUL", b"\x00"),
]


@pytest.mark.parametrize("body", NOT_REQUESTS, ids=range(len(NOT_REQUESTS)))
def test_a_body_that_is_no_request_is_refused_with_a_short_reason(body: bytes) -> None:
    malformed = refused(make_raw()._replace(body=body))

    assert 0 < len(malformed.reason) <= LONGEST_REASON


def test_a_surrogate_pair_in_escapes_is_one_character() -> None:
    raw = make_raw(text="PAIR")

    assert decoded(raw._replace(body=raw.body.replace(b"PAIR", rb"\ud83d\ude00"))).sms.text == "😀"


@pytest.mark.parametrize(
    ("addition", "named"),
    [
        (b',"to":"85251234568"}', "to: given more than once"),
        (rb',"t\u006f":"85251234568"}', "to: given more than once"),
        (b',"metadata":{"a":"1","b":"2","a":"1"}}', "a: given more than once"),
        (b',"to" : "85251234568"}', "to: given more than once"),
        (b',"metadata":{"a":"1","a":"2"},"metadata":{"a":"1"}}', "a: given more than once"),
        (b',"metadata":{"a:a":"1:2","b":"2","a:a":"::"}}', "(a key): given more than once"),
    ],
)
def test_a_key_given_twice_is_refused_because_readers_differ_on_which_counts(addition: bytes, named: str) -> None:
    raw = make_raw()

    assert refused(raw._replace(body=raw.body.removesuffix(b"}") + addition)) == Malformed(named, "r-1")


def test_many_faults_are_counted_and_the_reason_stays_short() -> None:
    many: dict[str, Any] = {f"{'k' * 30}{letter}": 7 for letter in "abcdefghijklmnopqrst"}
    reason = refused(make_raw(**many)).reason

    assert reason.endswith("and 12 more")
    assert len(reason) <= LONGEST_REASON


def test_an_unknown_field_is_named_unless_its_name_may_be_somebodys_number_or_text() -> None:
    for name, shown in [("not_befor", "not_befor"), (NUMBER, "(a key)"), ("Dear Anna", "(a key)"), ("张伟", "(a key)")]:
        unknown: dict[str, Any] = {name: "x"}
        assert refused(make_raw(**unknown)).reason.startswith(f"{shown}: ")


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 129, 7, None, ["r-1"]])
def test_what_is_no_id_is_not_told_as_one(request_id: Any) -> None:
    assert refused(make_raw(id=request_id)).request_id is None
    assert refused(make_raw(id="r-1", to=None)).request_id == "r-1"


def test_the_longest_request_of_all_fits() -> None:
    decoded(
        make_raw(
            id="x" * 128,
            text="验" * 1500,
            task_id="验" * 255,
            metadata={"验" * 62 + f"{number:02d}": "验" * 256 for number in range(16)},
        )
    )


def test_faults_of_properties_body_and_lane_are_told_together() -> None:
    raw = make_raw(Lane.OTP, type="MKT", not_before="2031-01-01T00:00:00Z")._replace(type="other")
    malformed = decode(raw, LIFETIMES, NOW)

    assert isinstance(malformed, Malformed)
    for word in ("AMQP property type", "lane otp", "not_before"):
        assert word in malformed.reason
