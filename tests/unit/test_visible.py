"""Whether a text shows anything to whoever gets it."""

from itertools import combinations

import pytest

from worker.core.message.visible import is_seen, shows_nothing, without_unseen_ends

UNSEEN = {
    "blank": " ",
    "no-break space": "\u00a0",
    "ideographic space": "\u3000",
    "line feed": "\n",
    "line separator": "\u2028",
    "soft hyphen": "\u00ad",
    "grapheme joiner": "\u034f",
    "Arabic letter mark": "\u061c",
    "Hangul fillers": "\u115f\u1160\u3164\uffa0",
    "Khmer inherent vowels": "\u17b4\u17b5",
    "Mongolian separators": "\u180b\u180c\u180d\u180e\u180f",
    "zero width": "\u200b\u200c\u200d\u2060\ufeff",
    "direction marks": "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    "invisible operators": "\u2061\u2062\u2063\u2064",
    "Braille blank": "\u2800",
    "variation selectors": "\ufe00\ufe0e\ufe0f\U000e0100\U000e01ef",
    "interlinear marks": "\ufff9\ufffa\ufffb",
    "shorthand controls": "\U0001bca0",
    "musical marks": "\U0001d173",
    "reserved for marks": "\u2065\ufff0\ufff8\U000e0000\U000e0080\U000e0fff",
    "tags": "\U000e0001\U000e0041\U000e007f",
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_draws_nothing_shows_nothing(name: str) -> None:
    assert shows_nothing(UNSEEN[name])


@pytest.mark.parametrize(("one", "other"), [*combinations(UNSEEN, 2)])
def test_no_two_of_them_together_show_anything_and_a_letter_among_them_does(one: str, other: str) -> None:
    assert shows_nothing(UNSEEN[one] + UNSEEN[other])
    assert not shows_nothing(f"{UNSEEN[one]}a{UNSEEN[other]}")


@pytest.mark.parametrize(
    "text", ["a", ".", "验", "\U0001f600", "\u2764\ufe0f", "\u0301", "한", "\u3131", "\u2801", "\u0628", "\U000e1000"]
)
def test_what_is_drawn_is_seen(text: str) -> None:
    assert not shows_nothing(text)


def test_nothing_at_all_shows_nothing() -> None:
    assert shows_nothing("")


def test_only_few_characters_are_unseen_so_that_no_script_loses_its_letters() -> None:
    planes = [*range(0xD800), *range(0xE000, 0xE0000)]

    assert sum(not is_seen(chr(code)) for code in planes) < 350


def test_ends_that_cannot_be_seen_are_cut_and_the_middle_stays() -> None:
    assert without_unseen_ends("\u202a +852 \u200b51\u00a0\u202c\n") == "+852 \u200b51"
    assert without_unseen_ends(" \u3164 ") == ""
    assert without_unseen_ends("+852 51") == "+852 51"
    assert without_unseen_ends("852 51") == "852 51"
    assert (without_unseen_ends("85 "), without_unseen_ends(" 85")) == ("85", "85")
