"""The provider's limits: calls per second of an operation, messages per number and Singapore day."""

from collections import deque
from datetime import timedelta
from typing import Final

from worker.core.limits.calendar import SINGAPORE
from worker.sandbox.settings import Second

#: Instants this far apart are in different seconds; Unix seconds as floats are a quarter of a microsecond apart.
A_SECOND: Final = 1.0 - 1e-6
_DAY_S: Final = 86_400
_OFFSET_S: Final = (SINGAPORE.utcoffset(None) or timedelta()).total_seconds()


class PerSecond:
    """Lets at most *rate* calls through in any second, or in any second of the clock.

    A call that is refused does not count: the first refusal is the same, and a client above the rate still gets the
    rate, as the provider's quota promises.
    """

    def __init__(self, rate: int, second: Second) -> None:
        self._rate = rate
        self._second = second
        self._passed: deque[float] = deque(maxlen=rate)

    def passes(self, now: float) -> bool:
        """Count a call that arrives *now* (Unix seconds); False when the second is full."""
        full = len(self._passed) == self._rate
        if full and not self._is_over(self._passed[0], now):
            return False
        self._passed.append(now)
        return True

    def _is_over(self, oldest: float, now: float) -> bool:
        """Whether the call *rate* calls ago lies in another second."""
        return now - oldest >= A_SECOND if self._second is Second.SLIDING else int(now) > int(oldest)


class PerDay:
    """Counts the accepted messages of each number in the current Singapore day."""

    def __init__(self) -> None:
        self._day = 0
        self._counts: dict[str, int] = {}

    def passes(self, number: str, limit: int, now: float) -> bool:
        """Count a message to *number* at *now* (Unix seconds); False when it had *limit* today."""
        day = int((now + _OFFSET_S) // _DAY_S)
        if day != self._day:
            self._day, self._counts = day, {}
        count = self._counts.get(number, 0)
        if count >= limit:
            return False
        self._counts[number] = count + 1
        return True
