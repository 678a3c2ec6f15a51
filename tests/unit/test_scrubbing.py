"""Numbers and texts of people do not leave the process, even when a bug hands them to telemetry."""

import io
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Reply
from worker.errors import LimiterUnavailable
from worker.settings.sections import LogSettings, SentrySettings
from worker.telemetry.open import Observed, open_telemetry
from worker.telemetry.scrubbing import scrub, scrub_text
from worker.telemetry.sentry import Allowance, Reporter
from worker.telemetry.telemetry import Telemetry
from worker.telemetry.trace import told, trace

NUMBER = "85251234567"
TEXT = "Votre code est 4711, ne le dites pas"


class Kept(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.envelopes: list[bytes] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope.serialize())

    def event(self, index: int = -1) -> dict[str, Any]:
        event: dict[str, Any] = orjson.loads(self.envelopes[index].splitlines()[-1])
        return event


@pytest.fixture
def transport() -> Kept:
    return Kept()


@pytest.fixture
def lines() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def observed(transport: Kept, lines: io.BytesIO) -> Observed:
    sentry = SentrySettings(dsn=SecretStr("https://key@sentry.test/1"))
    return open_telemetry(
        LogSettings(level="debug"), sentry, catalog(), "1.0", stream=lines, transport=transport, strict=True
    )


def call(number: str, text: str) -> None:
    """Fail with a message, a cause, a note and local variables that hold *number* and *text*."""
    try:
        {number: text}[f"+{number}{text}"]
    except KeyError as cause:
        error = ValueError(f"cannot send {text} to {number}")
        error.add_note(f"while calling {number}: {text}")
        raise error from cause


def raised(number: str, text: str) -> Exception:
    with pytest.raises(ValueError, match=number) as caught:
        call(number, text)
    return caught.value


# -- Sentry


def test_no_envelope_holds_a_number_or_a_text(observed: Observed, transport: Kept, lines: io.BytesIO) -> None:
    observed.events.emit("pipeline.failed", error_id="e" * 32, exception="ValueError", error=raised(NUMBER, TEXT))
    observed.events.emit("provider.unlisted_code", code=f"NEW_{NUMBER}")
    observed.events.emit("hold.set", code="AMOUNT_NOT_ENOUGH", remedy=f"Call +{NUMBER}")
    observed.close()

    assert len(transport.envelopes) == 3
    for told_bytes in (*transport.envelopes, lines.getvalue()):
        assert NUMBER.encode() not in told_bytes
        assert b"4711" not in told_bytes
        assert b"Votre" not in told_bytes


def test_an_internal_error_says_where_it_was_raised_and_what_to_do(observed: Observed, transport: Kept) -> None:
    observed.events.emit("pipeline.failed", error_id="e" * 32, exception="ValueError", error=raised(NUMBER, TEXT))
    event = transport.event()
    kinds = [each["type"] for each in event["exception"]["values"]]
    frame = event["exception"]["values"][-1]["stacktrace"]["frames"][-1]

    assert kinds == ["KeyError", "ValueError"]
    assert ("call", {"filename", "function", "module", "lineno", "in_app"}) == (frame["function"], set(frame))
    assert event["extra"]["remedy"] == catalog().local("local.internal").remedy
    assert event["extra"]["error_id"] == "e" * 32
    assert event["fingerprint"][:2] == ["pipeline.failed", "ValueError"]
    assert {"server_name", "user", "request", "breadcrumbs", "modules"}.isdisjoint(event)


def test_a_hold_and_an_unlisted_code_carry_the_remedy(observed: Observed, transport: Kept) -> None:
    observed.events.emit("hold.set", scope="account", subject=None, code="AMOUNT_NOT_ENOUGH", remedy="Top up.")
    observed.events.emit("provider.unlisted_code", code="BRAND_NEW")
    observed.events.emit("hold.set", scope="sender", subject="ACME", code="INVALID_SENDERID", remedy="Ask.")
    observed.events.emit("hold.set", scope="sender", subject=NUMBER, code="SENDERID_BLACKLISTED", remedy="Ask.")

    tags = [transport.event(index)["tags"] for index in (0, 2, 3)]
    assert [(each["scope"], each.get("subject")) for each in tags] == [
        ("account", None),
        ("sender", "ACME"),
        ("sender", "*******"),
    ]
    assert transport.event(0)["extra"]["remedy"] == "Top up."
    assert transport.event(0)["fingerprint"] == ["hold.set", "AMOUNT_NOT_ENOUGH"]
    assert transport.event(1)["tags"]["code"] == "BRAND_NEW"
    assert transport.event(1)["extra"]["remedy"] == catalog().local("local.unlisted").remedy


def test_only_what_a_person_must_look_at_is_reported(observed: Observed, transport: Kept) -> None:
    observed.events.emit("broker.lost", role="consume", kind="ConnectionError")
    observed.events.emit("delivery.settled", lane="otp", disposition="dead", error_class="content")
    observed.events.emit("limiter.unavailable", kind="TimeoutError")

    assert transport.envelopes == []


def test_what_another_library_adds_to_a_report_is_dropped(transport: Kept) -> None:
    reporter = Reporter(SentrySettings(), catalog(), "1.0", transport=transport)
    reporter._client.capture_event(
        {
            "message": f"to {NUMBER}",
            "breadcrumbs": {"values": [{"message": TEXT}]},
            "contexts": {"runtime": {"name": NUMBER}, "message": {"text": TEXT}},
            "user": {"id": NUMBER},
            "logentry": {"message": TEXT},
            "extra": {NUMBER: [int(NUMBER), {"text": f"+{NUMBER}"}]},
        },
    )

    assert NUMBER.encode() not in transport.envelopes[0]
    assert TEXT.encode() not in transport.envelopes[0]


def test_a_flood_of_one_kind_is_one_report_a_minute(transport: Kept) -> None:
    instants = iter((0.0, 0.0, 1.0, 59.0, 61.0, 62.0))
    reporter = Reporter(SentrySettings(), catalog(), "1.0", transport=transport, clock=lambda: next(instants))
    telemetry = Telemetry({"sentry": reporter}, strict=True)
    telemetry.emit("hold.set", code="OUT_OF_SERVICE", remedy="Ask.")
    for _ in range(5):
        telemetry.emit("hold.set", code="AMOUNT_NOT_ENOUGH", remedy="Top up.")

    assert len(transport.envelopes) == 3


def test_ever_new_kinds_are_bounded_too() -> None:
    allowance = Allowance()

    assert sum(allowance.take(f"code {number}", 0.0) for number in range(1000)) == allowance.kinds
    assert allowance.take("code 1000", 60.0)


def test_without_a_dsn_nothing_is_reported() -> None:
    assert open_telemetry(LogSettings(), SentrySettings(), catalog(), "1.0", stream=io.BytesIO()).reporter is None


# -- the net


@given(st.from_regex(r"\+?[1-9][0-9]{6,14}", fullmatch=True), st.text(), st.text())
def test_a_number_is_masked_wherever_it_stands(number: str, before: str, after: str) -> None:
    text = f"{before} {number} {after}"

    assert number not in scrub_text(text)


BETWEEN = ["", " ", "-", ".", "/", ") ", " (", "\u00a0", "\u2011", " \u2013 ", "\u200e", "\u202d", "_", "\u2009", "\n"]
#: What is left alone: instants, UUIDs, our own identifiers, addresses of machines.
INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2099, 12, 31)).map(datetime.isoformat)  # noqa: DTZ001 - zones follow
INSTANTS |= st.datetimes(datetime(1900, 1, 1), datetime(2099, 12, 31), timezones=st.timezones()).map(str)  # noqa: DTZ001 - made so
MACHINES = st.tuples(st.ip_addresses(v=4), st.integers(1, 65_535)).map(lambda pair: f"{pair[0]}:{pair[1]}")
HARMLESS = st.one_of(INSTANTS, st.uuids().map(str), st.uuids().map(lambda one: one.hex), MACHINES)
OURS = re.compile(r"(?:19|20)\d\d-\d\d-\d\d|\d+\.\d+\.\d+\.\d+|[0-9a-f]{8}-[0-9a-f]{4}-")


@given(st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True), st.data())
def test_a_number_is_masked_with_whatever_people_write_between_its_digits(number: str, data: st.DataObject) -> None:
    between = data.draw(st.lists(st.sampled_from(BETWEEN), min_size=len(number), max_size=len(number)))
    written = "".join(map(str.__add__, number, [*between[1:], ""]))
    assume(not OURS.search(written))

    assert scrub_text(f"to {written}, please") == "to *******, please"


@pytest.mark.parametrize(
    "number",
    [
        *("852-5123-4567", "852 5123 4567", "(852) 5123.4567", "+852/5123 4567", "+44 (0) 20 7946 0958"),
        *("0852.51.23.45", "06 12 34 56 78", "+1 (555) 010-9999", "555-0199 x"),
        *("8 5 2 5 1 2 3 4 5 6 7", "852\u20115123\u20114567"),
    ],
)
def test_a_number_as_people_write_it_is_masked(number: str) -> None:
    assert not re.search(r"\d{2}", scrub_text(f"cannot send to {number}: try again").replace("x", ""))


@given(HARMLESS, HARMLESS)
def test_instants_identifiers_and_addresses_of_machines_stay_readable(one: str, other: str) -> None:
    text = f"at {one}, then [{other}]"

    assert scrub_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "RabbitMQ 3.10.8 at 127.0.0.1:5672: [Errno 111] Connect call failed ('127.0.0.1', 5672)",
        "only the oldest 1000 of 15000 letters were looked at",
        "Python 3.11.7, aiormq 7.2.4, pid 12345, 0.1234 s, -12.5 s, 86400 s",
        "took 1.5 s of 30 s, 3 of 200; delivered 20 times",
        "sms.delay.00 to sms.delay.21, x-delivery-limit 20, 2^21 s",
        "RequestId 51936C68-B0E8-6615-7DDA-1E850A48AE3E at 2026-11-23 20:39:01,123",
    ],
)
def test_our_own_sentences_stay_readable(text: str) -> None:
    assert scrub_text(text) == text


anything = st.recursive(
    st.none() | st.text() | st.integers() | st.floats(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    max_leaves=10,
)


@given(anything)
def test_scrubbing_takes_anything_and_is_done_in_one_go(value: Any) -> None:
    once = scrub(value)

    assert repr(scrub(once)) == repr(once)


@pytest.mark.parametrize("text", ["", "at 2026-11-23T20:39:01.123", "127.0.0.1:5672", "0123456789abcdef" * 2, "123456"])
def test_what_is_no_number_is_left_alone(text: str) -> None:
    assert text == scrub_text(text)


@pytest.mark.parametrize("hidden", [NUMBER, f"+{NUMBER}", f"x{NUMBER}y", "٠١٢٣٤٥٦٧٨", f"{NUMBER}" * 4])
def test_a_number_is_masked_in_any_disguise(hidden: str) -> None:
    assert hidden not in scrub_text(f"to {hidden}!")


@pytest.mark.parametrize("make", [object, lambda: raised(NUMBER, TEXT), lambda: SecretStr(NUMBER)])
def test_an_object_is_told_by_its_type(make: Callable[[], object]) -> None:
    assert NUMBER not in repr(scrub({"value": make()}))


def test_a_value_of_ours_is_told_by_its_type_though_it_is_a_tuple() -> None:
    reply = Reply(200, "OK", message_id=TEXT)

    assert scrub({"value": reply, "values": [reply]}) == {"value": "Reply", "values": ["Reply"]}
    assert scrub((1, "two")) == [1, "two"]


def test_an_exception_is_told_without_its_text() -> None:
    shown = "\n".join(trace(raised(NUMBER, TEXT)))

    assert shown.startswith("ValueError\n  ")
    assert "\nKeyError\n" in shown
    assert NUMBER not in shown
    assert TEXT not in shown


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "ConnectionRefusedError: [Errno 111] Connection refused"),
        (LimiterUnavailable("Redis does not answer"), "LimiterUnavailable: Redis does not answer"),
        (TimeoutError(), "TimeoutError"),
        (RuntimeError(TEXT), "RuntimeError"),
    ],
)
def test_only_harmless_exceptions_keep_their_text(error: Exception, shown: str) -> None:
    assert shown == told(error)
