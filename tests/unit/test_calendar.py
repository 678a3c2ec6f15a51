from datetime import UTC, datetime

import pytest

from worker.core.limits.calendar import period_end, period_start
from worker.core.outcome.outcome import Period


@pytest.mark.parametrize(
    ("instant", "period", "start", "end"),
    [
        ("2026-11-23T12:00:00", Period.DAY, "2026-11-23T00:00:00+08:00", "2026-11-24T00:00:00+08:00"),
        ("2026-11-23T16:00:00", Period.DAY, "2026-11-24T00:00:00+08:00", "2026-11-25T00:00:00+08:00"),
        ("2026-11-23T15:59:59.999999", Period.DAY, "2026-11-23T00:00:00+08:00", "2026-11-24T00:00:00+08:00"),
        ("2026-12-31T15:59:59", Period.DAY, "2026-12-31T00:00:00+08:00", "2027-01-01T00:00:00+08:00"),
        ("2026-12-31T15:59:59", Period.MONTH, "2026-12-01T00:00:00+08:00", "2027-01-01T00:00:00+08:00"),
        ("2026-12-31T16:00:00", Period.MONTH, "2027-01-01T00:00:00+08:00", "2027-02-01T00:00:00+08:00"),
        ("2027-01-31T12:00:00", Period.MONTH, "2027-01-01T00:00:00+08:00", "2027-02-01T00:00:00+08:00"),
        ("2028-02-28T16:00:00", Period.DAY, "2028-02-29T00:00:00+08:00", "2028-03-01T00:00:00+08:00"),
        ("2028-02-28T16:00:00", Period.MONTH, "2028-02-01T00:00:00+08:00", "2028-03-01T00:00:00+08:00"),
        ("2027-02-28T12:00:00", Period.DAY, "2027-02-28T00:00:00+08:00", "2027-03-01T00:00:00+08:00"),
    ],
)
def test_days_and_months_are_those_of_singapore(instant: str, period: Period, start: str, end: str) -> None:
    at = datetime.fromisoformat(instant).replace(tzinfo=UTC)

    assert period_start(at, period).isoformat() == start
    assert period_end(at, period).isoformat() == end
