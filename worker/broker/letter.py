"""A dead letter as the operator sees it: what died, why, and where it came from.

Rule of this file: headers of a letter that RabbitMQ made are its publisher's, who may have written anything there. They
are not shown as ours, and decide nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aiormq.abc import DeliveredMessage

from worker.broker.message import deliveries_of, raw_of
from worker.broker.wire.properties import of_library
from worker.core.message.decode import RawMessage
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import ErrorClass
from worker.core.outgoing.envelope import foreign_headers
from worker.core.topology import Topology

#: Those whom the broker itself buried carry no reason of ours; the catalogue has one for each.
_BURIED_BY_BROKER: Final = {ErrorClass.POISON: "local.poison", ErrorClass.UNROUTABLE: "local.unroutable"}
_NO_LANE: Final = Lane.OTP


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter."""

    error_class: ErrorClass
    #: From 1, the oldest first, as the queue was when it was looked at.
    position: int
    request_id: str | None
    code: str | None
    reason: str | None
    remedy: str | None
    died: datetime | None
    #: Where it goes when it is replayed; None when that cannot be told.
    lane: Lane | None
    history: History
    #: How often somebody looked at it, or took it and gave it back.
    deliveries: int
    #: AMQP routing key of its original publication; of interest where it was no lane.
    routing_key: str
    body: bytes
    headers: Mapping[str, Any]
    type: str | None
    content_type: str | None
    content_encoding: str | None
    timestamp: datetime | None

    def raw(self, lane: Lane) -> RawMessage:
        """The message as it would come on *lane*."""
        return RawMessage(
            self.body, lane, self.headers, self.type, self.content_type, self.content_encoding, self.timestamp
        )


def letter_of(message: DeliveredMessage, error_class: ErrorClass, position: int, topology: Topology) -> Letter:
    """Read a message of the dead-letter queue of *error_class*."""
    given = message.header.properties.headers or {}
    # We publish there and leave out what the broker wrote; when the broker buries a message, it writes that.
    is_ours = message.exchange == topology.dead_exchange and "x-death" not in given
    raw = raw_of(message.body, of_library(message.header.properties), _NO_LANE, is_ours=is_ours)
    headers, buried = raw.headers, None if is_ours else _BURIED_BY_BROKER.get(error_class)
    row = catalog().local(buried) if buried else None
    if error_class is ErrorClass.UNROUTABLE:  # it was never in a queue before: the broker has written nothing yet
        headers = foreign_headers(headers)
    death = _death(headers)
    return Letter(
        error_class=error_class,
        position=position,
        request_id=(is_ours and message.header.properties.correlation_id) or _id_in(raw.body),
        code=_text(headers, "x-sms-code") or (row.code if row else None),
        reason=_text(headers, "x-sms-reason") or (_buried_because(row.description, death) if row else None),
        remedy=_text(headers, "x-sms-remedy") or (row.remedy if row else None),
        died=_instant(_text(headers, "x-sms-died")) or _time_of(death),
        lane=_lane(headers, death, message.routing_key or "", topology),
        history=History.from_headers(headers)[0],
        deliveries=deliveries_of(headers),
        routing_key=message.routing_key or "",
        body=raw.body,
        headers=headers,
        type=raw.type,
        content_type=raw.content_type,
        content_encoding=raw.content_encoding,
        timestamp=raw.timestamp,
    )


def _lane(headers: Mapping[str, Any], death: Mapping[str, Any], key: str, topology: Topology) -> Lane | None:
    """Our own header tells it, else the queue in which the broker gave it up, else the original routing key."""
    queues = {queue: lane for lane in Lane for queue in topology.queues_of(lane)}
    by_name = {lane.value: lane for lane in Lane}
    told = by_name.get(_text(headers, "x-sms-lane") or "")
    return told or queues.get(str(death.get("queue"))) or by_name.get(key)


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The newest entry of what the broker wrote about dead-lettering; a publisher may have written anything there."""
    deaths = headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths else None
    return first if isinstance(first, dict) else {}


def _buried_because(description: str, death: Mapping[str, Any]) -> str:
    """A publisher's own AMQP expiration ends a message in the same queue as too many deliveries do."""
    if death.get("reason") == "expired":
        return "The publisher gave the message an AMQP expiration, which passed in its lane; give a deadline instead."
    return description


def _time_of(death: Mapping[str, Any]) -> datetime | None:
    time = death.get("time")
    return time if isinstance(time, datetime) else None


def _text(headers: Mapping[str, Any], key: str) -> str | None:
    value = headers.get(key)
    return value if isinstance(value, str) else None


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        return None


def _id_in(body: bytes) -> str | None:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    request_id = fields.get("id") if isinstance(fields, dict) else None
    return request_id if isinstance(request_id, str) else None
