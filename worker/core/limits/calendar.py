"""The provider counts days and months in Asia/Singapore, which is UTC+8 all year."""

from datetime import datetime, timedelta, timezone
from typing import Final

from worker.core.outcome.outcome import Period

#: Asia/Singapore has had no other offset since 1982; a fixed one needs no zone database.
SINGAPORE: Final = timezone(timedelta(hours=8), "Asia/Singapore")


def period_start(instant: datetime, period: Period) -> datetime:
    """When the period that holds *instant* began."""
    midnight = instant.astimezone(SINGAPORE).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if period is Period.DAY else midnight.replace(day=1)


def period_end(instant: datetime, period: Period) -> datetime:
    """When the period that holds *instant* ends, which is when the next one begins.

    >>> from datetime import UTC
    >>> period_end(datetime(2026, 12, 31, 15, 59, tzinfo=UTC), Period.MONTH).isoformat()
    '2027-01-01T00:00:00+08:00'
    """
    start = period_start(instant, period)
    if period is Period.DAY:
        return start + timedelta(days=1)
    return (start + timedelta(days=32)).replace(day=1)
