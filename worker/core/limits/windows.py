"""What the operator's windows and caps mean for one request: which of them apply, and their names.

The decision itself is atomic in Redis (`limiter/lua/admit.lua`); here is what can be known without counting.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from worker.core.limits.quota import Cap, Window
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Period

_WORDS: Final = {
    timedelta(minutes=1): "minute",
    timedelta(hours=1): "hour",
    timedelta(days=1): "24 hours",
}


def caps_of(caps: Iterable[Cap], number: str) -> tuple[Cap, ...]:
    """The caps that limit messages to *number* (digits only)."""
    return tuple(cap for cap in caps if number.startswith(cap.prefix))


def strictest(caps: Iterable[Cap]) -> tuple[Cap, ...]:
    """One cap per prefix and period: two of them would count the same messages twice in one place."""
    least: dict[tuple[str, Period], Cap] = {}
    for cap in caps:
        known = least.setdefault((cap.prefix, cap.period), cap)
        if cap.limit < known.limit:
            least[cap.prefix, cap.period] = cap
    return tuple(least.values())


def window_words(window: Window) -> str:
    """The window in words for people.

    >>> window_words(Window(5, timedelta(hours=1), frozenset({Lane.OTP})))
    'otp 5 per hour'
    """
    lanes = "" if window.lanes >= set(Lane) else "+".join(lane.value for lane in Lane if lane in window.lanes) + " "
    return f"{lanes}{window.limit} per {_period_words(window.period)}"


def cap_words(cap: Cap) -> str:
    """The cap in words for people.

    >>> cap_words(Cap(10_000, Period.MONTH, "852"))
    'country 852: 10000 per month'
    """
    whom = f"country {cap.prefix}" if cap.prefix else "account"
    return f"{whom}: {cap.limit} per {_period_words(cap.period)}"


def _period_words(period: timedelta | Period) -> str:
    if isinstance(period, Period):
        return period.value
    return _WORDS.get(period) or f"{period.total_seconds():g} s"
