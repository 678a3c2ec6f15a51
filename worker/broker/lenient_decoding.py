"""What a publisher wrote into a message's properties must not end the connection that delivers it.

The frame library raises on a property that it cannot read, such as a timestamp in nanoseconds or a type that is not
UTF-8. That ends the connection, every unsettled delivery comes again, and the same message ends the next connection:
after the delivery limit a whole prefetch of innocent requests would be poison. So what cannot be read counts as not
given, and decoding then says what is missing.

And what was read must be published again with the request or its dead letter: the library refuses to write bytes that
it has read itself, and writes every number with a fraction in four bytes, where large ones do not fit.
"""

import struct
from datetime import UTC, datetime
from typing import Any, Final

from pamqp import decode, encode, header
from pamqp.common import FieldValue
from pamqp.header import ContentHeader

#: Everything that the frame library was seen to raise on hostile bytes; a deep nest of tables is a RecursionError.
_UNREADABLE: Final = (ValueError, ArithmeticError, OSError, TypeError, LookupError, RecursionError, struct.error)

_TIMESTAMP: Final = struct.Struct(">Q")
#: The end of the calendar, 9999-12-31T23:59:59Z.
_LAST_SECOND: Final = 253_402_300_799
#: 2026-01-01T00:00:00Z: no request is older than the format of requests.
_FIRST_MILLISECOND: Final = 1_767_225_600_000

_read_short_text = decode.short_str
_read_header = ContentHeader.unmarshal
_write_value = encode.encode_table_value


def tolerate_hostile_properties() -> None:
    """Teach the frame library, once for the process; doing it again changes nothing."""
    decode.METHODS["timestamp"] = timestamp
    decode.TABLE_MAPPING[b"T"] = timestamp
    decode.METHODS["shortstr"] = short_text
    encode.encode_table_value = table_value
    header.ContentHeader.unmarshal = content_header  # type: ignore[assignment]  # it has no seam


def timestamp(value: bytes) -> tuple[int, FieldValue]:
    """Read a timestamp, which AMQP has in seconds; None when no publisher can have meant it.

    Beyond the calendar it must be in milliseconds, of which only those count that can be the time of a publication.
    The frame library would take everything after 2106 for milliseconds: a clock that is far ahead would then seem to be
    one of the last century, and whatever it stamps would have expired long ago.

    Raises:
        struct.error: it is cut short.
    """
    (given,) = _TIMESTAMP.unpack(value[:8])
    if given <= _LAST_SECOND:
        return 8, datetime.fromtimestamp(given, UTC)
    if _FIRST_MILLISECOND <= given <= _LAST_SECOND * 1_000:
        return 8, datetime.fromtimestamp(given // 1_000, UTC)
    return 8, None


def short_text(value: bytes) -> tuple[int, str]:
    """Read a text of at most 255 bytes; bytes that are not UTF-8 become question marks, so that it never grows."""
    try:
        return _read_short_text(value)
    except UnicodeDecodeError:
        end = value[0] + 1
        return end, value[1:end].decode("ascii", errors="replace").replace("\ufffd", "?")


def content_header(frame: ContentHeader, data: bytes) -> None:
    """Read the properties of a message; from the first that cannot be read on, they count as not given."""
    try:
        _read_header(frame, data)
    except _UNREADABLE:
        return


def table_value(value: Any) -> bytes:
    """Write the value of a header, of any type that can have been read."""
    match value:
        case float():
            return b"d" + struct.pack(">d", value)
        case bytes() | bytearray():
            return b"x" + struct.pack(">I", len(value)) + value
        case _:
            return _write_value(value)
