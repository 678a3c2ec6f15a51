"""Properties, headers and routing keys that lie, cannot be read, or cannot be written again."""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from tests.hostile_case import (
    DONE,
    EXPIRED,
    NOW,
    PREFIX,
    SECRET,
    UNROUTABLE,
    Hostile,
    case,
    malformed,
    request,
    retried,
)
from tests.raw_amqp import field, nested, table
from worker.core.message.history import MOST_COUNT

_YEAR_10000_S: Final = 253_402_300_800


def odd_properties() -> Iterator[Hostile]:
    for kind in (None, "", "sms.request.v2", "SMS.REQUEST.V1", "sms.request.v1 ", "*", "t" * 255, b"\xff\xfe", SECRET):
        yield case(f"property type: {kind!r}", malformed("property type"), given={"type": kind})
    for kind in ("", "text/plain", "application/json; charset=utf-8", "APPLICATION/JSON", b"\xff" * 255):
        yield case(f"property content_type: {kind!r}", malformed("content_type"), given={"content_type": kind})
    for encoding in ("", "gzip", "utf-16", "base64", "identity", b"\xc3", "x" * 255):
        end = malformed("content_encoding")
        yield case(f"property content_encoding: {encoding!r}", end, given={"content_encoding": encoding})
    yield case("property timestamp: 1, long ago", EXPIRED, given={"timestamp": 1})
    now_us = int(NOW.timestamp() * 1_000_000)
    lies: dict[str, tuple[Any, ...]] = {
        "content_type": (None,),
        "content_encoding": ("utf-8", "UTF-8"),
        # In seconds they lie far ahead; in milliseconds some would lie long ago.
        "timestamp": (
            *(0, 1 << 31, 1 << 32, _YEAR_10000_S - 1, _YEAR_10000_S, 10**12, 1_767_225_599_999, 1 << 63, (1 << 64) - 1),
            *(now_us // 1_000, now_us, now_us * 1_000, now_us // 1_000 + 10**9),
        ),
        "expiration": ("3600000", "4294967295"),
        "priority": (0, 9, 255),
        "delivery_mode": (1,),
        "reply_to": ("", "sms.done", "sms.send.otp", "r" * 255, b"\xff"),
        "correlation_id": ("", "h-1", "c" * 255, b"\xff\x00", f"{PREFIX}00000"),
        "message_id": ("", "m" * 255, b"\xfe", f"{PREFIX}00000"),
        "app_id": ("sms-worker", b"\xff", SECRET),
        "cluster_id": ("", "c" * 255),
        "user_id": ("guest",),
    }
    for name, values in lies.items():
        for value in values:
            shown = value if isinstance(value, int) else value and value[:20]
            yield case(f"property {name}: {shown!r}", DONE, given={name: value})


def lying_history() -> Iterator[Hostile]:
    """Headers named like the workers' own: a publisher's are left out, whatever they say, and the workers' are read."""
    value: Any
    for name in ("attempts", "retries", "unknowns", "replays"):
        for value in (-1, MOST_COUNT + 1, 1 << 62, 1.0, True, "7", f"{PREFIX}00000", [], {"a": 1}, None):
            yield from _two_ways(f"x-sms-{name}", value)
        yield case(f"x-sms-{name}: at its limit", DONE, given={"headers": {f"x-sms-{name}": MOST_COUNT}})
    for name in ("published", "first-tried"):
        for value in (
            "",
            "yesterday",
            "2026-11-23T12:00:00",
            "0001-01-01T00:00:00+23:59",
            1_790_000_000,
            [],
            {},
            False,
        ):
            yield from _two_ways(f"x-sms-{name}", value)
        for text in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
            yield case(f"x-sms-{name}: {text}", DONE, given={"headers": {f"x-sms-{name}": text}})
    for value in (
        *("", "null", "{}", "7", "[7]", '["abc"]', "[[1,2,3]]", "[[null,null,null]]", "[" * 5_000, SECRET, "[[]]"),
        *(7, True, [], {}, [["2026-11-23T12:00:00Z", "OK", "accepted"]]),
        f'[["2026-11-23T12:00:00Z","{"c" * 65}","accepted"]]',
        f'[["2026-11-23T12:00:00","OK","{SECRET}"]]',
    ):
        yield from _two_ways("x-sms-history", value)
    fake = orjson.dumps([["2026-11-23T12:00:00Z", "OK", "accepted"]] * 1_500).decode()
    yield case("x-sms-history: 1,500 entries that never were", DONE, given={"headers": {"x-sms-history": fake}})
    claims = {"x-sms-class": "accepted", "x-sms-reason": SECRET, "x-sms-lane": "otp", "x-sms-died": 7, "x-sms-": "x"}
    yield from _three_ways("x-sms-*: a death that never was", claims)


def _two_ways(name: str, value: Any) -> Iterator[Hostile]:
    """A header as a publisher lies, and as a worker of another version might write it."""
    given, shown = {"headers": {name: value}}, repr(value)[:30]
    yield case(f"{name}: {shown}", DONE, given=given)
    yield case(f"{name}: {shown}; returned", malformed(f"header {name}"), given=given, exchange="sms.due")


def foreign_headers() -> Iterator[Hostile]:
    """What is none of ours."""
    death = {"queue": "sms.delay.00", "reason": "expired", "exchange": "sms.delay.00", "count": 7}
    odd: dict[str, Any] = {
        "x-death: a cycle that never was": {"x-death": [death] * 3, "x-first-death-queue": "sms.delay.00"},
        "x-death: a text": {"x-death": SECRET},
        "x-death: a number": {"x-death": 7},
        "x-delivery-count: 1,000": {"x-delivery-count": 1_000},
        "x-delivery-count: below zero": {"x-delivery-count": -5},
        "x-delivery-count: a text": {"x-delivery-count": "many"},
        "CC: nowhere": {"CC": ["nowhere", ""]},
        "BCC: nowhere": {"BCC": ["nowhere"]},
        "nothing": {},
        "a key without letters": {"": 1},
        "a key of 128 bytes": {"k" * 128: 1},
        "a key of 255 bytes": {f"{SECRET} {PREFIX}00000 ".ljust(255, "k"): 1},
        "a key twice": struct.pack(">I", 22) + 2 * table({"a": 1})[4:],
        "100 KB in one": {"big": "x" * 100_000},
        "100 KB in many": {f"k{n:04}": "x" * 14 for n in range(4_000)},
        "40 KB of nothing": {"none": [None] * 40_000},
        "a nest of 10 tables": {"deep": nested(10)},
        "a nest of 200 tables": {"deep": nested(200)},
        "a nest of 400 tables": {"deep": nested(400)},
        "a nest of lists": {"deep": [[[[[[SECRET]]]]]]},
        **{f"type {kind}": {"odd": written} for kind, written in FIELD_TYPES.items()},
    }
    for what, headers in odd.items():
        yield from _three_ways(f"headers: {what}", headers)
    copies = {"headers": {"CC": ["otp", "notify", "marketing"]}}
    strangers = (malformed("does not belong on the lane"),) * 2
    yield case("CC: every lane", DONE, *strangers, given=copies)
    yield case("BCC: every lane", DONE, *strangers, given={"headers": {"BCC": ["otp", "notify", "marketing"]}})


def _three_ways(what: str, headers: Any) -> Iterator[Hostile]:
    """A request that is sent, one that is published again first, and one that dies with its headers."""
    given = {"headers": headers}
    yield case(what, DONE, given=given)
    yield case(f"{what}; tried twice", DONE, given=given, fields=retried(), key=b"notify")
    yield case(f"{what}; no recipient", malformed("to: "), given=given, fields={"to": ...})


#: Every type of a field in a table that RabbitMQ reads, and the values at its ends. It ends the connection of whoever
#: publishes a float that is endless or no number.
FIELD_TYPES: Final[Mapping[str, bytes]] = {
    "t": b"t\x07",
    "b": b"b\x80",
    "B": b"B\xff",
    "s": b"s\x80\x00",
    "u": b"u\xff\xff",
    "I": b"I\x80\x00\x00\x00",
    "i": b"i\xff\xff\xff\xff",
    "l": b"l\x80" + bytes(7),
    "l, the largest": b"l\x7f" + b"\xff" * 7,
    "f": b"f\x7f\x7f\xff\xff",
    "d, beyond a float": field(1e300),
    "D": b"D\x02\x00\x00\x01\x00",
    "D, the largest": b"D\x00\xff\xff\xff\xff",
    "D, the finest": b"D\xff\x7f\xff\xff\xff",
    "S, no UTF-8": b"S\x00\x00\x00\x03\xff\xfe\xfd",
    "S, a NUL": field(f"{SECRET}\0"),
    "T": b"T" + struct.pack(">Q", 1_790_000_000),
    "T, milliseconds": b"T" + struct.pack(">Q", 1_790_000_000_999),
    "T, nanoseconds": b"T" + struct.pack(">Q", (1 << 64) - 1),
    "V": b"V",
    "x": b"x\x00\x00\x00\x03\xff\xfe\xfd",
    "A, of all": field([b"V", b"t\x01", b"x\x00\x00\x00\x01\xff", 1e300, [b"S\x00\x00\x00\x01\xff"]]),
    "F, of bytes": field({"in": b"S\x00\x00\x00\x01\xff"}),
}


def unreadable_headers() -> Iterator[Hostile]:
    """The broker reads them and passes them on; the frame library cannot, and what follows them is lost with them."""
    odd: dict[str, Any] = {
        "a key that is no UTF-8": {b"\xff\xfe": 1},
        "a nest of 2,000 tables": {"deep": nested(2_000)},
        "a nest of 9,000 tables": {"deep": nested(9_000)},
    }
    for what, headers in odd.items():
        yield case(f"headers: {what}", malformed("property type"), given={"headers": headers})


def astray() -> Iterator[Hostile]:
    keys = ("", "OTP", "otp ", " otp", "otp.", "#", "*", "sms.send.otp", "mkt", "otp\0", "k" * 255, f"{PREFIX}00000")
    for key in keys:
        yield case(f"routing key: {key[:20]!r}", UNROUTABLE, key=key.encode())
    yield case("routing key: no UTF-8", UNROUTABLE, key=b"\xff\xfe")
    lane, _ = request()
    copied = {"headers": {"CC": [lane.value]}}
    yield case(
        "routing key: no UTF-8, but a copy", DONE, key=b"\xfe", given=copied, fields={"type": lane.sms_type.value}
    )
