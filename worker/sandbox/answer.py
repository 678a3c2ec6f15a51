"""What goes back to the client: the provider's shapes, byte for byte where they are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson

from worker.core.message.segments import segments
from worker.sandbox import gateway
from worker.sandbox.magic import Wire

JSON: Final = "application/json;charset=utf-8"
#: The description of every accepted send.
_ACCEPTED: Final = "The SMS Send Request was accepted"
_RECOMMEND: Final = "https://api.alibabacloud.com/troubleshoot?q="
_PAGES: Final = {414: "Request-URI Too Large", 502: "Bad Gateway"}
_DETAILS: Final[Mapping[str, Mapping[str, str]]] = {
    "852": {"Country": "Hongkong, China", "Region": "HongKong", "Carrier": "CMI"},
    "853": {"Country": "Macao, China", "Region": "Macao", "Carrier": "CTM"},
    "886": {"Country": "Taiwan, China", "Region": "Taiwan", "Carrier": "CHT"},
    "86": {"Country": "China", "Region": "Beijing", "Carrier": "CMCC"},
    "65": {"Country": "Singapore", "Region": "Singapore", "Carrier": "Singtel"},
    "62": {"Country": "Indonesia", "Region": "Indonesia", "Carrier": "Telkomsel"},
    "44": {"Country": "United Kingdom", "Region": "United Kingdom", "Carrier": "Vodafone"},
    "1": {"Country": "United States", "Region": "United States", "Carrier": "Verizon"},
}
_ELSEWHERE: Final = {"Country": "Sandbox", "Region": "Sandbox", "Carrier": "Sandbox"}

#: All digits are equally wide, so texts that differ only in a one-time code are counted once.
_ANY_DIGIT: Final = str.maketrans("123456789", "000000000")


@dataclass(frozen=True, slots=True)
class Answer:
    """What leaves, and how."""

    body: bytes
    status: int = 200
    wire: Wire = Wire.WHOLE
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Seconds before it leaves.
    pause_s: float = 0.0


def accepted(request_id: str, message_id: str, number: str, sender: str | None, text: str | None) -> dict[str, Any]:
    """The reply to a single send; without *text* it is a template's, which has no ``From``."""
    reply = {
        "ResponseCode": "OK",
        "NumberDetail": number_detail(number),
        "RequestId": request_id,
        "Segments": "1" if text is None else _segments(text.translate(_ANY_DIGIT)),
        "ResponseDescription": _ACCEPTED,
        "To": number,
        "MessageId": message_id,
    }
    return reply if text is None else reply | {"From": sender or ""}


def batch_accepted(request_id: str, sender: str | None, ids: Sequence[str], failed: Sequence[str]) -> dict[str, Any]:
    """The reply to a batch: the two lists are strings that hold JSON."""
    return {
        "ResponseCode": "OK",
        "RequestId": request_id,
        "ResponseDescription": _ACCEPTED,
        "From": sender or "",
        "FailedList": orjson.dumps(failed).decode(),
        "MessageIdList": orjson.dumps(ids).decode(),
        "SuccessCount": str(len(ids)),
    }


def refusal(code: str, request_id: str, host: str, *, retry_after_ms: int | None = None) -> Answer:
    """The answer with *code*, in the shape that this code arrives in."""
    row = gateway.of(code)
    if row is None:
        description = gateway.description(code)
        reply = {"ResponseCode": code, "ResponseDescription": description, "RequestId": request_id}
        return Answer(orjson.dumps(reply))
    reply = {
        "RequestId": request_id,
        "HostId": host,
        "Code": code,
        "Message": row.message,
        "Recommend": f"{_RECOMMEND}{code}&requestId={request_id}",
    }
    headers = {} if retry_after_ms is None else {"x-acs-retry-after": str(retry_after_ms)}
    return Answer(orjson.dumps(reply), row.status, headers=headers)


def page(status: int) -> Answer:
    """A page of the proxy in front of the gateway."""
    title = f"{status} {_PAGES[status]}"
    html = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr/>Powered by Tengine</body>\r\n</html>\r\n"
    )
    return Answer(html.encode(), status, Wire.HTML, content_type="text/html")


def spoiled(reply: Mapping[str, Any], wire: Wire) -> bytes:
    """The bytes of *reply* as *wire* has them."""
    body = orjson.dumps(reply)
    middle = len(body) // 2
    match wire:
        case Wire.GARBLED:
            return body[:middle] + b"\xff\xfe<" + body[middle:]
        case Wire.TRUNCATED:
            return body[:middle]
        case Wire.EMPTY:
            return b""
        case Wire.WRONG_TYPES:
            return orjson.dumps({name: [{"value": value}] for name, value in reply.items()})
        case _:
            return body


def number_detail(number: str) -> Mapping[str, str]:
    """Where *number* is; made up, but stable."""
    return next((_DETAILS[number[:length]] for length in (3, 2, 1) if number[:length] in _DETAILS), _ELSEWHERE)


@lru_cache(maxsize=8192)  # counting would be a quarter of a call's cost, and senders repeat their texts
def _segments(text: str) -> str:
    return str(segments(text).count)
