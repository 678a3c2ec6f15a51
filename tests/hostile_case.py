"""One message that is malformed, or that lies, and where it must end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import orjson

from tests.makers import make_fields
from tests.raw_amqp import properties
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE
from worker.core.outcome.outcome import ErrorClass

#: Every number begins so, and every text holds the word: by them a leak is told.
PREFIX: Final = "852512"
SECRET: Final = "swordfish"
NOW: Final = datetime.now(UTC)
#: Where a message ends, and a word that the reason of its death must hold.
End: TypeAlias = tuple[ErrorClass, str]
DONE: Final[End] = (ErrorClass.ACCEPTED, "")
EXPIRED: Final[End] = (ErrorClass.EXPIRED, "deadline")
#: The broker itself put it there, so it has no reason.
UNROUTABLE: Final[End] = (ErrorClass.UNROUTABLE, "")

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
_serial, _retried = count(1), count(1)


@dataclass(frozen=True, slots=True)
class Hostile:
    """A message as it goes over the wire."""

    what: str
    key: bytes
    body: bytes
    properties: bytes
    #: More than one when it makes the broker deliver copies.
    ends: tuple[End, ...]
    #: Where it is published; publishers have no right to any other.
    exchange: str = "sms.send"


def malformed(word: str) -> End:
    """Malformed, for a reason that holds *word*."""
    return ErrorClass.MALFORMED, word


def request(fields: Mapping[str, Any] = _NONE) -> tuple[Lane, dict[str, Any]]:
    """A request that nobody wrote before, valid but for *fields*, and its lane: each lane has its turn."""
    serial = next(_serial)
    lane = list(Lane)[serial % 3]
    own = {"id": f"h-{serial}", "to": f"+{PREFIX}{serial:05}", "text": f"{SECRET} {serial}"}
    return lane, make_fields(lane, **{**own, **fields})


def retried() -> dict[str, Any]:
    """Fields of a request that succeeds at its second call; on a lane whose windows let it."""
    return {"type": "NOTIFY", "to": f"{PREFIX}{next(_retried):03}991046"}


def case(
    what: str,
    *ends: End,
    fields: Mapping[str, Any] = _NONE,
    body: bytes | None = None,
    key: bytes | None = None,
    given: Mapping[str, Any] = _NONE,
    exchange: str = "sms.send",
) -> Hostile:
    """A request with odd *fields*, or *body*, under usual properties but for those that are *given*."""
    lane, whole = request(fields)
    usual = {"type": MESSAGE_TYPE, "content_type": "application/json", "delivery_mode": 2}
    written = properties(**{**usual, **given})
    return Hostile(
        what,
        lane.value.encode() if key is None else key,
        orjson.dumps(whole) if body is None else body,
        written,
        ends,
        exchange,
    )
