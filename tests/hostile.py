"""Messages that are malformed, or that lie, and where each must end: no worker may ever trip over one.

Rules of this file. Every message has a body of its own, by which it is told at its end; every number begins with
`PREFIX` and every text holds `SECRET`, by which a leak is told. A message that only lies about what a worker must not
rely on ends like an honest one.
"""

import gzip
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final, TypeAlias

import orjson

from tests.makers import make_fields
from tests.raw_amqp import field, nested, properties, short, table
from worker.core.decode import MOST_BYTES
from worker.core.history import MOST_COUNT
from worker.core.lane import Lane
from worker.core.outcome import ErrorClass
from worker.core.request import MESSAGE_TYPE

PREFIX: Final = "852512"
SECRET: Final = "swordfish"
#: Where a message ends, and a word that the reason of its death must hold.
End: TypeAlias = tuple[ErrorClass, str]
DONE: Final[End] = (ErrorClass.ACCEPTED, "")
EXPIRED: Final[End] = (ErrorClass.EXPIRED, "deadline")
#: The broker itself put it there, so it has no reason.
UNROUTABLE: Final[End] = (ErrorClass.UNROUTABLE, "")

_serial = count(1)
_NOW: Final = datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Hostile:
    """A message as it goes over the wire."""

    what: str
    key: bytes
    body: bytes
    properties: bytes
    #: More than one when it makes the broker deliver copies.
    ends: tuple[End, ...]


def malformed(word: str) -> End:
    """Malformed, for a reason that holds *word*."""
    return ErrorClass.MALFORMED, word


def request(**changes: Any) -> tuple[Lane, dict[str, Any]]:
    """A request that nobody wrote before, valid but for *changes*, and its lane: each lane has its turn."""
    serial = next(_serial)
    lane = list(Lane)[serial % 3]
    own = {"id": f"h-{serial}", "to": f"+{PREFIX}{serial:05}", "text": f"{SECRET} {serial}"}
    return lane, make_fields(lane, **own | changes)


def _case(
    what: str,
    *ends: End,
    body: bytes | None = None,
    key: bytes | None = None,
    given: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Hostile:
    """A request with *changes*, or *body*, under the properties of any publisher and those that are *given*."""
    lane, fields = request(**changes)
    usual = {"type": MESSAGE_TYPE, "content_type": "application/json", "delivery_mode": 2}
    written = properties(**usual | dict(given or {}))
    whole = orjson.dumps(fields) if body is None else body
    return Hostile(what, lane.value.encode() if key is None else key, whole, written, ends)


def collection() -> tuple[Hostile, ...]:
    """Every message."""
    groups = (
        no_json,
        odd_json,
        repeated_keys,
        wrong_types,
        wrong_values,
        contradictions,
        absurd_instants,
        wrong_lanes,
        odd_properties,
        lying_history,
        foreign_headers,
        unreadable_headers,
        astray,
    )
    return tuple(hostile for group in groups for hostile in group())


# -- bodies -----------------------------------------------------------------------------------------------------------


def no_json() -> Iterator[Hostile]:
    _, fields = request()
    good = orjson.dumps(fields)
    text = good.decode()
    bodies = {
        "nothing": b"",
        "a blank": b" ",
        "a NUL": b"\0",
        "a word": SECRET.encode(),
        "a number of a phone": f"+{PREFIX}00000".encode(),
        "XML": f"<sms><to>{PREFIX}00000</to></sms>".encode(),
        "a form": f"to={PREFIX}00000&text={SECRET}".encode(),
        "a line of CSV": f"h-1,{PREFIX}00000,{SECRET}\n".encode(),
        "gzip": gzip.compress(good, mtime=0),
        "every byte": bytes(range(256)),
        "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94.",
        "UTF-16": text.encode("utf-16"),
        "UTF-16, little endian": text.encode("utf-16-le"),
        "UTF-32": text.encode("utf-32"),
        "a byte order mark": b"\xef\xbb\xbf" + good,
        "Latin-1": text.replace(SECRET, f"{SECRET}é").encode("latin-1"),
        "an overlong slash": good.replace(b"swordfish", b"swordfish\xc0\xaf"),
        "a surrogate in UTF-8": good.replace(b"swordfish", b"swordfish\xed\xa0\x80"),
        "half a character": good.replace(b"swordfish", b"swordfish\xf0\x9f\x98"),
        "a byte of no encoding": good.replace(b"swordfish", b"swordfish\xff"),
        "a lone surrogate, escaped": good.replace(b"swordfish", rb"swordfish\ud800"),
        "surrogates in the wrong order": good.replace(b"swordfish", rb"swordfish\udc00\ud800"),
        "an escape that there is not": good.replace(b"swordfish", rb"swordfish\x41"),
        "a line break in a text": good.replace(b"swordfish", b"swordfish\nfish"),
        "single quotes": text.replace('"', "'").encode(),
        "keys without quotes": text.replace('"id"', "id").encode(),
        "a comment": b"/* swordfish */" + good,
        "a comma too many": good[:-1] + b",}",
        "two requests": good + good,
        "lines of JSON": good + b"\n" + good + b"\n",
        "something behind it": good + b" swordfish",
        "100,000 open brackets": b"[" * 100_000,
        "60,000 open brackets": b"[" * 60_000,
        "30,000 nested lists": b"[" * 30_000 + b"]" * 30_000,
        "10,000 nested objects": b'{"id":' * 10_000 + b"1" + b"}" * 10_000,
        "a nest within a field": good.replace(b'"swordfish', b"[" * 9_000 + b"]" * 9_000 + b'"'),
        "an endless number": b'{"id":' + b"9" * 60_000 + b"}",
        "10 MB of a text": b'{"text":"' + SECRET.encode() * 1_165_084 + b'"}',
        "a byte too long": good + b" " * (MOST_BYTES + 1 - len(good)),
    }
    for what, body in bodies.items():
        yield _case(f"body: {what}", malformed("body"), body=body)
    for end in range(1, len(good), 13):
        yield _case(f"body: cut after {end} bytes", malformed("body"), body=good[:end])


def odd_json() -> Iterator[Hostile]:
    for document in ("null", "true", "0", "-0.0", "1e5", "[]", "[null]", "[{}]", '"swordfish"'):
        yield _case(f"body: {document}", malformed("body"), body=document.encode())
    for number in ("nan", "0x10", "01", "+1", ".5", "1."):
        yield _case(f"body: {number} as a field", malformed("body"), body=b'{"id": %b}' % number.encode())
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "1" * 400, "1.0", "-0", "true"):
        yield _case(f"body: {number[:9]} as the id", malformed("id"), body=b'{"id": %b }' % number.encode())
    yield _case("body: an empty object", malformed("id: "), body=b"{}")
    lane, fields = request()
    padded = orjson.dumps(fields).ljust(MOST_BYTES)
    yield _case("body: blanks up to the last byte allowed", DONE, body=padded, key=lane.value.encode())
    lane, fields = request()
    escaped = "".join(f"\\u{ord(character):04x}" for character in fields["text"])
    body = orjson.dumps(fields).replace(fields["text"].encode(), escaped.encode())
    yield _case("body: a text of escapes", DONE, body=body, key=lane.value.encode())
    yield _case("body: an emoji of four bytes", DONE, text=f"{SECRET} \U0001f600" * 60)


def repeated_keys() -> Iterator[Hostile]:
    for key in ("id", "to", "text", "type"):
        lane, fields = request()
        first = orjson.dumps({key: fields[key]})
        for what, again in (("the same", fields[key]), ("another", "7"), ("null", None)):
            body = orjson.dumps({key: again})[:-1] + b"," + orjson.dumps(fields)[1:]
            end = malformed(f"{key}: given more than once")
            yield _case(f"{key}: before it {what}", end, body=body, key=lane.value.encode())
        body = orjson.dumps(fields)[:-1] + b" ," + first[1:]
        yield _case(f"{key}: twice", malformed(f"{key}: given more than once"), body=body, key=lane.value.encode())
    for inner in (b'"metadata":{"a":"1","a":"2"}', b'"metadata":{"\\u0061":"1","a":"2"}', b'"metadata":{},"metadata":{}'):
        lane, fields = request()
        body = orjson.dumps(fields)[:-1] + b"," + inner + b"}"
        yield _case(f"repeated: {inner!r}", malformed("given more than once"), body=body, key=lane.value.encode())


def wrong_types() -> Iterator[Hostile]:
    odd: tuple[Any, ...] = (True, 7, 1.5, [], {}, [SECRET], {f"{SECRET}!": SECRET}, int(f"{PREFIX}00000"))
    of_text = ("id", "to", "type", "text", "from", "task_id", "not_before", "deadline")
    for name in of_text:
        for value in odd:
            yield _case(f"{name}: {value!r}", malformed(f"{name}: "), **{name: value})
    for name in ("template", "metadata"):
        for value in (True, 7, 1.5, [], SECRET, [SECRET], {"code": 7}, {"code": [SECRET]}, {f"{SECRET}!": {}}):
            yield _case(f"{name}: {value!r}", malformed(name), **{name: value})
    for name in ("id", "to", "type", "text"):
        yield _case(f"{name}: missing", malformed(name), **{name: ...})
        yield _case(f"{name}: null", malformed(name), **{name: None})
    yield _case("metadata: null", malformed("metadata"), metadata=None)
    for name in ("template", "from", "task_id", "not_before", "deadline"):
        yield _case(f"{name}: null, which is as good as not given", DONE, **{name: None})
    for name in ("Text", "text ", "phone", "cc", "attempts", "sender", "", "\0", f"{PREFIX}00000", "k" * 5_000, "__proto__"):
        yield _case(f"an unknown field: {name[:20]!r}", malformed("Extra inputs are not permitted"), **{name: SECRET})
    yield _case("a hundred unknown fields", malformed("more"), **{f"{SECRET}_{n}": n for n in range(100)})


def wrong_values() -> Iterator[Hostile]:
    wrong: dict[str, tuple[str, ...]] = {
        "id": ("", " ", "a b", "a/b", "é", "\uff11", "a\n", "\0", "a" * 129, "a" * 5_000, "../../etc/passwd", "a;b"),
        "to": (
            "",
            "+",
            "852512",
            f"{PREFIX}0000000000",
            f"00{PREFIX}00000",
            f"+0{PREFIX}00000",
            f"++{PREFIX}00000",
            f"{PREFIX} 00000",
            f"{PREFIX}-00000",
            f"{PREFIX}00000\n",
            f"{PREFIX}00000,{PREFIX}00001",
            f"tel:+{PREFIX}00000",
            "\uff18\uff15\uff12\uff15\uff11\uff12\uff10\uff10\uff10\uff10\uff10",
            "\u0668\u0665\u0662\u0665\u0661\u0662\u0660\u0660\u0660\u0660\u0660",
            "8525120000\u00b2",
            "8" * 5_000,
        ),
        "type": ("", "otp", "notify", "SMS", "OTP ", "NOTIFY\0", "*", "O" * 5_000),
        "text": ("", " ", "\n\r\n", "\u2003", f"{SECRET}\0", f"\x1b[2J{SECRET}", f"{SECRET}\x7f", f"{SECRET}\x85", "\t"),
        "from": ("", " ", "Twelve-Chars", "TwelveLetter", "1" * 16, "A B", "Ünal", "A\0", "x" * 65, f"{SECRET} bank"),
        "task_id": ("", " ", "t" * 256, "a\0b", "a\tb"),
    }
    for name, values in wrong.items():
        for value in values:
            yield _case(f"{name}: {value[:30]!r} ({len(value)})", malformed(f"{name}: "), **{name: value})
    yield _case("text: a character too long", malformed("text: "), text=SECRET.ljust(1_501, "."))
    pairs: dict[str, Any] = {
        "17 pairs": {f"k{n}": "" for n in range(17)},
        "an empty key": {"": "v"},
        "a key too long": {"k" * 65: "v"},
        "a value too long": {"k": SECRET * 30},
        "a number": {"k": int(f"{PREFIX}00000")},
        "no value": {"k": None},
        "a nest": {"k": {"k": SECRET}},
    }
    for what, metadata in pairs.items():
        yield _case(f"metadata: {what}", malformed("metadata"), metadata=metadata)


def contradictions() -> Iterator[Hostile]:
    mainland: dict[str, Any] = {"to": f"86{PREFIX}00000", "text": ..., "from": "Sign", "template": {"code": "SMS_1"}}
    odd: dict[str, Any] = {
        "text": ("text to mainland China", malformed("to: "), {"template": ..., "text": SECRET}),
        "none": ("neither text nor template", malformed("template"), {"template": ...}),
        "both": ("text and template", malformed("template"), {"text": SECRET}),
        "sender": ("no signature", malformed("from: "), {"from": ...}),
        "abroad": ("template abroad", malformed("template: "), {"to": f"{PREFIX}00000"}),
        "empty": ("template without code", malformed("template.code"), {"template": {}}),
        "code": ("code with a blank", malformed("template.code"), {"template": {"code": "SMS 1"}}),
        "extra": ("template with more", malformed("template"), {"template": {"code": "SMS_1", "lang": SECRET}}),
        "list": ("params in a list", malformed("template.params"), {"template": {"code": "A", "params": [SECRET]}}),
        "number": ("a number in params", malformed("template.params"), {"template": {"code": "A", "params": {"a": 1}}}),
        "many": ("65 params", malformed("template.params"), {"template": {"code": "A", "params": _pairs(65)}}),
    }
    for what, end, changes in odd.values():
        yield _case(f"template: {what}", end, **mainland | changes)


def _pairs(number: int) -> dict[str, str]:
    return {f"k{each}": "" for each in range(number)}


def absurd_instants() -> Iterator[Hostile]:
    no_instants = (
        "",
        "now",
        "1700000000",
        "2026-11-23",
        "2026-11-23T12:00:00",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-23T24:00:01Z",
        "2026-11-23T23:59:60Z",
        "2026-11-23T12:00:00+24:00",
        "2026-11-23T12:00:00+99:99",
        "2026-11-23T12:00:00.Z",
        "20261123T120000Z",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "\uff12026-11-23T12:00:00Z",
        "2026-11-23T12:00:00Z\n",
        "P1D",
        "Mon, 23 Nov 2026 12:00:00 GMT",
    )
    for name in ("not_before", "deadline"):
        for text in no_instants:
            yield _case(f"{name}: {text!r}", malformed(f"{name}: "), **{name: text})
    ago, ahead = (_NOW - timedelta(seconds=9)).isoformat(), (_NOW + timedelta(days=365)).isoformat()
    for text in (ago, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "1970-01-01T00:00:00-23:59"):
        yield _case(f"deadline: {text}, past", EXPIRED, deadline=text)
    for text in ("9999-12-31T23:59:59.999999999-23:59", "9999-12-31t23:59:59z", ahead):
        yield _case(f"deadline: {text}, in good time", DONE, deadline=text)
    for text in (ahead, "9999-12-31T23:59:59-23:59"):
        yield _case(f"not_before: {text}", malformed("not_before: "), not_before=text)
    for text in ("0001-01-01T00:00:00+23:59", ago):
        yield _case(f"not_before: {text}, past", DONE, not_before=text)
    yield _case("not_before: after the deadline", malformed("not_before: "), not_before=ahead, deadline=ago)
    yield _case("not_before: at the deadline", malformed("not_before: "), not_before=ahead, deadline=ahead)


def wrong_lanes() -> Iterator[Hostile]:
    for lane in Lane:
        for other in Lane:
            if lane is not other:
                end = malformed(f"type: {lane.sms_type.value} does not belong on the lane {other.value}")
                yield _case(f"{lane} on {other}", end, key=other.value.encode(), type=lane.sms_type.value)


# -- properties -------------------------------------------------------------------------------------------------------


def odd_properties() -> Iterator[Hostile]:
    for kind in (None, "", "sms.request.v2", "SMS.REQUEST.V1", "sms.request.v1 ", "*", "t" * 255, b"\xff\xfe", SECRET):
        yield _case(f"property type: {kind!r}", malformed("property type"), given={"type": kind})
    for kind in ("", "text/plain", "application/xml", "application/json; charset=utf-8", "APPLICATION/JSON", b"\xff" * 255):
        yield _case(f"property content_type: {kind!r}", malformed("content_type"), given={"content_type": kind})
    for encoding in ("", "gzip", "utf-16", "base64", "identity", b"\xc3", "x" * 255):
        end = malformed("content_encoding")
        yield _case(f"property content_encoding: {encoding!r}", end, given={"content_encoding": encoding})
    for second in (1, 1 << 32):  # the latter is taken for milliseconds
        yield _case(f"property timestamp: {second}, long ago", EXPIRED, given={"timestamp": second})
    now_us = int(_NOW.timestamp() * 1_000_000)
    lies: dict[str, tuple[Any, ...]] = {
        "content_type": (None,),
        "content_encoding": ("utf-8", "UTF-8"),
        "timestamp": (0, 1 << 31, now_us // 1_000, now_us, now_us * 1_000, 1 << 63, (1 << 64) - 1),
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
            yield _case(f"property {name}: {shown!r}", DONE, given={name: value})


def lying_history() -> Iterator[Hostile]:
    number: Any
    for name in ("attempts", "retries", "unknowns", "replays"):
        for number in (-1, MOST_COUNT + 1, 1 << 62, 1.0, True, "7", f"{PREFIX}00000", [], {"a": 1}, None):
            end = malformed(f"header x-sms-{name}")
            yield _case(f"x-sms-{name}: {number!r}", end, given={"headers": {f"x-sms-{name}": number}})
        yield _case(f"x-sms-{name}: at its limit", DONE, given={"headers": {f"x-sms-{name}": MOST_COUNT}})
    for name in ("published", "first-tried"):
        for text in ("", "yesterday", "2026-11-23T12:00:00", "0001-01-01T00:00:00+23:59", 1_790_000_000, -1, [], {}, False):
            end = malformed(f"header x-sms-{name}")
            yield _case(f"x-sms-{name}: {text!r}", end, given={"headers": {f"x-sms-{name}": text}})
        for text in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
            yield _case(f"x-sms-{name}: {text}", DONE, given={"headers": {f"x-sms-{name}": text}})
    for history in (
        *("", "null", "{}", "7", "[7]", '["abc"]', "[[1,2,3]]", "[[null,null,null]]", "[" * 5_000, SECRET, "[[]]"),
        *(7, True, [], {}, [["2026-11-23T12:00:00Z", "OK", "accepted"]]),
        f'[["2026-11-23T12:00:00Z","{"c" * 65}","accepted"]]',
        f'[["2026-11-23T12:00:00","OK","{SECRET}"]]',
    ):
        end = malformed("header x-sms-history")
        shown = repr(history)[:30]
        yield _case(f"x-sms-history: {shown}", end, given={"headers": {"x-sms-history": history}})
    fake = orjson.dumps([["2026-11-23T12:00:00Z", "OK", "accepted"]] * 1_500).decode()
    yield _case("x-sms-history: 1,500 entries that never were", DONE, given={"headers": {"x-sms-history": fake}})
    claims = {"x-sms-class": "accepted", "x-sms-reason": SECRET, "x-sms-lane": "otp", "x-sms-died": 7, "x-sms-": "x"}
    yield _case("x-sms-*: a death that never was", DONE, given={"headers": claims})
    yield _case("x-sms-*: a death that never was, and now one that is", malformed("to: "), given={"headers": claims}, to="")


def foreign_headers() -> Iterator[Hostile]:
    """What is none of ours: each alone, on a request that is sent, and on one that dies with its headers."""
    death = {"queue": "sms.delay.00", "reason": "expired", "exchange": "sms.delay.00", "count": 7, "routing-keys": ["otp"]}
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
        "a key twice": table({"a": 1})[4:] * 2,
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
        given = {"headers": struct.pack(">I", len(headers)) + headers if isinstance(headers, bytes) else headers}
        yield _case(f"headers: {what}", DONE, given=given)
        yield _case(f"headers: {what}, and no recipient", malformed("to: "), given=given, to=...)
    copies = {"headers": {"CC": ["otp", "notify", "marketing"]}}
    strangers = (malformed("does not belong on the lane"),) * 2
    yield _case("CC: every lane", DONE, *strangers, given=copies)
    yield _case("BCC: every lane", DONE, *strangers, given={"headers": {"BCC": ["otp", "notify", "marketing"]}})


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
        yield _case(f"headers: {what}", malformed("property type"), given={"headers": headers})


def astray() -> Iterator[Hostile]:
    keys = ("", "OTP", "otp ", " otp", "otp.", "#", "*", "sms.send.otp", "mkt", "otp\0", "k" * 255, f"{PREFIX}00000")
    for key in keys:
        yield _case(f"routing key: {key[:20]!r}", UNROUTABLE, key=key.encode())
    yield _case("routing key: no UTF-8", UNROUTABLE, key=b"\xff\xfe")
    lane, _ = request()
    copied = {"headers": {"CC": [lane.value]}}
    yield _case("routing key: no UTF-8, but a copy", DONE, key=b"\xfe", given=copied, type=lane.sms_type.value)
