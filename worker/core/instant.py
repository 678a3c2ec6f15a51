"""Instants as they are written: RFC 3339 in UTC.

Every message writes three, and most of them fall into a second that was just written; `datetime.isoformat` costs four
times as much.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


def to_the_second(instant: datetime) -> str:
    """*instant* without its fraction, in UTC.

    >>> to_the_second(datetime(2026, 11, 23, 20, 39, 1, 999_999, tzinfo=UTC))
    '2026-11-23T20:39:01Z'
    """
    return f"{_written((instant - _EPOCH) // _SECOND)}Z"


def to_the_millisecond(instant: datetime) -> str:
    """*instant* to the millisecond, in UTC.

    >>> to_the_millisecond(datetime(2026, 11, 23, 20, 39, 1, 999_999, tzinfo=UTC))
    '2026-11-23T20:39:01.999+00:00'
    """
    return f"{_written((instant - _EPOCH) // _SECOND)}.{instant.microsecond // 1000:03d}+00:00"


@lru_cache(maxsize=256)
def _written(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat().removesuffix("+00:00")
