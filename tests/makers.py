"""Small factories of the core's values; what a test does not name is valid and of no interest to it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from worker.core.decision.policy import Backoff, RetryPolicy
from worker.core.message.decode import RawMessage, Request
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE, SmsRequest
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import ErrorClass, Failed, Fault, Reply, Row, Scope, Table

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NUMBER = "85251234567"
MAINLAND = "8613800138000"
LIFETIMES = {Lane.OTP: timedelta(minutes=5), Lane.NOTIFY: timedelta(hours=24), Lane.MARKETING: timedelta(hours=72)}
POLICY = RetryPolicy(Backoff(first=timedelta(seconds=5), ceiling=timedelta(minutes=10)), resends={Lane.OTP: 1})


def make_fields(lane: Lane = Lane.OTP, **changes: Any) -> dict[str, Any]:
    """The fields of a request's body; a field changed to `...` is left out."""
    fields = {"id": "r-1", "to": f"+{NUMBER}", "type": lane.sms_type.value, "text": "Your code is 4711"} | changes
    return {name: value for name, value in fields.items() if value is not ...}


def make_raw(lane: Lane = Lane.OTP, *, headers: Mapping[str, Any] | None = None, **changes: Any) -> RawMessage:
    """A message as the broker delivers it; *changes* are fields of its body."""
    body = orjson.dumps(make_fields(lane, **changes))
    return RawMessage(body, lane, headers or {}, type=MESSAGE_TYPE, content_type="application/json")


def make_request(
    lane: Lane = Lane.OTP, *, deadline: datetime | None = None, history: History | None = None, **changes: Any
) -> Request:
    """A request that was published at `NOW`; *changes* are fields of its body."""
    sms = SmsRequest.model_validate_json(orjson.dumps(make_fields(lane, **changes)))
    return Request(sms, lane, history or History(published=NOW), deadline or NOW + LIFETIMES[lane])


def make_failed(code: str, *, gateway: bool = False, retry_after: timedelta | None = None) -> Failed:
    """The outcome of a call that was answered with *code*, or of one of this program's own codes."""
    if code.startswith("local."):
        uncalled = {Fault.NOT_REACHED.value, "local.expired", "local.early", "local.window"}
        return catalog().failed(code, called=code not in uncalled)
    outcome = catalog().classify(Reply(200, code, from_gateway=gateway, retry_after=retry_after))
    if not isinstance(outcome, Failed):
        raise TypeError(f"{code} is no failure")
    return outcome


def make_row(error_class: ErrorClass, *, scope: Scope = Scope.REQUEST, code: str = "SOME_CODE") -> Row:
    """A row that no catalogue has."""
    return Row(Table.API, code, error_class, scope, "What happened.", "What to do.")
