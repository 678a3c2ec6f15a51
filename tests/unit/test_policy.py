from datetime import timedelta

import pytest

from worker.core.decision.policy import Backoff

BACKOFF = Backoff(first=timedelta(seconds=2), ceiling=timedelta(seconds=10))


@pytest.mark.parametrize(("retry", "bound_s"), [(0, 2), (1, 2), (2, 4), (3, 8), (4, 10), (1_000_000, 10)])
def test_the_bound_doubles_up_to_the_ceiling(retry: int, bound_s: float) -> None:
    assert BACKOFF.delay(retry, 0.5) == timedelta(seconds=bound_s / 2)


def test_the_dice_spread_the_delay_from_zero_to_the_bound() -> None:
    assert [BACKOFF.delay(2, jitter).total_seconds() for jitter in (0.0, 0.25, 0.75)] == [0.0, 1.0, 3.0]


def test_a_ceiling_that_is_far_from_the_first_delay_is_reached() -> None:
    """A millisecond and 31 days, the widest that the settings allow, are 32 doublings apart."""
    backoff = Backoff(timedelta(milliseconds=1), timedelta(days=31))

    assert backoff.delay(31, 0.5) == timedelta(seconds=2**29 / 1000)
    assert backoff.delay(100, 0.5) == timedelta(days=15.5)
