"""However the bytes of an answer are cut, it is the same; whatever they are, nothing is raised."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from worker.provider.http.answer import Answer, AnswerReader

MOST_BODY = 4096
STATUSES = st.sampled_from([200, 202, 302, 400, 403, 404, 429, 500, 502, 503])
#: No line of them ends it, and none has a meaning here.
HEADERS = st.lists(st.text("abcdefgh ", min_size=1, max_size=20), max_size=10)
SIGNS_OF_LIFE = st.lists(st.sampled_from([100, 102, 103]), max_size=3)


def cut(message: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(message), *(place % (len(message) + 1) for place in cuts)})
    return [message[one:two] for one, two in pairwise(places)]


def read(pieces: Sequence[bytes], *, ends: bool = False) -> AnswerReader:
    reader = AnswerReader(frozenset({b"x-acs-retry-after"}), MOST_BODY)
    for piece in pieces:
        reader.feed(memoryview(piece))
    if ends:
        reader.end()
    return reader


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, Answer]:
    """An answer as bytes, and what it is; its body ends in each of the three ways."""
    status, body = draw(STATUSES), draw(st.binary(max_size=200))
    lines = [f"X-{number}: {text}" for number, text in enumerate(draw(HEADERS))]
    way = draw(st.sampled_from(["length", "chunks", "end"]))
    wire = body
    if way == "length":
        lines.append(f"Content-Length: {len(body)}")
    if way == "chunks":
        lines.append("Transfer-Encoding: chunked")
        parts = cut(body, draw(st.lists(st.integers(0, 200), max_size=5)))
        wire = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    before = "".join(f"HTTP/1.1 {sign} So far\r\nX: y\r\n\r\n" for sign in draw(SIGNS_OF_LIFE))
    head = "\r\n".join((f"HTTP/1.1 {status} Whatever", *lines, "", ""))
    return (before + head).encode() + wire, Answer(status, {}, body)


@given(messages(), st.lists(st.integers(0, 10_000), max_size=50))
def test_an_answer_is_the_same_however_it_is_cut(message: tuple[bytes, Answer], cuts: list[int]) -> None:
    wire, expected = message
    for pieces in ([wire], cut(wire, cuts), [bytes([byte]) for byte in wire]):
        reader = read(pieces, ends=True)
        assert reader.answer == expected
        assert not reader.is_broken


@given(messages(), st.integers(0, 10_000), st.binary(min_size=1, max_size=20))
def test_a_few_bytes_of_it_that_are_others_raise_nothing_wherever_it_is_cut(
    message: tuple[bytes, Answer], place: int, noise: bytes
) -> None:
    wire = bytearray(message[0])
    place %= len(wire)
    wire[place : place + len(noise)] = noise
    whole, bytewise = read([bytes(wire)], ends=True), read([bytes([byte]) for byte in wire], ends=True)

    assert whole.answer == bytewise.answer
    assert whole.is_broken == bytewise.is_broken == (whole.answer is None)


@given(st.lists(st.binary(max_size=300), max_size=20), st.booleans())
def test_any_bytes_at_all_raise_nothing(pieces: list[bytes], ends: bool) -> None:
    reader = read(pieces, ends=ends)

    assert not (reader.is_broken and reader.answer)
