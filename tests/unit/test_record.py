from datetime import timedelta
from typing import Any

import pytest

from tests.makers import NOW, NUMBER, POLICY, make_failed, make_request
from worker.core.decision.decide import decide
from worker.core.message.decode import Malformed
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.outcome.disposition import Dead, Reason
from worker.core.outcome.outcome import Acceptance, Accepted, Cancelled, ErrorClass, Outcome, Sent, Unserved
from worker.core.outgoing.record import call_fields, closing_fields

SETTLED = NOW + timedelta(seconds=4)
RECEIVED = NOW + timedelta(seconds=3)
WHERE = {"lane": "otp", "total_s": 1.0, "request_id": "r-1", "queued_s": 3.0}


@pytest.mark.parametrize(
    ("outcome", "fields"),
    [
        (
            Accepted("M-1", "R-1", 2),
            {"disposition": "done", "error_class": "accepted", "code": "OK", "attempt": 1}
            | {"message_id": "M-1", "segments": 2},
        ),
        (
            make_failed("SYSTEM_ERROR"),
            {"disposition": "retry", "error_class": "transient", "code": "SYSTEM_ERROR", "attempt": 1}
            | {"retries": 1, "delay_s": 2.5},
        ),
        (
            make_failed("MOBILE_NUMBER_ILLEGAL"),
            {"disposition": "dead", "error_class": "recipient", "code": "MOBILE_NUMBER_ILLEGAL", "attempt": 1}
            | {"reason": "The format of the specified mobile phone number is invalid."},
        ),
        (
            make_failed("local.timeout"),
            {"disposition": "retry", "error_class": "unknown", "code": "local.timeout", "attempt": 1}
            | {"retries": 0, "delay_s": 2.5, "unknowns": 1},
        ),
        (
            Sent(Acceptance(Accepted("M-1", "R-1", 2), 1, NOW), 1),
            {"disposition": "done", "error_class": "accepted", "code": "OK", "attempt": 1}
            | {"message_id": "M-1", "segments": 2, "unknowns": 1, "repeated": True},
        ),
        (
            Cancelled(),
            {"disposition": "done", "error_class": "cancelled", "code": "local.cancelled", "attempt": 0},
        ),
        (
            Cancelled(unknowns=1),
            {"disposition": "dead", "error_class": "unknown", "code": "local.cancelled", "attempt": 0}
            | {"reason": "it was cancelled, and an earlier call for it has an unknown outcome", "unknowns": 1},
        ),
        (
            Unserved("the worker is draining"),
            {"disposition": "given_back", "reason": "the worker is draining"},
        ),
    ],
)
def test_the_closing_record_tells_what_became_of_the_request(outcome: Outcome, fields: dict[str, Any]) -> None:
    request = make_request()
    disposition = decide(request, outcome, POLICY, SETTLED, 0.5)

    record = closing_fields(request, Lane.OTP, disposition, RECEIVED, SETTLED)
    assert record == WHERE | fields
    assert NUMBER not in repr(record)
    assert "4711" not in repr(record)


def test_the_closing_record_of_a_malformed_message_has_its_id_when_it_could_be_read() -> None:
    dead = Dead(Reason(ErrorClass.MALFORMED, "local.malformed", "to: missing", "Correct it."), History())

    for request_id in ("r-1", None):
        record = closing_fields(Malformed("to: missing", request_id), Lane.OTP, dead, RECEIVED, SETTLED)
        assert (record["request_id"], record["disposition"], "queued_s" in record) == (request_id, "dead", False)


def test_a_request_without_a_publication_time_tells_no_time_in_the_queue() -> None:
    request = make_request(history=History())
    disposition = decide(request, Unserved("the worker is draining"), POLICY, SETTLED, 0.5)

    assert "queued_s" not in closing_fields(request, Lane.OTP, disposition, RECEIVED, SETTLED)


def test_a_call_is_told_with_its_code_as_it_came_and_its_class() -> None:
    assert call_fields(Accepted("M-1", "R-1", 1)) == {"code": "OK", "error_class": "accepted"}
    assert call_fields(make_failed("Throttling.User", gateway=True)) == {
        "code": "Throttling.User",
        "error_class": "throttled",
    }
