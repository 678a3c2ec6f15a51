"""Instants as they are written are those of the standard library, in UTC and cut, never rounded."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from worker.core.instant import to_the_millisecond, to_the_second

ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES)  # noqa: DTZ001 - hypothesis wants naive bounds


@given(INSTANTS)
def test_they_are_written_as_the_standard_library_does(instant: datetime) -> None:
    utc = instant.astimezone(UTC)

    assert to_the_millisecond(instant) == utc.isoformat(timespec="milliseconds")
    assert to_the_second(instant) == utc.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


@given(INSTANTS, st.integers(0, 999_999))
def test_one_second_is_written_alike_whatever_was_written_before(instant: datetime, microsecond: int) -> None:
    other = instant.replace(microsecond=microsecond)

    assert to_the_second(instant) == to_the_second(other)
    assert datetime.fromisoformat(to_the_millisecond(other)) == other.replace(microsecond=microsecond // 1000 * 1000)
