"""From the bytes of an answer to its facts, whoever wrote it: the provider, its gateway, or a proxy on the way.

Never raises. What cannot be read is left out; a fact that is missing makes the outcome unknown, a wrong one would make
it wrong, so nothing is guessed.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import orjson

from worker.core.outcome.members import BatchReply
from worker.core.outcome.outcome import Reply

#: Bytes of a body that are worth reading: an answer has less than 1 KiB, what is longer comes from somebody else.
MOST_BYTES: Final = 65_536
#: The same for a call with several messages: an answer has up to 1,000 message ids, each with less than 128 characters.
MOST_BATCH_BYTES: Final = 262_144
#: Longer identifiers are not the provider's, and they would go into logs and headers.
_LONGEST_IDENTIFIER: Final = 128
#: Digits of the longest wait that is believed, in milliseconds: 11 days.
_MOST_DIGITS: Final = 9
#: The only header that is read.
RETRY_AFTER: Final = "x-acs-retry-after"
_XML_FIELDS: Final = re.compile(rb"<(Code|RequestId)>\s*([^<]{1,256}?)\s*</\1>")


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """Read the answer; *headers* has lower-case names or ignores case.

    Three shapes are known. The API answers JSON with ``ResponseCode``, whether it took the message or not; its gateway
    answers JSON, or XML, with ``Code``. Any other answer has only its HTTP status.
    """
    return _reply(status, headers, _fields(body, MOST_BYTES))


def read_batch_reply(status: int, headers: Mapping[str, str], body: bytes) -> BatchReply:
    """Read the answer to a call with several messages; otherwise as `read_reply`.

    Its two lists are documented as strings that hold JSON; lists are taken as well. What it writes when nobody
    failed is not documented: nothing, null, an empty string and an empty list are the same.
    """
    fields = _fields(body, MOST_BATCH_BYTES)
    return BatchReply(
        reply=_reply(status, headers, fields),
        success_count=_count(fields.get("SuccessCount")),
        failed=_numbers(fields.get("FailedList")),
        message_ids=_listed(fields.get("MessageIdList")),
    )


def _reply(status: int, headers: Mapping[str, str], fields: Mapping[str, Any]) -> Reply:
    gateway = "ResponseCode" not in fields
    return Reply(
        status=status,
        code=_code(fields.get("Code" if gateway else "ResponseCode")),
        from_gateway=gateway and "Code" in fields,
        request_id=_identifier(fields.get("RequestId")),
        message_id=_identifier(fields.get("MessageId")),
        segments=_count(fields.get("Segments")),
        country=_country(fields.get("NumberDetail")),
        retry_after=_retry_after(headers.get(RETRY_AFTER)),
    )


def _fields(body: bytes, most: int) -> dict[str, Any]:
    if len(body) > most:
        return {}
    if body.lstrip()[:1] == b"<":
        return _xml_fields(body)
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _xml_fields(body: bytes) -> dict[str, Any]:
    """Only the gateway's ``<Error>``; a parser of XML would bring its attacks along."""
    if b"<Error>" not in body:
        return {}
    return {name.decode(): value.decode("utf-8", "replace") for name, value in _XML_FIELDS.findall(body)}


def _code(value: object) -> str | None:
    """The provider's codes are words; a number is somebody else's idea of a code, often the HTTP status again."""
    return value if isinstance(value, str) and value else None


def _identifier(value: object) -> str | None:
    """*value* as a text, if it is one or a number where the provider should have written one."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_IDENTIFIER or not value.isprintable():
        return None
    return value


def _count(value: object) -> int | None:
    """The provider writes numbers as texts."""
    word = _identifier(value)
    return int(word) if word and _is_number(word) else None


def _numbers(value: object) -> tuple[str, ...] | None:
    """The numbers of a list, which may be absent or empty, as digits; None when it cannot be read."""
    if value is None or (isinstance(value, str) and value.strip() in {"", "null"}):
        return ()
    listed = _listed(value)
    return None if listed is None else tuple([number.removeprefix("+") for number in listed])


def _listed(value: object) -> tuple[str, ...] | None:
    """The identifiers of a list, or of a string that holds one as JSON; None when it is anything else."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    if not isinstance(value, list):
        return None
    words = [_identifier(each) for each in value]
    return None if None in words else tuple([word for word in words if word is not None])


def _country(value: object) -> str | None:
    return _identifier(value.get("Country")) if isinstance(value, dict) else None


def _retry_after(value: str | None) -> timedelta | None:
    """The SDK reads the header as milliseconds, and a zero as if there were none."""
    if not value or not _is_number(value) or int(value) == 0:
        return None
    return timedelta(milliseconds=int(value))


def _is_number(word: str) -> bool:
    return len(word) <= _MOST_DIGITS and word.isascii() and word.isdigit()
