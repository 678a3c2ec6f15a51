"""Bodies that are no request, or one that cannot be sent."""

import gzip
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson

from tests.hostile_case import DONE, EXPIRED, NOW, PREFIX, SECRET, Hostile, case, malformed, request
from worker.core.message.decode import MOST_BYTES
from worker.core.message.lane import Lane


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
        yield case(f"body: {what}", malformed("body"), body=body)
    for end in range(1, len(good), 13):
        yield case(f"body: cut after {end} bytes", malformed("body"), body=good[:end])


def odd_json() -> Iterator[Hostile]:
    for document in ("null", "true", "0", "-0.0", "1e5", "[]", "[null]", "[{}]", '"swordfish"'):
        yield case(f"body: {document}", malformed("body"), body=document.encode())
    for number in ("nan", "0x10", "01", "+1", ".5", "1."):
        yield case(f"body: {number} as a field", malformed("body"), body=b'{"id": %b}' % number.encode())
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "1" * 400, "1.0", "-0", "true"):
        yield case(f"body: {number[:9]} as the id", malformed("id"), body=b'{"id": %b }' % number.encode())
    yield case("body: an empty object", malformed("id: "), body=b"{}")
    lane, fields = request()
    padded = orjson.dumps(fields).ljust(MOST_BYTES)
    yield case("body: blanks up to the last byte allowed", DONE, body=padded, key=lane.value.encode())
    lane, fields = request()
    escaped = "".join(f"\\u{ord(character):04x}" for character in fields["text"])
    body = orjson.dumps(fields).replace(fields["text"].encode(), escaped.encode())
    yield case("body: a text of escapes", DONE, body=body, key=lane.value.encode())
    yield case("body: an emoji of four bytes", DONE, fields={"text": f"{SECRET} \U0001f600" * 60})


def repeated_keys() -> Iterator[Hostile]:
    for key in ("id", "to", "text", "type"):
        lane, fields = request()
        first = orjson.dumps({key: fields[key]})
        for what, again in (("the same", fields[key]), ("another", "7"), ("null", None)):
            body = orjson.dumps({key: again})[:-1] + b"," + orjson.dumps(fields)[1:]
            end = malformed(f"{key}: given more than once")
            yield case(f"{key}: before it {what}", end, body=body, key=lane.value.encode())
        body = orjson.dumps(fields)[:-1] + b" ," + first[1:]
        yield case(f"{key}: twice", malformed(f"{key}: given more than once"), body=body, key=lane.value.encode())
    for inner in (b'{"a":"1","a":"2"}', b'{"\\u0061":"1","a":"2"}', b'{},"metadata":{}'):
        lane, fields = request()
        body = orjson.dumps(fields)[:-1] + b',"metadata":' + inner + b"}"
        yield case(f"metadata: {inner!r}", malformed("given more than once"), body=body, key=lane.value.encode())


def wrong_types() -> Iterator[Hostile]:
    odd: tuple[Any, ...] = (True, 7, 1.5, [], {}, [SECRET], {f"{SECRET}!": SECRET}, int(f"{PREFIX}00000"))
    of_text = ("id", "to", "type", "text", "from", "task_id", "not_before", "deadline")
    for name in of_text:
        for value in odd:
            yield case(f"{name}: {value!r}", malformed(f"{name}: "), fields={name: value})
    for name in ("template", "metadata"):
        for value in (True, 7, 1.5, [], SECRET, [SECRET], {"code": 7}, {"code": [SECRET]}, {f"{SECRET}!": {}}):
            yield case(f"{name}: {value!r}", malformed(name), fields={name: value})
    for name in ("id", "to", "type", "text"):
        yield case(f"{name}: missing", malformed(name), fields={name: ...})
        yield case(f"{name}: null", malformed(name), fields={name: None})
    yield case("metadata: null", malformed("metadata"), fields={"metadata": None})
    for name in ("template", "from", "task_id", "not_before", "deadline"):
        yield case(f"{name}: null, which is as good as not given", DONE, fields={name: None})
    for name in ("Text", "text ", "cc", "attempts", "sender", "", "\0", f"{PREFIX}00000", "k" * 5_000, "__proto__"):
        yield case(f"an unknown field: {name[:20]!r}", malformed("Extra inputs"), fields={name: SECRET})
    yield case("a hundred unknown fields", malformed("more"), fields={f"{SECRET}_{n}": n for n in range(100)})


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
        "text": (
            "",
            " ",
            "\r\n",
            "\u2003",
            "\u200b",
            "\u3164\u2800",
            "\u202e\ufe0f\u00a0",
            "\U000e0041",
            f"{SECRET}\0",
            f"\x1b[2J{SECRET}",
            f"{SECRET}\x7f",
            f"{SECRET}\x85",
        ),
        "from": ("", " ", "Twelve-Chars", "TwelveLetter", "1" * 16, "A B", "Ünal", "A\0", "x" * 65, f"{SECRET} bank"),
        "task_id": ("", " ", "t" * 256, "a\0b", "a\tb"),
    }
    for name, values in wrong.items():
        for value in values:
            yield case(f"{name}: {value[:30]!r} ({len(value)})", malformed(f"{name}: "), fields={name: value})
    yield case("text: a character too long", malformed("text: "), fields={"text": SECRET.ljust(1_501, ".")})
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
        yield case(f"metadata: {what}", malformed("metadata"), fields={"metadata": metadata})


def contradictions() -> Iterator[Hostile]:
    usual = {"to": f"86{PREFIX}00000", "text": ..., "from": "Sign", "template": {"code": "SMS_1"}}
    odd: dict[str, tuple[str, dict[str, Any]]] = {
        "a text to mainland China": ("to: ", {"template": ..., "text": SECRET}),
        "neither it nor a text": ("template", {"template": ...}),
        "a text as well": ("template", {"text": SECRET}),
        "no signature": ("from: ", {"from": ...}),
        "another country": ("template: ", {"to": f"{PREFIX}00000"}),
        "no code": ("template.code", {"template": {}}),
        "a code with a blank": ("template.code", {"template": {"code": "SMS 1"}}),
        "a field too many": ("template", {"template": {"code": "SMS_1", "lang": SECRET}}),
        "params in a list": ("template.params", {"template": {"code": "A", "params": [SECRET]}}),
        "a number in params": ("template.params", {"template": {"code": "A", "params": {"a": 1}}}),
        "a NUL in a parameter": ("template.params", {"template": {"code": "A", "params": {"a": f"{SECRET}\0"}}}),
        "an escape in a parameter": ("template.params", {"template": {"code": "A", "params": {"\x1b": SECRET}}}),
        "55 KB in a parameter": ("template.params", {"template": {"code": "A", "params": {"a": "x" * 55_000}}}),
        "2 KB in parameters": (
            "template.params",
            {"template": {"code": "A", "params": {"a": "x" * 1_000, "b": "x" * 1_000}}},
        ),
        "65 params": ("template.params", {"template": {"code": "A", "params": {f"k{n}": "" for n in range(65)}}}),
    }
    for what, (word, fields) in odd.items():
        yield case(f"template: {what}", malformed(word), fields=usual | fields)


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
            yield case(f"{name}: {text!r}", malformed(f"{name}: "), fields={name: text})
    ago, ahead = (NOW - timedelta(seconds=9)).isoformat(), (NOW + timedelta(days=365)).isoformat()
    for text in (ago, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "1970-01-01T00:00:00-23:59"):
        yield case(f"deadline: {text}, past", EXPIRED, fields={"deadline": text})
    for text in ("9999-12-31T23:59:59.999999999-23:59", "9999-12-31t23:59:59z", ahead):
        yield case(f"deadline: {text}, in good time", DONE, fields={"deadline": text})
    for text in (ahead, "9999-12-31T23:59:59-23:59"):
        yield case(f"not_before: {text}", malformed("not_before: "), fields={"not_before": text})
    for text in ("0001-01-01T00:00:00+23:59", ago):
        yield case(f"not_before: {text}, past", DONE, fields={"not_before": text})
    for text in (ago, ahead):
        instants = {"not_before": ahead, "deadline": text}
        yield case(f"not_before: not before {text}, its deadline", malformed("not_before: "), fields=instants)


def wrong_lanes() -> Iterator[Hostile]:
    for lane in Lane:
        for other in Lane:
            if lane is not other:
                end = malformed(f"type: {lane.sms_type.value} does not belong on the lane {other.value}")
                yield case(f"{lane} on {other}", end, key=other.value.encode(), fields={"type": lane.sms_type.value})
