"""What is published for a disposition: body, headers and route, as a value.

A request's body is returned untouched; what happened to it travels in headers ``x-sms-*``.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from worker.core.instant import to_the_millisecond
from worker.core.message.decode import Malformed, RawMessage, Request
from worker.core.message.history import History
from worker.core.message.request import SmsRequest, masked
from worker.core.message.segments import segments
from worker.core.outcome.disposition import Dead, Disposition, Done, Reason, Requeue, Retry, Withdrawn
from worker.core.outcome.outcome import ErrorClass
from worker.core.topology import DELIVERY_LIMIT, Route, Topology

#: AMQP ``type`` of an outcome event.
OUTCOME_TYPE: Final = "sms.outcome.v1"
#: What the names of this program's headers begin with.
_OURS: Final = "x-sms-"
#: How often the message was published anew for having been delivered too often.
_COPIES: Final = "x-sms-copies"
_MOST_COPIES: Final = 20
#: From so many deliveries on, a copy takes the place of a request that is requeued or would wait.
WORN_FROM: Final = DELIVERY_LIMIT // 2
#: RabbitMQ 3.10 drops a message that it believes to be cycling: what it wrote about dead-lettering is never sent on.
_BROKERS_OWN: Final = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
#: Further routing keys for RabbitMQ: each would send a copy of a retry or of a dead letter astray.
_SENDER_SELECTED: Final = frozenset({"CC", "BCC"})
#: One frame of 128 KiB holds all headers; a publisher's own give way before ours would no longer fit.
_MOST_FOREIGN: Final = 32_768
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Outgoing(NamedTuple):
    """A message to publish."""

    route: Route
    body: bytes
    headers: Mapping[str, Any]
    type: str | None
    content_type: str | None
    #: The request id; every publish has a message id of its own besides.
    correlation_id: str | None
    content_encoding: str | None = None


def outgoing(
    raw: RawMessage,
    request: Request | Malformed,
    disposition: Disposition,
    topology: Topology,
    now: datetime,
    *,
    show_numbers: bool = False,
) -> Outgoing | None:
    """What to publish before the delivery is acknowledged; None when it is requeued."""
    match disposition:
        case Requeue():
            return None
        case _ if isinstance(request, Malformed):
            return _malformed(raw, request, disposition, topology, now)
        case Done() | Withdrawn():
            body = orjson.dumps(_event(request, disposition, now, show_numbers=show_numbers))
            return Outgoing(topology.to_done(request.lane), body, {}, OUTCOME_TYPE, "application/json", request.sms.id)
        case Retry(delay, reason, history):
            headers = _headers(raw, history) | _reason_headers(reason)
            return _onward(raw, topology.to_lane_after(delay, request.lane), headers, request.sms.id)
        case Dead(reason, history):
            headers = _headers(raw, history) | _reason_headers(reason) | _death_headers(raw, reason, now)
            headers["x-sms-to"] = masked(request.sms.number)
            return _onward(raw, topology.to_dead(reason.error_class), headers, request.sms.id)


def replayed(raw: RawMessage, request_id: str | None, topology: Topology, history: History) -> Outgoing:
    """The request of a dead letter, back on its lane with *history* and without the reason of its death."""
    return _onward(raw, topology.back_to_lane(raw.lane), _headers(raw, history), request_id)


def is_worn(raw: RawMessage, deliveries: int) -> bool:
    """Whether a request that was delivered so often before should be `returned` rather than wait.

    The broker counts each delivery that ended with its connection, also of a request that only waited, and makes it
    poison in the end; a copy counts from zero. But not for ever: what ends every worker that has it must become poison.
    """
    return deliveries >= WORN_FROM and _copies(raw) < _MOST_COPIES


def returned(raw: RawMessage, topology: Topology, now: datetime) -> Outgoing:
    """The message as it came, at the end of the queue that it came from, as if it had never been delivered.

    Its AMQP timestamp stays behind; what that said of its age goes with it in a header, so that it does not grow young.
    """
    own = {
        key: value
        for key, value in raw.headers.items()
        if key not in _SENDER_SELECTED and not key.startswith(_BROKERS_OWN)
    }
    is_sane = raw.timestamp is not None and _EPOCH < raw.timestamp <= now
    age = History(raw.timestamp if is_sane else now).to_headers()
    counted = {_COPIES: min(_copies(raw) + 1, _MOST_COPIES)}
    route = topology.to_due(raw.lane) if raw.due else topology.back_to_lane(raw.lane)
    return _onward(raw, route, age | own | counted, None)


def _copies(raw: RawMessage) -> int:
    count = raw.headers.get(_COPIES)
    return count if type(count) is int and count > 0 else 0


def without_ours(headers: Mapping[str, Any]) -> dict[str, Any]:
    """*headers* without those that only this program may write: where a publisher can have written them, they lie."""
    return {key: value for key, value in headers.items() if not key.startswith(_OURS)}


def foreign_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The publisher's own headers: neither ours nor what the broker wrote or would act on."""
    own = {
        key: value
        for key, value in headers.items()
        if key not in _SENDER_SELECTED and not key.startswith((_OURS, *_BROKERS_OWN))
    }
    if own and sum(len(f"{key}{value}".encode(errors="replace")) for key, value in own.items()) > _MOST_FOREIGN:
        return {"x-sms-headers-dropped": len(own)}
    return own


def _malformed(
    raw: RawMessage, malformed: Malformed, disposition: Disposition, topology: Topology, now: datetime
) -> Outgoing:
    if not isinstance(disposition, Dead):
        raise TypeError(f"a malformed message can only die, not {type(disposition).__name__}")
    reason = disposition.reason
    headers = foreign_headers(raw.headers) | _reason_headers(reason) | _death_headers(raw, reason, now)
    return _onward(raw, topology.to_dead(reason.error_class), headers, malformed.request_id)


def _onward(raw: RawMessage, route: Route, headers: Mapping[str, Any], request_id: str | None) -> Outgoing:
    return Outgoing(route, raw.body, headers, raw.type, raw.content_type, request_id, raw.content_encoding)


def _headers(raw: RawMessage, history: History) -> dict[str, Any]:
    return foreign_headers(raw.headers) | history.to_headers()


def _reason_headers(reason: Reason) -> dict[str, Any]:
    return {
        "x-sms-class": reason.error_class.value,
        "x-sms-code": reason.code,
        "x-sms-reason": reason.text,
    }


def _death_headers(raw: RawMessage, reason: Reason, now: datetime) -> dict[str, Any]:
    return {
        "x-sms-remedy": reason.remedy,
        "x-sms-lane": raw.lane.value,
        "x-sms-died": to_the_millisecond(now),
    }


def _event(request: Request, done: Done | Withdrawn, now: datetime, *, show_numbers: bool) -> dict[str, Any]:
    sms, history = request.sms, done.history
    accepted = done.accepted if isinstance(done, Done) else None
    return {
        "id": sms.id,
        "outcome": (ErrorClass.ACCEPTED if accepted else ErrorClass.CANCELLED).value,
        "lane": request.lane.value,
        "to": sms.number if show_numbers else masked(sms.number),
        "message_id": accepted.message_id if accepted else None,
        "provider_request_id": accepted.request_id if accepted else None,
        "segments": (accepted.segments or _counted(sms)) if accepted else None,
        "country": accepted.country if accepted else None,
        "attempts": history.attempts,
        "unknowns": history.unknowns,
        "published": history.published,
        "first_tried": history.first_tried,
        "settled": now,
        "metadata": sms.metadata,
    }


def _counted(sms: SmsRequest) -> int | None:
    """Our own count where the provider told none; a template's text is not known here."""
    return None if sms.text is None else segments(sms.text, mainland=sms.is_mainland).count
