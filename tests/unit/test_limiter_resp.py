"""The bytes of Redis' protocol, however the network cuts them."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import BusyLoadingError, InvalidResponse, NoScriptError, ResponseError

from worker.limiter.resp import Replies, packed, packed_call
from worker.limiter.scripts import HELD


def told(reply: Any) -> bytes:
    """How Redis tells *reply*, by the protocol's own words: https://redis.io/docs/latest/develop/reference/protocol-spec"""
    match reply:
        case None:
            return b"$-1\r\n"
        case bool():
            raise TypeError("RESP 2 has none")
        case int():
            return b":%d\r\n" % reply
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(reply), reply)
        case Exception():
            return b"-ERR %s\r\n" % str(reply).encode()
        case list():
            return b"*%d\r\n" % len(reply) + b"".join(map(told, reply))
    raise TypeError(reply)


def fed(pieces: Sequence[bytes]) -> list[Any]:
    replies = Replies()
    return [reply for piece in pieces for reply in replies.feed(piece)]


def comparable(reply: Any) -> Any:
    if isinstance(reply, list):
        return [comparable(each) for each in reply]
    return (type(reply), str(reply)) if isinstance(reply, Exception) else reply


VALUES = st.recursive(
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.binary(max_size=30)
    | st.from_regex(r"[a-z]{1,20}", fullmatch=True).map(ResponseError),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=4))
def test_replies_are_the_same_wherever_they_are_cut_in_two(values: list[Any]) -> None:
    stream = b"".join(map(told, values))
    expected = comparable(values)

    for at in range(len(stream) + 1):
        assert comparable(fed([stream[:at], stream[at:]])) == expected
    assert comparable(fed([bytes([byte]) for byte in stream])) == expected


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_a_reply_is_told_with_its_last_byte_and_not_before(values: list[Any], data: st.DataObject) -> None:
    stream = b"".join(map(told, values))
    last = data.draw(st.integers(1, len(told(values[-1]))))

    assert len(fed([stream[:-last]])) == len(values) - 1


@given(st.lists(st.binary(max_size=40) | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20), min_size=1))
def test_a_command_is_an_array_of_its_words(words: list[bytes | int | str]) -> None:
    spelled = [word if isinstance(word, bytes) else str(word).encode() for word in words]

    assert packed(*words) == told(spelled)


def test_a_script_is_run_by_its_digest() -> None:
    assert packed_call(HELD, [b"key"], (0, "x")) == told([b"EVALSHA", HELD.sha.encode(), b"1", b"key", b"0", b"x"])


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"-NOSCRIPT No matching script.\r\n", NoScriptError),
        (b"-LOADING Redis is loading the dataset in memory\r\n", BusyLoadingError),
        (b"-NOREPLICAS Not enough good replicas to write.\r\n", ResponseError),
    ],
)
def test_an_error_is_a_reply_of_its_kind(line: bytes, kind: type[Exception]) -> None:
    first, error, last = fed([b":1\r\n" + line + b":2\r\n"])

    assert (first, type(error), last) == (1, kind, 2)


def test_what_is_said_unasked_is_no_reply() -> None:
    push = b">2\r\n$6\r\nMOVING\r\n:5\r\n"

    assert fed([push + b":1\r\n" + push + b":2\r\n" + push]) == [1, 2]


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n", b"\0" * 64, b":many\r\n", b"*99999999999999\r\n"])
def test_what_is_no_reply_is_refused_once_and_for_all(noise: bytes) -> None:
    replies = Replies()

    assert replies.feed(b":1\r\n") == [1]
    for bytes_said in (noise, b":2\r\n"):
        with pytest.raises(InvalidResponse):
            replies.feed(bytes_said)
