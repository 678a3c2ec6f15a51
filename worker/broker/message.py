"""Between AMQP's properties and the core's values."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from worker.broker.wire.properties import Properties
from worker.core.message.decode import RawMessage
from worker.core.message.lane import Lane
from worker.core.outgoing.envelope import Outgoing, without_ours

_APP: Final = "sms-worker"
#: The frame library cuts the longer name of a header, so that two may become one, and tells the name in its log. Bytes.
_LONGEST_NAME: Final = 128
#: Tables within tables: writing one takes more of the stack than reading it did, and would fail again on each return.
_DEEPEST: Final = 32


def properties_of(message: Outgoing, now: datetime, message_id: str) -> Properties:
    """The properties under which *message* is published at *now*.

    Every publish has a *message_id* of its own: a returned message is matched to its publish by that alone.
    """
    return Properties(
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=_writable(message.headers),
        correlation_id=message.correlation_id,
        message_id=message_id,
        timestamp=now,
        type=message.type,
        app_id=_APP,
    )


def _writable(headers: Mapping[str, Any]) -> dict[str, Any]:
    """What of *headers* can be written as it was read; the rest is a publisher's own, and stays behind."""
    return {name: value for name, value in headers.items() if _is_plain(name, value) or _fits({name: value}, _DEEPEST)}


def _is_plain(name: str, value: Any) -> bool:
    """Whether it fits at first sight, as almost everything does: a letter has four bytes at the most."""
    return len(name) <= _LONGEST_NAME // 4 and (type(value) is str or type(value) is int)


def _fits(value: Any, levels: int) -> bool:
    match value:
        case dict() | list() if levels == 0:
            return False
        case dict():
            names_fit = all(len(name.encode()) <= _LONGEST_NAME for name in value)
            return names_fit and all(_fits(each, levels - 1) for each in value.values())
        case list():
            return all(_fits(each, levels - 1) for each in value)
        case _:
            return True


def raw_of(body: bytes, properties: Properties, lane: Lane, *, is_ours: bool, due: bool = False) -> RawMessage:
    """What was delivered on *lane*; unless it *is_ours*, headers named like ours are a publisher's and left out."""
    given = properties.headers or {}
    headers = given if is_ours else without_ours(given)
    return RawMessage(
        body=body,
        lane=lane,
        headers=headers,
        forged=len(given) - len(headers),
        due=due,
        type=properties.type,
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        timestamp=properties.timestamp,
    )


def deliveries_of(headers: Any) -> int:
    """How often a quorum queue delivered the message before; the header is absent the first time."""
    count = (headers or {}).get("x-delivery-count", 0)
    return count if type(count) is int and count > 0 else 0
