"""The frames of the hot path against the frame library, both ways, in whatever pieces they come."""

import struct
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import encode
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel, Queue
from pamqp.exceptions import PAMQPException
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from tests import hostile
from tests.hostile_case import Hostile
from tests.hostile_properties import FIELD_TYPES
from worker.broker.lenient_decoding import tolerate_hostile_properties
from worker.broker.wire import frames
from worker.broker.wire.cutter import Closed, Confirmed, Cutter, Delivered, Event, Returned
from worker.broker.wire.properties import Properties, read_header, write_properties

tolerate_hostile_properties()

OURS, OTHERS, THEIRS = 3, 5, 1
FRAME_MAX = 4_096
_SHORT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
_NAMES = st.from_regex(r"[a-z.:]{0,20}", fullmatch=True)
INSTANTS = st.integers(86_400, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.floats(allow_nan=False)
    | INSTANTS
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_SHORT.filter(lambda name: len(name.encode()) <= 128), inner, max_size=3)
    ),
    max_leaves=8,
)
HEADERS = st.dictionaries(_SHORT.filter(lambda name: len(name.encode()) <= 128), _VALUES, max_size=5)
PROPERTIES = st.builds(
    Properties,
    content_type=st.none() | _SHORT,
    content_encoding=st.none() | _SHORT,
    headers=st.none() | HEADERS,
    correlation_id=st.none() | _SHORT,
    message_id=st.none() | _SHORT,
    timestamp=st.none() | INSTANTS,
    type=st.none() | _SHORT,
    app_id=st.none() | _SHORT,
)


def library_of(properties: Properties) -> Basic.Properties:
    return Basic.Properties(
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        headers=properties.headers,  # type: ignore[arg-type]
        delivery_mode=2,
        correlation_id=properties.correlation_id,
        message_id=properties.message_id,
        timestamp=properties.timestamp,
        message_type=properties.type,
        app_id=properties.app_id,
    )


def library_frames(written: bytes) -> list[tuple[int, Any]]:
    found = []
    while written:
        size, channel, frame = unmarshal(written)
        found.append((channel, frame))
        written = written[size:]
    return found


@given(PROPERTIES)
def test_properties_are_written_as_the_library_writes_them(properties: Properties) -> None:
    assert write_properties(properties) == library_of(properties).marshal()


@given(st.text(min_size=256, max_size=300))
def test_what_no_short_text_can_hold_is_refused_by_both(text: str) -> None:
    with pytest.raises(TypeError):
        write_properties(Properties(type=text))
    with pytest.raises(TypeError):
        library_of(Properties(type=text)).marshal()


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, object(), {"in": {1}}], ids=repr)
def test_a_header_that_no_table_can_hold_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError, struct.error)):
        write_properties(Properties(headers={"x": value}))


@given(
    channel=st.integers(1, 65_535),
    exchange=_NAMES,
    key=_SHORT,
    properties=PROPERTIES,
    size=st.integers(0, 3 * FRAME_MAX) | st.sampled_from([FRAME_MAX - 9, FRAME_MAX - 8, FRAME_MAX - 7]),
)
def test_a_publish_is_written_as_the_library_writes_it(
    channel: int, exchange: str, key: str, properties: Properties, size: int
) -> None:
    body = bytes(number % 251 for number in range(size))
    parts = [body[start : start + FRAME_MAX - 8] for start in range(0, size, FRAME_MAX - 8)]
    expected: list[Any] = [
        Basic.Publish(exchange=exchange, routing_key=key, mandatory=True),
        ContentHeader(body_size=size, properties=library_of(properties)),
        *map(ContentBody, parts),
    ]
    written = frames.publish_frames(channel, exchange, key, write_properties(properties), body, FRAME_MAX)
    assert written == b"".join(marshal(frame, channel) for frame in expected)
    assert len(library_frames(frames.publish_frames(channel, "", "", b"\x10\x00\x02", body, 0))) == 2 + (size > 0)


@pytest.mark.parametrize(("exchange", "key"), [("x" * 128, "k"), ("x", "k" * 256), ("x", "é" * 128)])
def test_a_route_that_amqp_cannot_hold_is_refused(exchange: str, key: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        frames.publish_frames(1, exchange, key, b"", b"", FRAME_MAX)


@given(channel=st.integers(1, 65_535), tag=st.integers(1, 2**63 - 1))
def test_acknowledgements_are_written_as_the_library_writes_them(channel: int, tag: int) -> None:
    assert frames.ack_frame(channel, tag) == marshal(Basic.Ack(delivery_tag=tag), channel)
    assert frames.requeue_frame(channel, tag) == marshal(Basic.Nack(delivery_tag=tag, requeue=True), channel)


def seen(properties: Any) -> tuple[Any, ...]:
    """What this program looks at, of properties that either has read; floats by their bytes, for NaN is not itself."""
    kind = properties.type if isinstance(properties, Properties) else properties.message_type
    fields = (properties.content_type, properties.content_encoding, properties.headers, properties.message_id)
    return tuple(map(repr, (*fields, properties.correlation_id, properties.timestamp, kind)))


def assert_read_alike(payload: bytes) -> None:
    header = ContentHeader()
    header.unmarshal(payload)  # the lenient one
    size, properties = read_header(b"before" + payload + b"\xceafter", 6, 6 + len(payload))
    assert (size, seen(properties)) == (header.body_size, seen(header.properties))


@given(PROPERTIES, st.integers(0, 2**64 - 1))
def test_properties_are_read_as_the_library_reads_them(properties: Properties, size: int) -> None:
    written = write_properties(properties)
    assert_read_alike(struct.pack(">HHQ", 60, 0, size) + written)


@given(properties=PROPERTIES, place=st.integers(0, 200), byte=st.integers(0, 255), cut=st.integers(0, 200))
def test_properties_with_a_wrong_byte_or_cut_short_are_read_as_the_library_reads_them(
    properties: Properties, place: int, byte: int, cut: int
) -> None:
    payload = bytearray(struct.pack(">HHQ", 60, 0, 7) + write_properties(properties))
    payload[place % len(payload)] = byte
    assert_read_alike(bytes(payload))
    assert_read_alike(bytes(payload[: cut % len(payload)]))


@given(flags=st.integers(0, 0xFFFF), payload=st.binary(max_size=120))
def test_any_bytes_are_read_as_the_library_reads_them(flags: int, payload: bytes) -> None:
    assert_read_alike(struct.pack(">HHQH", 60, 0, 7, flags) + payload)


@pytest.mark.parametrize("case", hostile.collection(), ids=lambda case: case.what[:60])
def test_hostile_properties_are_read_as_the_library_reads_them(case: Hostile) -> None:
    assert_read_alike(struct.pack(">HHQ", 60, 0, 7) + case.properties)


@pytest.mark.parametrize("written", FIELD_TYPES.values(), ids=FIELD_TYPES)
def test_every_type_of_a_header_is_read_as_the_library_reads_it(written: bytes) -> None:
    for inner in (written, b"A" + struct.pack(">I", len(written)) + written):
        table = b"\x03odd" + inner + b"\x01zV"
        assert_read_alike(struct.pack(">HHQHI", 60, 0, 7, 0x2000, len(table)) + table)
        assert_read_alike(struct.pack(">HHQHI", 60, 0, 7, 0x2000, len(table) - 1) + table)


# What is received: a script of frames of three channels, of which two are claimed.


def _delivery(channel: int, tag: int, redelivered: bool, exchange: str, properties: Properties, body: bytes) -> Any:
    method = Basic.Deliver("c", tag, redelivered, exchange, "key")
    return channel, (method, *_content(properties, body))


def _content(properties: Properties, body: bytes) -> tuple[Any, ...]:
    parts = [body[start : start + 30] for start in range(0, len(body), 30)]
    return ContentHeader(body_size=len(body), properties=library_of(properties)), *map(ContentBody, parts)


#: A few are enough where properties are not what is looked at.
_SOME = st.sampled_from(
    [
        Properties(),
        Properties("application/json", None, {"x-sms-attempts": 2, "own": "é"}, "r-1", "m-1", None, "sms.request.v1"),
        Properties(headers={"x-death": [{"count": 1, "queue": "q"}]}, timestamp=datetime(2026, 11, 23, tzinfo=UTC)),
    ]
)
_CHANNELS = st.sampled_from([OURS, OTHERS, THEIRS])
_TAGS = st.integers(1, 2**63 - 1)
_DELIVERIES = st.builds(_delivery, _CHANNELS, _TAGS, st.booleans(), _NAMES, _SOME, st.binary(max_size=100))
_CONFIRMS = st.tuples(
    _CHANNELS,
    st.tuples(st.builds(Basic.Ack, _TAGS, st.booleans()) | st.builds(Basic.Nack, _TAGS, st.booleans())),
)
_RETURNS = st.builds(
    lambda channel, properties, body: (channel, (Basic.Return(312, "NO_ROUTE", "x", "k"), *_content(properties, body))),
    _CHANNELS,
    _SOME,
    st.binary(max_size=40),
)
_OTHERS = st.tuples(
    _CHANNELS, st.tuples(st.sampled_from([Basic.ConsumeOk("c"), Queue.DeclareOk("q", 1, 2), Basic.Cancel("c")]))
)
_BEATS = st.just((0, (Heartbeat(),)))
SCRIPTS = st.lists(_DELIVERIES | _CONFIRMS | _RETURNS | _OTHERS | _BEATS, max_size=8)


def events_of(script: Iterable[tuple[int, tuple[Any, ...]]]) -> tuple[list[Event], bytes]:
    """What a cutter has to make of it, said by the frames as the library knows them."""
    events: list[Any] = []
    passed = b""
    for channel, (first, *rest) in script:
        wire = b"".join(marshal(frame, channel) for frame in (first, *rest))
        match first:
            case _ if channel not in (OURS, OTHERS):
                passed += wire
            case Basic.Deliver():
                header, body = rest[0], b"".join(part.value for part in rest[1:])
                known = (first.consumer_tag, first.delivery_tag, first.redelivered, first.exchange)
                events.append((Delivered, channel, *known, seen_again(header), body))
            case Basic.Ack() | Basic.Nack():
                events.append((Confirmed, channel, first.delivery_tag, first.multiple, isinstance(first, Basic.Ack)))
            case Basic.Return():
                events.append((Returned, channel, rest[0].properties.message_id or None))
            case _:
                passed += wire
    return events, passed


def seen_again(header: ContentHeader) -> tuple[Any, ...]:
    return seen(library_frames(marshal(header, 1))[0][1].properties)


def shown(events: Iterable[Event]) -> list[Any]:
    return [
        (type(event), *(seen(part) if isinstance(part, Properties) else part for part in event)) for event in events
    ]


def cutter() -> Cutter:
    made = Cutter()
    made.agree(FRAME_MAX)
    made.claim(OURS)
    made.claim(OTHERS)
    return made


def fed(made: Cutter, pieces: Iterable[bytes]) -> tuple[list[Event], bytes]:
    events: list[Event] = []
    passed = b""
    for piece in pieces:
        more, rest = made.cut(piece)
        events += more
        passed += rest
    return events, passed


def wire_of(script: Iterable[tuple[int, tuple[Any, ...]]]) -> bytes:
    return b"".join(marshal(frame, channel) for channel, parts in script for frame in parts)


@given(script=SCRIPTS, cuts=st.lists(st.integers(0, 5_000), max_size=6))
def test_what_comes_in_pieces_is_cut_as_what_comes_at_once(script: Any, cuts: list[int]) -> None:
    wire, (events, passed) = wire_of(script), events_of(script)
    places = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    ways = ([wire], [wire[a:b] for a, b in pairwise(places)], [bytes([byte]) for byte in wire])
    for way in ways:
        made = cutter()
        found, rest = fed(made, way)
        assert (shown(found), rest) == (events, passed)
        assert (made.error, made.rest()) == (None, b"")


@given(st.data())
def test_frames_of_messages_on_several_channels_may_take_turns(data: st.DataObject) -> None:
    one, two = (data.draw(_DELIVERIES | _RETURNS) for _ in range(2))
    one, two = (OURS, one[1]), (OTHERS, two[1])
    left = {OURS: list(one[1]), OTHERS: list(two[1])}
    mixed: list[tuple[int, tuple[Any, ...]]] = []
    while any(left.values()):
        channel = data.draw(st.sampled_from([channel for channel, parts in left.items() if parts]))
        mixed += [(channel, (left[channel].pop(0),)), (THEIRS, (Queue.DeclareOk("q", 1, 2),))]
    found, rest = fed(cutter(), [wire_of(mixed)])
    assert sorted(map(repr, shown(found))) == sorted(map(repr, events_of([one, two])[0]))
    assert len(library_frames(rest)) == len(mixed) / 2


@given(script=SCRIPTS.filter(bool), place=st.integers(0, 5_000), byte=st.integers(0, 255))
def test_a_wrong_byte_never_raises_and_never_makes_a_message_that_the_library_refuses(
    script: Any, place: int, byte: int
) -> None:
    wire = bytearray(wire_of(script))
    wire[place % len(wire)] = byte
    made = cutter()
    found, rest = fed(made, [bytes(wire)])
    again = cutter()
    found_again, rest_again = fed(again, [bytes([one]) for one in wire])
    assert (shown(found), rest) == (shown(found_again), rest_again)
    assert (made.error is None) == (again.error is None)
    assert shown(found) == read_by_the_library(bytes(wire), rest, len(found))


def read_by_the_library(wire: bytes, passed: bytes, count: int) -> list[Any]:
    """The first so many events, as the library reads frame after frame."""
    events: list[Any] = []
    claimed = {OURS, OTHERS}
    held: dict[int, list[Any]] = {}
    while len(events) < count:
        _, channel, size = struct.unpack_from(">BHI", wire)
        given_, wire = wire[: size + 8], wire[size + 8 :]
        if channel not in claimed:
            continue  # the library will judge that itself
        try:
            frame: Any = unmarshal(given_)[2]
        except PAMQPException:
            assert given_ in passed  # nothing of ours: the library refuses it, and ends the connection
            continue
        match frame:
            case Basic.Ack() | Basic.Nack():
                events.append((Confirmed, channel, frame.delivery_tag, frame.multiple, isinstance(frame, Basic.Ack)))
            case Basic.Deliver() | Basic.Return():
                held[channel] = [frame]
            case ContentHeader() | ContentBody():
                held[channel].append(frame)
            case Channel.Close() | Channel.CloseOk():
                claimed.discard(channel)
                events.append((Closed, channel))
        if (whole := whole_of(channel, held.get(channel, []))) is not None:
            del held[channel]
            events.append(whole)
    return events


def whole_of(channel: int, parts: list[Any]) -> tuple[Any, ...] | None:
    """The event of a message, once all its frames are there."""
    if len(parts) < 2:
        return None
    first, header, body = parts[0], parts[1], b"".join(part.value for part in parts[2:])
    if len(body) < header.body_size:
        return None
    if isinstance(first, Basic.Return):
        return Returned, channel, header.properties.message_id
    known = (first.consumer_tag, first.delivery_tag, first.redelivered, first.exchange)
    return Delivered, channel, *known, seen(header.properties), body


@given(st.binary(max_size=300))
def test_no_bytes_raise_and_none_of_a_channel_that_is_not_claimed_are_lost(received: bytes) -> None:
    made = Cutter()
    passed = fed(made, [received])[1]
    assert passed + made.rest() == received


def test_encode_and_decode_agree_on_the_library_s_own_terms() -> None:
    assert encode.field_table({"k" * 200: 1}) == write_properties(Properties(headers={"k" * 200: 1}))[2:-1]


def test_a_broken_frame_is_one_that_the_library_refuses() -> None:
    wire = bytearray(marshal(Basic.Ack(delivery_tag=1), OURS))
    wire[-1] = 0
    made = cutter()
    assert fed(made, [bytes(wire)]) == ([], b"")
    assert made.error is not None
    with pytest.raises(PAMQPException):
        unmarshal(bytes(wire))
