"""Cuts what a connection receives into what is ours and what is the library's; it keeps incomplete frames.

Ours are, on channels that were claimed, the four things that come for every message: deliveries, confirms, refusals
and returns. Every other frame is passed on as it came, byte for byte and in its order, so the library judges what it
judged before. On a claimed channel the rest of AMQP still goes to the library; only `basic.get` cannot be used there.

What is ours is read here when it is written as usual; whatever is odd in the least is read by the frame library, so
that the same is taken and the same refused. What it refuses, ends the connection (`Cutter.error`).
"""

import struct
from typing import Final, NamedTuple, TypeAlias

from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException
from pamqp.frame import unmarshal

from worker.broker.wire.frames import ACK, AROUND, BODY, DELIVER, END, HEADER, METHOD, NACK, RETURN
from worker.broker.wire.properties import Properties, read_header

_CLOSE: Final = 20 << 16 | 40
_CLOSE_OK: Final = 20 << 16 | 41
_CONFIRMS: Final = frozenset({ACK, NACK})
_START: Final = struct.Struct(">BHI")
_INDEX: Final = struct.Struct(">I")
#: Delivery tag and redelivered, or multiple; signed, as the frame library has it.
_TAG: Final = struct.Struct(">qB")
_SETTLE_SIZE: Final = 13
#: Bytes before a frame's payload.
_BEFORE: Final = 7
#: A handshake has no larger frame; what looks like one is another protocol. Bytes.
_HANDSHAKE: Final = 131_072
#: No size is larger.
_NO_LIMIT: Final = 1 << 32


class FrameError(ConnectionError):
    """What came is no AMQP, or not what may come at this place; says what, and quotes nothing of it."""


class Delivered(NamedTuple):
    """A message for a consumer."""

    channel: int
    consumer: str
    tag: int
    redelivered: bool
    exchange: str
    properties: Properties
    body: bytes


class Confirmed(NamedTuple):
    """The broker took, or refused, the publish *tag*; and all before it when *multiple*."""

    channel: int
    tag: int
    multiple: bool
    taken: bool


class Returned(NamedTuple):
    """No queue took the message of this id; its confirm follows."""

    channel: int
    message_id: str | None


class Closed(NamedTuple):
    """The broker closed the channel, or answered that it did: nothing more is cut on it, nothing may be written."""

    channel: int


Event: TypeAlias = Delivered | Confirmed | Returned | Closed


class _Content:
    """A message on its way: its method, then its header, then its body."""

    __slots__ = ("left", "method", "pieces", "properties")

    def __init__(self, method: tuple[str, int, bool, str] | None) -> None:
        """*method* is what is known of a delivery, None for a returned message."""
        self.method = method
        self.properties: Properties | None = None
        self.left = 0
        self.pieces: list[bytes] = []


class Cutter:
    """The receiving end of one connection."""

    def __init__(self) -> None:
        """No channel is claimed yet."""
        #: The largest payload that is taken, once it was agreed. Bytes.
        self._most: int | None = None
        #: Why the connection cannot go on, once it cannot; nothing is cut or passed on any more.
        self.error: FrameError | None = None
        self._claimed: dict[int, _Content | None] = {}
        self._held = bytearray()
        self._needed = 0
        #: The other end speaks no AMQP: the library shall say so.
        self._foreign = False

    def agree(self, frame_max: int) -> None:
        """Take no frame that is larger from now on; 0 is no limit."""
        self._most = frame_max or _NO_LIMIT

    def claim(self, channel: int) -> None:
        """Cut from now on what is ours on *channel*."""
        self._claimed[channel] = None

    def disown(self, channel: int) -> None:
        """Pass on everything of *channel* again."""
        self._claimed.pop(channel, None)

    def rest(self) -> bytes:
        """Take the frame that is not complete yet: no more of it will come."""
        held = bytes(self._held)
        self._held.clear()
        return held

    def cut(self, received: bytes) -> tuple[list[Event], bytes]:
        """What is ours of *received* and of what was kept, and the bytes for the library; `error` may be set after."""
        if self._foreign or self.error is not None:
            return [], received if self._foreign else b""
        if self._held:
            self._held += received
            if len(self._held) < self._needed:
                return [], b""
            received = self.rest()
        events: list[Event] = []
        passed: list[bytes] = []
        try:
            at = self._cut(received, events, passed)
        except FrameError as error:
            self.error = error
            at = len(received)
        if at < len(received):
            self._held += memoryview(received)[at:]
        return events, b"".join(passed) if passed else b""

    def _cut(self, received: bytes, events: list[Event], passed: list[bytes]) -> int:
        """Cut all complete frames; returns where the incomplete one begins."""
        at, length, most = 0, len(received), self._most or _HANDSHAKE
        while at + _BEFORE <= length:
            kind, channel, size = _START.unpack_from(received, at)
            if size > most:
                if self._most is not None:
                    raise FrameError("a frame is larger than was agreed")
                self._foreign = True
                passed.append(received[at:])
                return length
            end = at + size + AROUND
            if end > length:
                self._needed = end - at
                return at
            if channel not in self._claimed:
                passed.append(received[at:end])
            elif received[end - 1] != END:
                raise FrameError("a frame does not end where it should")
            elif kind == METHOD:
                if not self._method(received, at, end, channel, events):
                    passed.append(received[at:end])
            else:
                self._content(received, kind, at + _BEFORE, end - 1, channel, events)
            at = end
        self._needed = _BEFORE
        return at

    def _method(self, received: bytes, start: int, end: int, channel: int, events: list[Event]) -> bool:
        """Read a method; False when it is the library's."""
        if self._claimed[channel] is not None:
            raise FrameError("a method came in the middle of a message")
        at = start + _BEFORE
        if end - at <= _INDEX.size:
            return False
        index = _INDEX.unpack_from(received, at)[0]
        if index == DELIVER:
            self._claimed[channel] = _Content(_delivery(received, start, end))
        elif index in _CONFIRMS:
            tag, multiple = _settled(received, start, end)
            events.append(Confirmed(channel, tag, multiple, index == ACK))
        elif index == RETURN:
            _by_the_library(received[start:end])
            self._claimed[channel] = _Content(None)
        else:
            if index in (_CLOSE, _CLOSE_OK):
                self.disown(channel)
                events.append(Closed(channel))
            return False
        return True

    def _content(self, received: bytes, kind: int, at: int, end: int, channel: int, events: list[Event]) -> None:
        content = self._claimed[channel]
        if content is None or at == end:
            raise FrameError("a part of a message came where none may come")
        if kind == HEADER and content.properties is None:
            content.left, content.properties = read_header(received, at, end)
        elif kind == BODY and content.properties is not None:
            content.pieces.append(received[at:end])
            content.left -= end - at
        else:
            raise FrameError("the parts of a message came in a wrong order")
        if content.left <= 0:
            self._claimed[channel] = None
            events.append(_whole(channel, content, content.properties))


def _whole(channel: int, content: _Content, properties: Properties) -> Event:
    if content.method is None:
        return Returned(channel, properties.message_id)
    consumer, tag, redelivered, exchange = content.method
    pieces = content.pieces
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return Delivered(channel, consumer, tag, redelivered, exchange, properties, body)


def _delivery(received: bytes, start: int, end: int) -> tuple[str, int, bool, str]:
    """Consumer, tag, redelivered and exchange; what is odd is read by the library."""
    at = start + _BEFORE + _INDEX.size
    try:
        after = at + 1 + received[at]
        consumer = received[at + 1 : after].decode()
        tag, bits = _TAG.unpack_from(received, after)
        at = after + _TAG.size
        after = at + 1 + received[at]
        exchange = received[at + 1 : after].decode()
        if after + 1 + received[after] == end - 1:
            return consumer, tag, bool(bits & 1), exchange
    except (IndexError, UnicodeDecodeError, struct.error):
        pass
    read = _by_the_library(received[start:end])
    if not isinstance(read, Basic.Deliver):
        raise FrameError("a delivery cannot be read")
    return read.consumer_tag or "", read.delivery_tag or 0, bool(read.redelivered), read.exchange or ""


def _settled(received: bytes, start: int, end: int) -> tuple[int, bool]:
    if end - start == _SETTLE_SIZE + AROUND:
        tag, bits = _TAG.unpack_from(received, start + _BEFORE + _INDEX.size)
        return tag, bool(bits & 1)
    read = _by_the_library(received[start:end])
    if not isinstance(read, Basic.Ack | Basic.Nack):
        raise FrameError("a confirm cannot be read")
    return read.delivery_tag or 0, bool(read.multiple)


def _by_the_library(received: bytes) -> object:
    try:
        return unmarshal(received)[2]
    except (PAMQPException, ValueError, struct.error) as error:
        raise FrameError("a frame cannot be read") from error
