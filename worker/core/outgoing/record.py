"""The closing record of a delivery: what its one log line and its metrics are made of."""

from datetime import datetime
from typing import Any, Final, assert_never

from worker.core.message.decode import Malformed, Request
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.outcome.disposition import Dead, Disposition, Done, Requeue, Retry, Withdrawn
from worker.core.outcome.outcome import Accepted, ErrorClass, Failed

_ACCEPTED: Final = ErrorClass.ACCEPTED.value


def call_fields(outcome: Accepted | Failed) -> dict[str, str]:
    """The code and class of one call, as ``provider.called`` tells them."""
    if isinstance(outcome, Accepted):
        return {"code": "OK", "error_class": _ACCEPTED}
    return {"code": outcome.code, "error_class": outcome.row.error_class.value}


def closing_fields(
    request: Request | Malformed, lane: Lane, disposition: Disposition, received: datetime, settled: datetime
) -> dict[str, Any]:
    """The fields of ``delivery.settled``; they hold the publisher's request id, never a number or a text."""
    fields: dict[str, Any] = {"lane": lane.value, "total_s": (settled - received).total_seconds()}
    if isinstance(request, Malformed):
        fields["request_id"] = request.request_id
    else:
        fields["request_id"] = request.sms.id
        if request.history.published is not None:
            fields["queued_s"] = (received - request.history.published).total_seconds()
    return fields | _of_disposition(disposition)


def _of_disposition(disposition: Disposition) -> dict[str, Any]:
    match disposition:
        case Done(accepted, history, repeated):
            return {
                "disposition": "done",
                "error_class": _ACCEPTED,
                "code": "OK",
                "attempt": history.attempts,
                "message_id": accepted.message_id,
                "segments": accepted.segments,
            } | _of_ledger(history, repeated=repeated)
        case Withdrawn(reason, history):
            return {
                "disposition": "done",
                "error_class": reason.error_class.value,
                "code": reason.code,
                "attempt": history.attempts,
            }
        case Retry(delay, reason, history):
            return {
                "disposition": "retry",
                "error_class": reason.error_class.value,
                "code": reason.code,
                "attempt": history.attempts,
                "retries": history.retries,
                "delay_s": delay.total_seconds(),
            } | _of_ledger(history)
        case Dead(reason, history):
            return {
                "disposition": "dead",
                "error_class": reason.error_class.value,
                "code": reason.code,
                "attempt": history.attempts,
                "reason": reason.text,
            } | _of_ledger(history)
        case Requeue(reason):
            return {"disposition": "given_back", "reason": reason}
        case _:
            assert_never(disposition)


def _of_ledger(history: History, *, repeated: bool = False) -> dict[str, Any]:
    """Told only when there is something to tell: most requests have no unknown call and are not repeated."""
    unknowns = {"unknowns": history.unknowns} if history.unknowns else {}
    return unknowns | ({"repeated": True} if repeated else {})
