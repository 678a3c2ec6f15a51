"""What acts on a terminal or shows nothing is always seen, and JSON keeps its value."""

import sys
import unicodedata

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.escaping import json_line, one_line

#: What Unicode calls controls, formats, surrogates, and separators of lines and paragraphs.
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def hidden() -> list[str]:
    return [char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(char) in HIDDEN]


def test_every_control_format_and_separator_of_unicode_is_escaped() -> None:
    assert [char for char in hidden() if char in one_line(char)] == []


@pytest.mark.parametrize("char", ["\u3164", "\u2800", "\u115f", "\uffa0", "\u034f", "\ufe0f", "\U000e0100"])
def test_what_shows_nothing_though_unicode_calls_it_a_letter_is_escaped(char: str) -> None:
    assert char not in one_line(f"a{char}b")


@pytest.mark.parametrize("text", ["", "Your code is 4711", "您的验证码", "Ünïcödé", "😀", "a\u00a0b", "\\x0a"])
def test_what_is_seen_stays(text: str) -> None:
    assert one_line(text) == text


def test_escapes_name_the_character() -> None:
    assert one_line("a\nb\x9b\u202e\U000e0001") == r"a\x0ab\x9b\u202e\U000e0001"
    assert one_line("\u00ad\u0600\ufff9\U0001d173") == r"\xad\u0600\ufff9\U0001d173"


def test_a_line_of_json_that_is_all_ascii_is_escaped_too() -> None:
    assert json_line(b'{"a":"\x7f"}\n') == b'{"a":"\\u007f"}\n'


@given(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.text(st.sampled_from([char for char in hidden() if unicodedata.category(char) != "Cs"]))
)
def test_json_with_escapes_is_parsed_to_the_same_value(text: str) -> None:
    line = json_line(orjson.dumps({"text": text}, option=orjson.OPT_APPEND_NEWLINE))

    assert orjson.loads(line) == {"text": text}
    assert line.count(b"\n") == 1
    assert one_line(line.decode()[:-1]) == line.decode()[:-1]
