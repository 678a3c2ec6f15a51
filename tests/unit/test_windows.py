"""Windows and caps in words for people, and which caps apply."""

from datetime import timedelta

import pytest

from worker.core.limits.quota import Cap, Window
from worker.core.limits.windows import cap_words, caps_of, strictest, window_words
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Period

ALL = frozenset(Lane)


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (Window(5, timedelta(hours=1), frozenset({Lane.OTP})), "otp 5 per hour"),
        (Window(2, timedelta(minutes=1), frozenset({Lane.MARKETING, Lane.OTP})), "otp+marketing 2 per minute"),
        (Window(20, Period.DAY, ALL), "20 per day"),
        (Window(20, timedelta(days=1), ALL), "20 per 24 hours"),
        (Window(1, timedelta(seconds=90), ALL), "1 per 90 s"),
        (Window(1, timedelta(milliseconds=500), ALL), "1 per 0.5 s"),
        (Window(9, Period.MONTH, frozenset({Lane.NOTIFY, Lane.MARKETING})), "notify+marketing 9 per month"),
    ],
)
def test_a_window_in_words(window: Window, words: str) -> None:
    assert window_words(window) == words


def test_a_cap_in_words() -> None:
    assert cap_words(Cap(10_000, Period.MONTH, "852")) == "country 852: 10000 per month"
    assert cap_words(Cap(7, Period.DAY)) == "account: 7 per day"


def test_a_cap_applies_to_the_numbers_that_begin_with_its_prefix() -> None:
    account, hongkong, china = Cap(9, Period.DAY), Cap(8, Period.DAY, "852"), Cap(7, Period.DAY, "86")

    assert caps_of([account, hongkong, china], "85251234567") == (account, hongkong)


def test_of_two_equal_caps_the_first_is_kept() -> None:
    first, second = Cap(5, Period.DAY, "852"), Cap(5, Period.DAY, "852")

    assert strictest([first, second])[0] is first
    assert strictest([second, Cap(3, Period.DAY, "852"), first]) == (Cap(3, Period.DAY, "852"),)
