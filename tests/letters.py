"""A dead letter as a test wants it; what it does not name is valid."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from worker.broker.letter import Letter
from worker.core.message.history import History, HistoryEntry
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass

DIED = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NUMBER = "85251234567"
LETTER = Letter(
    error_class=ErrorClass.UNKNOWN,
    position=7,
    request_id="r-1",
    code="local.timeout",
    reason="No answer came in time.",
    remedy="Look first.",
    died=DIED,
    lane=Lane.NOTIFY,
    history=History(
        published=DIED, first_tried=DIED, attempts=2, entries=(HistoryEntry(DIED, "local.timeout", "unknown"),)
    ),
    deliveries=3,
    routing_key="unknown",
    body=orjson.dumps({"id": "r-1", "to": NUMBER, "text": "Your code is 4711"}),
    headers={"x-sms-code": "local.timeout", "x-sms-history": "[]", "phone": NUMBER, "x-delivery-count": 3},
    type="sms.request.v1",
    content_type="application/json",
    content_encoding=None,
    timestamp=DIED,
)


def make_letter(**changes: Any) -> Letter:
    return replace(LETTER, **changes)
