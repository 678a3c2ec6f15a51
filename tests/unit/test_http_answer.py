"""What of the bytes of a connection is an answer."""

import pytest

from worker.provider.http.answer import MOST_HEAD, MOST_HEADERS, Answer, AnswerReader

MOST_BODY = 1000
KEPT = b"x-acs-retry-after"


def reader() -> AnswerReader:
    return AnswerReader(frozenset({KEPT}), MOST_BODY)


def read(*pieces: bytes, ends: bool = False) -> AnswerReader:
    one = reader()
    for piece in pieces:
        one.feed(piece)
    if ends:
        one.end()
    return one


def bytewise(message: bytes, *, ends: bool = False) -> AnswerReader:
    return read(*[bytes([byte]) for byte in message], ends=ends)


def head(*lines: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    return "\r\n".join((f"HTTP/{version} {status}", *lines, "", "")).encode()


PLAIN = head("Content-Length: 2") + b"{}"
CHUNKED = head("Transfer-Encoding: chunked")

#: Message, status, body, whether the connection may be used again.
ANSWERS = [
    (PLAIN, 200, b"{}", True),
    (head("Content-Length: 0", status="503 No"), 503, b"", True),
    (head(status="204 No Content"), 204, b"", True),
    (head("Content-Length: 7", status="304 Not Modified"), 304, b"", True),
    (CHUNKED + b"1\r\n{\r\n1;why=not\r\n}\r\n0\r\nTrailer: x\r\n\r\n", 200, b"{}", True),
    (head("Content-Length: 2", "Connection: close") + b"{}", 200, b"{}", False),
    (head("Content-Length: 2", version="1.0") + b"{}", 200, b"{}", False),
    (head("Content-Length: 2", "Connection: keep-alive", version="1.0") + b"{}", 200, b"{}", True),
    (head("Content-Length: 2", "Content-Encoding: identity") + b"{}", 200, b"{}", True),
    (head(status="100 Continue") + head("Link: x", status="103 Early Hints") + PLAIN, 200, b"{}", True),
    (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", 200, b"{}", True),
]

NO_ANSWERS = [
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\0" * 64,
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"HTTP/1.1 -5 no\r\n\r\n",
    b"HTTP/1.1 099 no\r\n\r\n",
    head("Upgrade: x", "Connection: upgrade", status="101 Switching Protocols") + PLAIN,
    head("Content-Length: -1"),
    head("Content-Length: 2", "Content-Length: 3") + b"{}x",
    head("Content-Length: 99999999999999999999"),
    head("Content-Length: 2", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
    head("Transfer-Encoding: gzip"),
    head("Transfer-Encoding: gzip, chunked"),
    head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    CHUNKED + b"zz\r\n",
    CHUNKED + b"2\r\n{}}",
    head("Content-Encoding: gzip", "Content-Length: 2") + b"{}",
    head(*["X: y"] * (MOST_HEADERS + 1)),
    CHUNKED + b"0\r\n" + b"X: y\r\n" * (MOST_HEADERS + 1),
    head("X: " + "x" * MOST_HEAD),
    head(status="100 Continue") * (MOST_HEAD // 20),
    b"HTTP/1.1 200 " + b"O" * MOST_HEAD,
    CHUNKED + b"1;" + b"x" * MOST_HEAD,
]


@pytest.mark.parametrize(("message", "status", "body", "is_kept"), ANSWERS)
def test_an_answer_is_read_whole_and_byte_by_byte(message: bytes, status: int, body: bytes, is_kept: bool) -> None:
    for one in (read(message), bytewise(message)):
        assert one.answer == Answer(status, {}, body)
        assert (one.is_kept, one.is_broken) == (is_kept, False)


@pytest.mark.parametrize("message", NO_ANSWERS)
def test_anything_else_is_broken_and_stays_so(message: bytes) -> None:
    for one in (read(message), bytewise(message)):
        assert (one.answer, one.is_broken, one.is_kept) == (None, True, False)
        one.feed(PLAIN)
        one.end()
        assert (one.answer, one.is_broken) == (None, True)


@pytest.mark.parametrize("message", [message for message, *_ in ANSWERS])
def test_before_its_last_byte_it_is_none_and_its_end_is_a_break(message: bytes) -> None:
    for end in range(len(message)):
        one = read(message[:end])
        assert (one.answer, one.is_broken) == (None, False), message[:end]
        one.end()
        assert (one.answer, one.is_broken) == (None, True), message[:end]


def test_without_a_length_the_end_is_the_end() -> None:
    message = head(version="1.0") + b"{}"

    assert read(message).answer is None
    for one in (read(message, ends=True), bytewise(message, ends=True)):
        assert one.answer == Answer(200, {}, b"{}")
        assert not one.is_kept


@pytest.mark.parametrize("more", [b"H", PLAIN, b"garbage", b"\0"])
@pytest.mark.parametrize("first", [PLAIN, head("Content-Length: 2", "Connection: close") + b"{}"])
def test_what_comes_after_an_answer_changes_nothing_but_that_it_is_the_last(first: bytes, more: bytes) -> None:
    for one in (read(first + more), read(first, more), bytewise(first + more)):
        assert one.answer == Answer(200, {}, b"{}")
        assert (one.is_kept, one.is_broken) == (False, False)


def test_only_headers_that_were_asked_for_are_kept_and_the_first_of_each_counts() -> None:
    lines = ("X-ACS-Retry-After: \t1500 ", "x-acs-retry-after: 7", "Set-Cookie: a=b", "Content-Length: 0")
    trailer = CHUNKED + b"0\r\nx-acs-retry-after: 9\r\n\r\n"
    sign_of_life = head("x-acs-retry-after: 9", status="103 Early Hints")

    assert read(head(*lines)).answer == Answer(200, {"x-acs-retry-after": "1500"}, b"")
    assert read(trailer).answer == Answer(200, {}, b"")
    assert read(sign_of_life + PLAIN).answer == Answer(200, {}, b"{}")


@pytest.mark.parametrize(
    "message",
    [
        head("Content-Length: 999999") + b" " * 2 * MOST_BODY,
        head() + b" " * 2 * MOST_BODY,
        CHUNKED + b"1\r\n \r\n" * 2 * MOST_BODY,
    ],
)
def test_a_body_that_is_too_long_is_an_answer_that_shows_it_and_the_last_one(message: bytes) -> None:
    for one in (read(message), bytewise(message)):
        assert one.answer is not None
        assert MOST_BODY < len(one.answer.body) <= 2 * MOST_BODY
        assert not one.is_kept


def test_one_answer_after_another_has_nothing_of_the_one_before() -> None:
    one = reader()
    one.feed(head("x-acs-retry-after: 9", "Content-Length: 3") + b"abc")
    for _ in range(3 * MOST_HEADERS):
        one.expect()
        assert one.answer is None
        one.feed(PLAIN)
        assert one.answer == Answer(200, {}, b"{}")
        assert one.is_kept
