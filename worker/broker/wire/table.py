"""Tables of headers, between bytes and values: the common types here, everything else by the frame library."""

import struct
from collections.abc import Mapping
from typing import Any, Final

from pamqp import encode

from worker.broker.lenient_decoding import table_value, timestamp

#: The frame library cuts a longer name. Bytes.
_LONGEST_NAME: Final = 128
_LONGEST_TEXT: Final = 255
_COUNT: Final = struct.Struct(">I")
_BYTE: Final = struct.Struct(">b")
_SHORT: Final = struct.Struct(">h")

#: Values of one size, by the letter of their type.
_FIXED: Final = {
    letter: struct.Struct(form)
    for letter, form in zip(b"tbBsuIilLd", (">?", ">b", ">B", ">h", ">H", ">i", ">I", ">q", ">q", ">d"), strict=True)
}
_TEXT, _TABLE, _ARRAY, _TIME, _VOID = b"SFATV"
_COUNTED: Final = (_TEXT, _TABLE, _ARRAY)
#: Tables within tables that are read here.
_DEEPEST: Final = 16


class Odd(Exception):  # noqa: N818 - it never leaves this package
    """Not written as every publisher writes it."""


#: What reading raises on bytes that are odd.
ODD: Final = (Odd, IndexError, UnicodeDecodeError, RecursionError, struct.error)


def short_text(text: str) -> bytes:
    """Write *text* as a short string.

    Raises:
        TypeError: it has more than 255 bytes.
    """
    written = text.encode()
    if len(written) > _LONGEST_TEXT:
        raise TypeError("a short text has 255 bytes at the most")
    return bytes((len(written),)) + written


def write_table(entries: Mapping[str, Any]) -> bytes:
    """Write *entries* by the order of their names.

    Raises:
        TypeError, ValueError, struct.error: a value that AMQP cannot hold.
    """
    parts = [b""]
    for name in sorted(entries):
        written, value = name.encode(), entries[name]
        if len(written) > _LONGEST_NAME:
            return encode.field_table(dict(entries))
        parts += (bytes((len(written),)), written, _written(value))
    inside = b"".join(parts)
    return _COUNT.pack(len(inside)) + inside


def _written(value: Any) -> bytes:
    kind = type(value)
    if kind is str:
        text = value.encode()
        return b"S" + _COUNT.pack(len(text)) + text  # type: ignore[no-any-return]
    if kind is int and -128 <= value <= 127:  # noqa: PLR2004 - what a byte holds
        return b"b" + _BYTE.pack(value)
    if kind is int and -32_768 <= value <= 32_767:  # noqa: PLR2004 - what two bytes hold
        return b"s" + _SHORT.pack(value)
    return table_value(value)


def read_table(frame: bytes, at: int, stop: int, levels: int = _DEEPEST) -> dict[str, Any]:
    """Read the entries of the table between *at* and *stop*; raises one of `ODD` when it is odd."""
    entries: dict[str, Any] = {}
    while at < stop:
        after = at + 1 + frame[at]
        name = frame[at + 1 : after].decode()
        entries[name], at = _value(frame, after, stop, levels)
    if at != stop:
        raise Odd
    return entries


def _value(frame: bytes, at: int, stop: int, levels: int) -> tuple[Any, int]:
    letter = frame[at]
    at += 1
    if (form := _FIXED.get(letter)) is not None:
        return form.unpack_from(frame, at)[0], at + form.size
    if letter == _TIME:
        return timestamp(frame[at : at + 8])[1], at + 8
    if letter == _VOID:
        return None, at
    if letter not in _COUNTED or levels == 0:
        raise Odd
    start = at + 4
    after = start + _COUNT.unpack_from(frame, at)[0]
    if after > stop:
        raise Odd
    if letter == _TEXT:
        return frame[start:after].decode(), after
    if letter == _TABLE:
        return read_table(frame, start, after, levels - 1), after
    return _read_array(frame, start, after, levels - 1), after


def _read_array(frame: bytes, at: int, stop: int, levels: int) -> list[Any]:
    values = []
    while at < stop:
        value, at = _value(frame, at, stop, levels)
        values.append(value)
    if at != stop:
        raise Odd
    return values
