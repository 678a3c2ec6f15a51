"""Whatever is published: decoding never raises, and a reason never tells what was written."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.makers import LIFETIMES, MAINLAND, NOW, POLICY, make_failed, make_fields, make_raw
from worker.core.decision.decide import decide, too_soon_or_late
from worker.core.message.decode import LONGEST_REASON, LONGEST_SCHEDULE, Malformed, RawMessage, Request, decode
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE, SmsRequest
from worker.core.message.visible import shows_nothing
from worker.core.outcome.disposition import Dead, Reason
from worker.core.outcome.outcome import ErrorClass
from worker.core.outgoing.envelope import outgoing
from worker.core.topology import Topology

SECRET_TEXT, SECRET_NUMBER = "Zebra-Secret-4711", 918273645546372
FIELDS = [field.alias or name for name, field in SmsRequest.model_fields.items()]
SECRETS = st.sampled_from(
    [
        SECRET_TEXT,
        f"+{SECRET_NUMBER}{SECRET_NUMBER}",
        f"2026-11-23T12:00:00{SECRET_TEXT}",
        SECRET_NUMBER,
        SECRET_NUMBER / 7,
        [SECRET_TEXT, SECRET_NUMBER],
        {SECRET_TEXT: SECRET_TEXT},
        {"code": SECRET_TEXT, "params": {SECRET_TEXT: SECRET_NUMBER}},
        {"code": [SECRET_NUMBER]},
        {"key": SECRET_NUMBER},
        {"key": SECRET_TEXT * 20},
        SECRET_TEXT * 100,
        f"{SECRET_TEXT}\x00",
        None,
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=9), JSON, max_size=8)
HEADERS = st.dictionaries(
    st.sampled_from(["x-sms-attempts", "x-sms-published", "x-sms-first-tried", "x-sms-history", "x-death"]),
    st.none() | st.integers() | st.text(max_size=30) | st.binary(max_size=9) | st.lists(st.text(max_size=3)),
    max_size=3,
)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(timezones=ZONES) | st.sampled_from(
    [
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=23, minutes=59))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=23, minutes=59))),
        NOW,
        NOW + LONGEST_SCHEDULE,
    ]
)


@settings(deadline=None)
@given(body=st.binary() | (BODIES | JSON).map(lambda value: json.dumps(value).encode()))
def test_any_body_becomes_a_request_or_a_reason(body: bytes) -> None:
    message = decode(make_raw()._replace(body=body), LIFETIMES, NOW)

    assert isinstance(message, Request) or 0 < len(message.reason) <= LONGEST_REASON


@settings(deadline=None)
@given(headers=HEADERS, type_=st.none() | st.text(), content_type=st.none() | st.text(), timestamp=st.none() | INSTANTS)
def test_any_properties_become_a_request_or_a_reason(
    headers: dict[str, Any], type_: str | None, content_type: str | None, timestamp: datetime | None
) -> None:
    raw = RawMessage(make_raw().body, Lane.OTP, headers, type_ or MESSAGE_TYPE, content_type, timestamp=timestamp)
    message = decode(raw, LIFETIMES, NOW)

    if isinstance(message, Request):
        assert message.history.published is not None
        assert message.history.published <= NOW
    else:
        assert 0 < len(message.reason) <= LONGEST_REASON


@settings(deadline=None)
@given(secrets=st.dictionaries(st.sampled_from(FIELDS), SECRETS, min_size=1, max_size=4), mainland=st.booleans())
def test_a_reason_never_quotes_a_value(secrets: dict[str, Any], mainland: bool) -> None:
    message = decode(make_raw(**({"to": MAINLAND} if mainland else {}) | secrets), LIFETIMES, NOW)

    if isinstance(message, Malformed):
        for secret in (SECRET_TEXT, str(SECRET_NUMBER), "Zebra", "918273"):
            assert secret not in message.reason


@settings(deadline=None)
@given(field=st.sampled_from(FIELDS))
def test_a_field_of_a_wrong_type_is_named(field: str) -> None:
    changes: dict[str, Any] = {field: [SECRET_TEXT]}
    message = decode(make_raw(**changes), LIFETIMES, NOW)

    assert isinstance(message, Malformed)
    assert message.reason.startswith(f"{field}: ")


@settings(deadline=None)
@given(
    name=st.sampled_from(["attempts", "retries", "unknowns", "replays", "published", "first-tried", "history"]),
    secret=st.sampled_from([SECRET_TEXT, [SECRET_TEXT], str(SECRET_NUMBER), SECRET_NUMBER]),
)
def test_a_reason_names_a_lying_header_and_never_quotes_it(name: str, secret: Any) -> None:
    message = decode(make_raw(headers={f"x-sms-{name}": secret}), LIFETIMES, NOW)

    assert isinstance(message, Malformed)
    assert message.reason.startswith(f"header x-sms-{name}: ")
    assert SECRET_TEXT not in message.reason
    assert str(SECRET_NUMBER) not in message.reason


@settings(deadline=None)
@given(
    instants=st.dictionaries(st.sampled_from(["not_before", "deadline"]), INSTANTS, max_size=2),
    published=st.none() | INSTANTS.map(datetime.isoformat),
    timestamp=st.none() | INSTANTS,
    code=st.sampled_from(
        ["SYSTEM_ERROR", "ALERT_LIMIT_MONTH", "local.timeout", "OUT_OF_SERVICE", "CONTENT_EXCEED_LIMIT"]
    ),
)
def test_no_instant_that_can_be_written_overflows_anything(
    instants: dict[str, datetime], published: str | None, timestamp: datetime | None, code: str
) -> None:
    fields: dict[str, Any] = {name: instant.isoformat() for name, instant in instants.items()}
    raw = make_raw(headers={"x-sms-published": published}, **fields)._replace(timestamp=timestamp)
    request = decode(raw, LIFETIMES, NOW)

    if isinstance(request, Malformed):
        dead = Dead(Reason(ErrorClass.MALFORMED, "local.malformed", request.reason, "Correct it."), History())
        assert outgoing(raw, request, dead, Topology(), NOW) is not None
        return
    too_soon_or_late(request, NOW)
    disposition = decide(request, make_failed(code), POLICY, NOW, 0.5)
    message = outgoing(raw, request, disposition, Topology(), NOW)
    assert message is not None
    again = decode(raw._replace(headers=message.headers, timestamp=None), LIFETIMES, NOW)
    assert isinstance(again, Request)
    assert abs(again.deadline - request.deadline) < timedelta(milliseconds=1)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=64).filter(
    lambda text: not shows_nothing(text)
)


@settings(deadline=None)
@given(
    lane=st.sampled_from(Lane),
    request_id=st.from_regex(r"[A-Za-z0-9._:-]{1,128}", fullmatch=True),
    number=st.from_regex(r"\+?[1-79][0-9]{6,14}", fullmatch=True),
    text=TEXTS,
    task_id=st.none() | TEXTS,
    metadata=st.dictionaries(TEXTS, st.text(st.characters(codec="utf-8"), max_size=32), max_size=4),
)
def test_every_request_that_keeps_the_rules_is_read_as_it_was_written(
    lane: Lane, request_id: str, number: str, text: str, task_id: str | None, metadata: dict[str, str]
) -> None:
    fields = make_fields(lane, id=request_id, to=number, text=text, task_id=task_id, metadata=metadata)
    request = decode(make_raw(lane)._replace(body=orjson.dumps(fields)), LIFETIMES, NOW.astimezone(UTC))

    assert isinstance(request, Request), request
    dumped = request.sms.model_dump(mode="json", by_alias=True)
    assert {name: dumped[name] for name in fields} == fields
