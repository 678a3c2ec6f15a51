"""Between AMQP's properties and the core's values."""

import uuid
from datetime import datetime
from typing import Any, Final

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from worker.core.decode import RawMessage
from worker.core.envelope import Outgoing
from worker.core.lane import Lane

_PERSISTENT: Final = 2
_APP: Final = "sms-worker"


def properties_of(message: Outgoing, now: datetime) -> Basic.Properties:
    """The properties under which *message* is published at *now*.

    Every publish has a message id of its own: a returned message is matched to its publish by that alone.
    """
    return Basic.Properties(
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=dict(message.headers),
        delivery_mode=_PERSISTENT,
        correlation_id=message.correlation_id,
        message_id=uuid.uuid4().hex,
        timestamp=now,
        message_type=message.type,
        app_id=_APP,
    )


def raw_of(message: DeliveredMessage, lane: Lane) -> RawMessage:
    """What was delivered on *lane*."""
    properties = message.header.properties
    return RawMessage(
        body=message.body,
        lane=lane,
        headers=properties.headers or {},
        type=properties.message_type,
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        timestamp=properties.timestamp,
    )


def deliveries_of(headers: Any) -> int:
    """How often a quorum queue delivered the message before; the header is absent the first time."""
    count = (headers or {}).get("x-delivery-count", 0)
    return count if type(count) is int and count > 0 else 0
