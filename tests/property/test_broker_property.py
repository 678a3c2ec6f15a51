"""Properties that anybody may have written are read without an error, and what was read can be published again."""

import struct
from datetime import UTC, datetime
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import encode
from pamqp.header import ContentHeader

from tests.makers import LIFETIMES, make_raw
from worker.broker.lenient_decoding import content_header, short_text, timestamp, tolerate_hostile_properties
from worker.broker.message import deliveries_of, properties_of
from worker.broker.wire.properties import write_properties
from worker.core.message.decode import Request, decode
from worker.core.message.lane import Lane
from worker.core.outgoing.envelope import Outgoing
from worker.core.topology import Route

NOW = datetime(2026, 11, 23, tzinfo=UTC)
tolerate_hostile_properties()

#: Sizes of AMQP's field values of one size, by their type.
_SIZES = {b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"l": 8, b"f": 4, b"d": 8, b"D": 5, b"T": 8}
_FIXED = st.sampled_from(sorted(_SIZES.items())).flatmap(
    lambda kind: st.binary(min_size=kind[1], max_size=kind[1]).map(lambda payload: kind[0] + payload)
)
_LONG = st.tuples(st.sampled_from([b"S", b"x"]), st.binary(max_size=40)).map(
    lambda pair: pair[0] + struct.pack(">I", len(pair[1])) + pair[1]
)
#: One value of a header as it travels: its type and any bytes that fit it.
FIELDS = st.one_of(_FIXED, _LONG, st.just(b"V"))


@given(flags=st.integers(0, 0xFFFC), payload=st.binary(max_size=200))
def test_no_bytes_of_a_content_header_raise(flags: int, payload: bytes) -> None:
    frame = ContentHeader()
    content_header(frame, struct.pack(">HHQH", 60, 0, 7, flags & 0xFFFE) + payload)
    assert frame.body_size == 7


@given(st.integers(0, 2**64 - 1))
def test_every_timestamp_is_an_instant_or_none(seconds: int) -> None:
    size, instant = timestamp(struct.pack(">Q", seconds))
    assert size == 8
    assert instant is None or isinstance(instant, datetime)


@pytest.mark.parametrize(
    ("given_", "instant"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1_764_000_000, datetime(2025, 11, 24, 16, tzinfo=UTC)),
        (1 << 32, datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC)),
        (253_402_300_799, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        # Past the year 9999 in seconds; in milliseconds before there were requests.
        (253_402_300_800, None),
        (10**12, None),
        (1_767_225_599_999, None),
        (1_767_225_600_000, datetime(2026, 1, 1, tzinfo=UTC)),
        (1_795_435_200_123, datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ((1 << 64) - 1, None),
    ],
)
def test_a_timestamp_counts_seconds_or_milliseconds_of_our_time_and_is_otherwise_not_given(
    given_: int, instant: datetime | None
) -> None:
    assert timestamp(struct.pack(">Q", given_)) == (8, instant)


@given(seconds=st.integers(0, 2**64 - 1) | st.integers(1 << 31, 1 << 42))
def test_no_timestamp_that_lies_ahead_makes_a_request_expire(seconds: int) -> None:
    """Only what says the past in seconds, or in milliseconds since there are requests, counts against a request."""
    _, instant = timestamp(struct.pack(">Q", seconds))
    raw = make_raw()._replace(timestamp=cast("datetime | None", instant))
    request = decode(raw, LIFETIMES, NOW)

    assert isinstance(request, Request)
    now = int(NOW.timestamp())
    if not (0 < seconds <= now or 1_767_225_600_000 <= seconds <= now * 1_000):
        assert request.deadline == NOW + LIFETIMES[Lane.OTP]


@given(st.binary(max_size=255))
def test_every_short_text_is_read_and_can_be_written_again(raw: bytes) -> None:
    size, text = short_text(bytes([len(raw)]) + raw + b"more")
    assert size == len(raw) + 1
    assert len(encode.short_string(text)) <= size


@given(fields=st.lists(FIELDS, max_size=6), text=st.binary(max_size=255))
def test_headers_that_could_be_read_can_be_published_again(fields: list[bytes], text: bytes) -> None:
    table = b"".join(b"\x01" + bytes([97 + place]) + field for place, field in enumerate(fields))
    frame = ContentHeader()
    content_header(frame, struct.pack(">HHQHI", 60, 0, 7, 0x2000, len(table)) + table)
    _, kind = short_text(bytes([len(text)]) + text)
    headers = frame.properties.headers or {}

    message = Outgoing(Route("x", "k"), b"", headers, kind, kind, None, kind)

    assert len(headers) in {len(fields), 0}
    assert write_properties(properties_of(message, NOW, "m-1"))


@given(st.one_of(st.none(), st.dictionaries(st.just("x-delivery-count"), st.one_of(st.integers(), st.text()))))
def test_a_delivery_count_is_never_negative_whatever_a_publisher_claims(headers: object) -> None:
    assert deliveries_of(headers) >= 0
