"""The frames that are written for every message: a publish, an acknowledgement, a return to the queue."""

import struct
from functools import lru_cache
from typing import Final

from pamqp import frame
from pamqp.commands import Basic

METHOD, HEADER, BODY = 1, 2, 3
#: The byte after every frame.
END: Final = 0xCE
#: Bytes of a frame around its payload: type, channel and size before it, `END` after it.
AROUND: Final = 8
#: Class and method, as one number.
DELIVER: Final = 60 << 16 | 60
RETURN: Final = 60 << 16 | 50
ACK: Final = 60 << 16 | 80
NACK: Final = 60 << 16 | 120
#: So many routes are remembered as bytes; a retry has a route for each delay.
_ROUTES: Final = 4_096

_END: Final = bytes((END,))
_START: Final = struct.Struct(">BHI")
#: Frame and class of a content header, its weight and the size of the body.
_CONTENT: Final = struct.Struct(">BHIHHQ")
_SETTLE: Final = struct.Struct(">BHIIQBB")
_SETTLE_SIZE: Final = 13
_REQUEUE: Final = 0b10


def ack_frame(channel: int, tag: int) -> bytes:
    """Acknowledge the one delivery *tag*."""
    return _SETTLE.pack(METHOD, channel, _SETTLE_SIZE, ACK, tag, 0, END)


def requeue_frame(channel: int, tag: int) -> bytes:
    """Return the one delivery *tag* to its queue."""
    return _SETTLE.pack(METHOD, channel, _SETTLE_SIZE, NACK, tag, _REQUEUE, END)


def publish_frames(channel: int, exchange: str, key: str, properties: bytes, body: bytes, frame_max: int) -> bytes:
    """Publish *body*, mandatory, in frames of *frame_max* bytes at the most; 0 is no limit.

    Raises:
        ValueError, TypeError: a name or a key that AMQP cannot hold.
    """
    size = len(body)
    head = _CONTENT.pack(HEADER, channel, 12 + len(properties), 60, 0, size)
    parts = [_method(channel, exchange, key), head, properties, _END]
    most = frame_max - AROUND if frame_max else max(size, 1)
    for start in range(0, size, most):
        piece = body[start : start + most]
        parts += (_START.pack(BODY, channel, len(piece)), piece, _END)
    return b"".join(parts)


@lru_cache(_ROUTES)
def _method(channel: int, exchange: str, key: str) -> bytes:
    if len(key.encode()) > 255:  # noqa: PLR2004 - a short string
        raise ValueError("a routing key has 255 bytes at the most")
    return frame.marshal(Basic.Publish(exchange=exchange, routing_key=key, mandatory=True), channel)
