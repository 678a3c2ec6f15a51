"""From bytes and headers to a request that may be sent, or to every reason why it is malformed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson
from pydantic import ValidationError

from worker.core.message.fault import sentence, visible
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE, REQUEST_ID, SmsRequest

#: A request of every field at its longest, in escaped JSON, stays well under this many bytes.
MOST_BYTES: Final = 65_536
#: The delay ladder holds a request this long at the most.
LONGEST_SCHEDULE: Final = timedelta(days=31)
#: A fault's sentence is cut here, so that a hostile body cannot fill the headers of its dead letter.
LONGEST_REASON: Final = 1_000
_MOST_FAULTS: Final = 8
#: The type of a request of any version.
_VERSIONED: Final = re.compile(r"sms\.request\.v[0-9]{1,4}")
#: A second late: headers keep milliseconds, and what they round down must not fall out of the allowed again.
_EPOCH: Final = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


class RawMessage(NamedTuple):
    """What the broker delivered, as far as decoding looks at it."""

    body: bytes
    lane: Lane
    headers: Mapping[str, Any] = MappingProxyType({})
    type: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    #: AMQP timestamp property: when the publisher says that it published.
    timestamp: datetime | None = None
    #: Headers named like ours that a publisher wrote: they are left out of *headers*.
    forged: int = 0
    #: Whether it waited for its time, which has come: it goes before what is new on its lane.
    due: bool = False


class Request(NamedTuple):
    """A request on its way: what was published, where it stands, how long it is of use."""

    sms: SmsRequest
    lane: Lane
    history: History
    #: Sending is useless after this instant.
    deadline: datetime
    #: Whether it goes before what is new on its lane.
    due: bool = False


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that no worker could ever send; *reason* names each field at fault and never quotes its value."""

    reason: str
    #: The request id, when at least that could be read.
    request_id: str | None = None


def decode(raw: RawMessage, lifetimes: Mapping[Lane, timedelta], now: datetime) -> Request | Malformed:
    """Decode *raw*, counting a deadline that was not given as the lane's lifetime from publication."""
    history, faults = History.from_headers(raw.headers)
    sms, body_faults = _read(raw, now)
    faults = [*_property_faults(raw), *faults, *body_faults]
    if sms is None or faults:
        return _malformed(faults, raw.body)
    published = sane(history.published, now) or sane(raw.timestamp, now) or now
    deadline = sms.deadline
    if deadline is None:
        deadline = _later(max(published, sms.not_before or published), lifetimes[raw.lane])
    return Request(sms, raw.lane, history.since(published), deadline, raw.due)


def _read(raw: RawMessage, now: datetime) -> tuple[SmsRequest | None, list[str]]:
    """The body, and every fault in it; a body that is too large is not read at all."""
    if len(raw.body) > MOST_BYTES:
        return None, [f"body: {len(raw.body)} bytes, at most {MOST_BYTES} are allowed"]
    try:
        sms = SmsRequest.model_validate_json(raw.body)
    except ValidationError as error:
        return None, [sentence(fault) for fault in error.errors(include_url=False, include_input=False)]
    faults = []
    if raw.body.count(b":") != _keys_of(sms) and (key := _repeated_key(raw.body)) is not None:
        faults.append(f"{visible(key)}: given more than once")
    if sms.lane is not raw.lane:
        faults.append(
            f"type: {sms.type.value} does not belong on the lane {raw.lane.value}; publish with {sms.lane.value}"
        )
    if sms.not_before and sms.not_before - now > LONGEST_SCHEDULE:
        faults.append(f"not_before: lies more than {LONGEST_SCHEDULE.days} days ahead")
    return sms, faults


def _keys_of(sms: SmsRequest) -> int:
    """How many keys the body has, each counted once. It has a colon for every key, and more only within its texts."""
    count = len(sms.model_fields_set) + len(sms.metadata or ())
    if sms.template is not None:
        count += len(sms.template.model_fields_set) + len(sms.template.params)
    return count


def _property_faults(raw: RawMessage) -> list[str]:
    faults = []
    if raw.type != MESSAGE_TYPE:
        faults.append(f"AMQP property type: must be {MESSAGE_TYPE}, got {_type_words(raw.type)}")
    if raw.content_type not in {None, "application/json"}:
        faults.append("AMQP property content_type: must be application/json")
    if raw.content_encoding not in {None, "utf-8", "UTF-8"}:
        faults.append("AMQP property content_encoding: must be absent or utf-8")
    return faults


def _type_words(given: str | None) -> str:
    """What came instead; quoted only when it can be nothing else than a version."""
    if given is None:
        return "none"
    if _VERSIONED.fullmatch(given):
        return f"{given}: a version that this worker does not know; upgrade the workers, then replay it"
    return "another"


class _RepeatedKeyError(ValueError):
    """One object has the key in `args` twice."""


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    once = dict(pairs)
    if len(once) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in once if keys.count(key) > 1))
    return once


_READER: Final = json.JSONDecoder(object_pairs_hook=_each_key_once)


def _repeated_key(body: bytes) -> str | None:
    """A key that one object of *body* has twice: readers of JSON differ on which of the two counts.

    The body has passed the model, so it is JSON, and neither deep nor full of huge numbers.
    """
    try:
        _READER.decode(body.decode())
    except _RepeatedKeyError as repeated:
        return str(repeated.args[0])
    return None


def sane(timestamp: datetime | None, now: datetime) -> datetime | None:
    """An instant before 1970 or in the future is a clock at fault, or a lie: not one to count a deadline from."""
    if timestamp is None:
        return None
    aware = timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
    return aware if _EPOCH <= aware <= now else None


def _later(instant: datetime, lifetime: timedelta) -> datetime:
    try:
        return instant + lifetime
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _malformed(faults: list[str], body: bytes) -> Malformed:
    shown = faults[:_MOST_FAULTS]
    if len(faults) > len(shown):
        shown.append(f"and {len(faults) - len(shown)} more")
    return Malformed("; ".join(shown)[:LONGEST_REASON], _request_id(body))


def _request_id(body: bytes) -> str | None:
    if len(body) > MOST_BYTES:
        return None
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    request_id = fields.get("id") if isinstance(fields, dict) else None
    return request_id if isinstance(request_id, str) and REQUEST_ID.fullmatch(request_id) else None
