"""AMQP 0-9-1 written byte by byte, for messages that no client library would write."""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiormq
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel

#: In the order of their flags, the highest bit first (AMQP 0-9-1, 4.2.6.1 and 1.8.3).
_PROPERTIES: Final = (
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)
_BASIC, _PUBLISH = 60, 40
_METHOD, _HEADER, _BODY = 1, 2, 3
#: Bytes of a frame around its payload.
_FRAME_END: Final = 8


def short(text: str | bytes) -> bytes:
    """A short string; bytes need not be UTF-8."""
    written = text.encode() if isinstance(text, str) else text
    return bytes([len(written)]) + written


def field(value: Any) -> bytes:  # noqa: PLR0911 - one for each type
    """A value in a table; bytes are taken as written already: a letter for the type, and what follows it."""
    match value:
        case bytes():
            return value
        case bool():
            return b"t" + bytes([value])
        case int():
            return b"l" + struct.pack(">q", value)
        case float():
            return b"d" + struct.pack(">d", value)
        case str():
            return b"S" + _counted(value.encode())
        case dict():
            return b"F" + table(value)
        case list():
            return b"A" + _counted(b"".join(map(field, value)))
        case _:
            return b"V"


def table(entries: dict[str | bytes, Any]) -> bytes:
    """A field table."""
    return _counted(b"".join(short(key) + field(value) for key, value in entries.items()))


def nested(levels: int) -> bytes:
    """A table in a table in a table, to be used as a field."""
    inner = b""
    for _ in range(levels):
        inner = short("k") + b"F" + _counted(inner)
    return b"F" + _counted(inner)


def properties(**given: Any) -> bytes:
    """The properties of a message; *headers* are entries, or bytes that are taken as they are."""
    flags, written = 0, b""
    for bit, name in zip(range(15, 1, -1), _PROPERTIES, strict=True):
        if (value := given.pop(name, None)) is not None:
            flags |= 1 << bit
            written += _property(name, value)
    assert not given
    return struct.pack(">H", flags) + written


def _property(name: str, value: Any) -> bytes:
    match name:
        case "headers":
            return value if isinstance(value, bytes) else table(value)
        case "delivery_mode" | "priority":
            return bytes([value])
        case "timestamp":
            return struct.pack(">Q", value)
        case _:
            return short(value)


def _counted(written: bytes) -> bytes:
    return struct.pack(">I", len(written)) + written


class Wire:
    """A channel on which anything may be published."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def publish(self, exchange: str, key: bytes, written_properties: bytes, body: bytes) -> None:
        """Publish without a look at what is published."""
        frames = [
            (_METHOD, struct.pack(">HHH", _BASIC, _PUBLISH, 0) + short(exchange) + short(key) + b"\0"),
            (_HEADER, struct.pack(">HHQ", _BASIC, 0, len(body)) + written_properties),
        ]
        most = self._channel.connection.connection_tune.frame_max - _FRAME_END
        frames += [(_BODY, body[start : start + most]) for start in range(0, len(body), most)]
        number = self._channel.number
        wire = b"".join(struct.pack(">BHI", kind, number, len(payload)) + payload + b"\xce" for kind, payload in frames)
        await self._channel.connection.write_queue.put(ChannelFrame(wire, should_close=False))

    async def taken(self) -> None:
        """Return when the broker took all that was published; raises when it closed the channel instead."""
        await self._channel.basic_qos(prefetch_count=1)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Wire]:
    """A connection, and a channel without confirms: what is written past the library would confuse its count."""
    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel(publisher_confirms=False)
        assert isinstance(channel, Channel)
        yield Wire(channel)
    finally:
        await connection.close()
