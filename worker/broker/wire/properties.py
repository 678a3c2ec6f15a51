"""The properties of a message, between bytes and values: only those that a request or an outcome has.

Reading has two ways. What is written as every publisher writes it is read here; whatever is odd in the least is read
by the frame library, with what the leniency tolerates, so that both ways say the same of every message.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

from pamqp.commands import Basic
from pamqp.header import ContentHeader

from worker.broker.lenient_decoding import content_header, timestamp
from worker.broker.wire.table import ODD, Odd, read_table, short_text, write_table

_CONTENT_TYPE: Final = 1 << 15
_CONTENT_ENCODING: Final = 1 << 14
_HEADERS: Final = 1 << 13
_DELIVERY_MODE: Final = 1 << 12
_PRIORITY: Final = 1 << 11
_CORRELATION_ID: Final = 1 << 10
_REPLY_TO: Final = 1 << 9
_EXPIRATION: Final = 1 << 8
_MESSAGE_ID: Final = 1 << 7
_TIMESTAMP: Final = 1 << 6
_TYPE: Final = 1 << 5
_APP_ID: Final = 1 << 3
#: More flags follow, or one that has no meaning.
_UNUSUAL: Final = 0b11

#: Class, weight, size of the body, flags.
_HEADER: Final = struct.Struct(">HHQH")
_COUNT: Final = struct.Struct(">I")
_SECONDS: Final = struct.Struct(">Q")
_FLAGS: Final = struct.Struct(">H")
_PERSISTENT: Final = b"\x02"


#: Of what has few values.
_word: Final = lru_cache(64)(short_text)

#: Reads one property in a frame, at a place, and says where the next one begins.
_Read: TypeAlias = Callable[[bytes, int], tuple[Any, int]]


def _text(frame: bytes, at: int) -> tuple[str, int]:
    stop = at + 1 + frame[at]
    return frame[at + 1 : stop].decode(), stop


def _byte(_: bytes, at: int) -> tuple[None, int]:
    return None, at + 1


def _table(frame: bytes, at: int) -> tuple[dict[str, Any], int]:
    stop = at + _COUNT.size + _COUNT.unpack_from(frame, at)[0]
    return read_table(frame, at + _COUNT.size, stop), stop


def _instant(frame: bytes, at: int) -> tuple[Any, int]:
    size, read = timestamp(frame[at : at + 8])
    return read, at + size


#: In their order on the wire, up to the last that this program reads; those without a name are passed over.
_READS: Final[tuple[tuple[int, str, _Read], ...]] = (
    (_CONTENT_TYPE, "content_type", _text),
    (_CONTENT_ENCODING, "content_encoding", _text),
    (_HEADERS, "headers", _table),
    (_DELIVERY_MODE, "", _byte),
    (_PRIORITY, "", _byte),
    (_CORRELATION_ID, "correlation_id", _text),
    (_REPLY_TO, "", _text),
    (_EXPIRATION, "", _text),
    (_MESSAGE_ID, "message_id", _text),
    (_TIMESTAMP, "timestamp", _instant),
    (_TYPE, "type", _text),
)


@dataclass(slots=True)
class Properties:
    """What of a message's properties this program reads or writes; those that were not given are None."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Mapping[str, Any] | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    timestamp: datetime | None = None
    type: str | None = None
    app_id: str | None = None


def write_properties(properties: Properties) -> bytes:
    """Flags and values of *properties* of a persistent message, as they follow the size of the body.

    Raises:
        TypeError, ValueError, struct.error: a value that AMQP cannot hold.
    """
    flags, parts = _DELIVERY_MODE, [b""]
    if properties.content_type:
        flags |= _CONTENT_TYPE
        parts.append(_word(properties.content_type))
    if properties.content_encoding:
        flags |= _CONTENT_ENCODING
        parts.append(short_text(properties.content_encoding))
    if properties.headers is not None:
        flags |= _HEADERS
        parts.append(write_table(properties.headers))
    parts.append(_PERSISTENT)
    if properties.correlation_id:
        flags |= _CORRELATION_ID
        parts.append(short_text(properties.correlation_id))
    if properties.message_id:
        flags |= _MESSAGE_ID
        parts.append(short_text(properties.message_id))
    if properties.timestamp is not None:
        flags |= _TIMESTAMP
        parts.append(_SECONDS.pack(int(properties.timestamp.timestamp())))
    if properties.type:
        flags |= _TYPE
        parts.append(_word(properties.type))
    if properties.app_id:
        flags |= _APP_ID
        parts.append(_word(properties.app_id))
    parts[0] = _FLAGS.pack(flags)
    return b"".join(parts)


def read_header(frame: bytes, start: int, end: int) -> tuple[int, Properties]:
    """The size of the body and the properties, from the payload of a content header in *frame*; raises nothing."""
    try:
        return _usual(frame, start, end)
    except ODD:
        return _odd(frame[start:end])


def _usual(frame: bytes, at: int, end: int) -> tuple[int, Properties]:
    _, _, size, flags = _HEADER.unpack_from(frame, at)
    at += _HEADER.size
    found = Properties()
    for name, read in _given(flags):
        value, at = read(frame, at)
        if name:
            setattr(found, name, value)
    if at > end:
        raise Odd
    return size, found  # what may follow is nothing that anybody here asks for


@lru_cache(1 << 16)
def _given(flags: int) -> tuple[tuple[str, _Read], ...]:
    if flags & _UNUSUAL:
        raise Odd
    return tuple((name, read) for flag, name, read in _READS if flags & flag)


def _odd(payload: bytes) -> tuple[int, Properties]:
    header = ContentHeader()
    content_header(header, payload)
    return header.body_size, of_library(header.properties)


def of_library(read: Basic.Properties) -> Properties:
    """The same, of properties that the library has read."""
    return Properties(
        content_type=read.content_type,
        content_encoding=read.content_encoding,
        headers=read.headers,
        correlation_id=read.correlation_id,
        message_id=read.message_id,
        timestamp=read.timestamp,
        type=read.message_type,
    )
