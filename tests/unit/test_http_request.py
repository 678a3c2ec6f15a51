"""The bytes of a call."""

import pytest

from worker.provider.http.request import post


def test_a_call_is_these_bytes() -> None:
    assert post("To=852&Message=%E4%BD%A0", {"host": "sms.example:8080", "Accept": "application/json"}) == (
        b"POST /?To=852&Message=%E4%BD%A0 HTTP/1.1\r\n"
        b"host: sms.example:8080\r\n"
        b"Accept: application/json\r\n"
        b"Content-Length: 0\r\n"
        b"\r\n"
    )


def test_a_call_with_a_body_tells_its_length_and_has_no_question_mark_without_a_query() -> None:
    assert post("", {"host": "h"}, "Accept: a\r\n", b"To=852") == (
        b"POST / HTTP/1.1\r\nhost: h\r\nAccept: a\r\nContent-Length: 6\r\n\r\nTo=852"
    )


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0", "\x7f", "\u2028", "\ud800"])
def test_what_would_end_a_header_is_refused_and_not_quoted(bad: str) -> None:
    for headers in ({"host": bad}, {bad: "host"}):
        with pytest.raises(ValueError, match=r"\Aa header of the call has a character that no header may hold\Z"):
            post("To=852", headers)


@pytest.mark.parametrize("bad", ["a b", "a\nb", "ü", "\x7f"])
def test_a_query_that_is_not_encoded_is_refused_and_not_quoted(bad: str) -> None:
    with pytest.raises(ValueError, match=r"\Athe query of the call has a character that no query may hold\Z"):
        post(bad, {"host": "h"})


def test_a_header_beyond_ascii_is_written_as_utf_8() -> None:
    assert "x: é\r\n".encode() in post("a=b", {"x": "é"})
