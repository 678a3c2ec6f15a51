"""The learned rate in numbers; most quotas are 100 calls per window."""

from dataclasses import replace

import pytest

from worker.core.limits.learned import (
    AGAIN_US,
    CREEP_US,
    EVENT_US,
    MEMORY_US,
    REST_US,
    Learned,
    LearnedRate,
    after_refusal,
    after_slots,
    rate_now,
    slowness,
)

NOW = 1_790_000_000_000_000
MS = 1000
SECOND = 1_000_000


def refused(rate: int = 100, *after_ms: float, last: int = 0) -> Learned:
    """After a call was refused at NOW, and each time so long after."""
    learned = after_refusal(None, rate, NOW, last)
    for each in after_ms:
        learned = after_refusal(learned, rate, NOW + round(each * MS), last)
    return learned


def used(base: float, seconds: float) -> Learned:
    """That has been used up for so long since its last cut."""
    return Learned(base, NOW - 60 * SECOND, NOW - 59 * SECOND, NOW, NOW, used_us=seconds * SECOND)


def test_nobody_was_refused_so_the_quota_is_what_is_configured() -> None:
    assert rate_now(None, 100, NOW) == 100


def test_a_refused_call_cuts_by_three_in_a_hundred_and_rests_for_what_was_too_much() -> None:
    assert refused() == Learned(97, NOW, NOW + 300 * MS, NOW, NOW + 30 * MS + 1, good=0)  # and a rounding
    assert rate_now(refused(), 100, NOW) == 97


def test_what_is_booked_already_belongs_to_the_event() -> None:
    learned = refused(100, last=NOW + 500 * MS)

    assert learned.event_until == NOW + 800 * MS
    assert learned.rest_until == NOW + 530 * MS + 1


def test_an_event_cuts_once() -> None:
    learned = refused(100, 1, 100, 299.999)

    assert learned == replace(refused(), refused=4, refused_at=NOW + 299_999)


def test_the_next_event_cuts_by_the_excess_that_the_last_one_shows() -> None:
    """Nine more calls in 300 ms are 30 a second."""
    learned = refused(100, *range(1, 10), 300)

    assert learned.base == pytest.approx(67)
    assert (learned.refused, learned.event_at) == (1, NOW + 300 * MS)
    assert learned.rest_until == pytest.approx(NOW + 300 * MS + 30 / 97 * SECOND, abs=1)


def test_it_cuts_by_three_in_a_hundred_at_least() -> None:
    assert refused(100, 300).base == pytest.approx(97 * 0.97)


def test_it_leaves_half_at_least() -> None:
    """All calls are refused, also those that are no excess."""
    assert refused(100, *[1] * 99, 300).base == pytest.approx(97 / 2)


def test_it_leaves_half_of_what_was_added_to_a_good_rate() -> None:
    grown = used(50, 60)
    flood = after_refusal(grown, 100, NOW, 0)
    assert (flood.good, flood.base) == (50, 97)
    for _ in range(99):
        flood = after_refusal(flood, 100, NOW + 1, 0)
    again = after_refusal(flood, 100, NOW + EVENT_US, 0)

    assert again.base == pytest.approx((50 + 97) / 2)
    assert again.good == 0


def test_a_rate_that_has_not_rested_is_not_known_to_be_good() -> None:
    assert after_refusal(used(50, REST_US / SECOND - 0.001), 100, NOW, 0).good == 0
    assert after_refusal(used(50, REST_US / SECOND), 100, NOW, 0).good == 50
    assert after_refusal(used(5, 2.9 * REST_US / SECOND), 10, NOW, 0).good == 0
    assert after_refusal(used(5, 3 * REST_US / SECOND), 10, NOW, 0).good == 5


def test_an_event_long_after_the_last_is_a_new_one() -> None:
    flood = refused(100, *[1] * 50)
    soon = after_refusal(flood, 100, flood.event_until + AGAIN_US - 1, 0)
    later = after_refusal(flood, 100, flood.event_until + AGAIN_US, 0)

    assert soon.base == pytest.approx(97 - 50 / 1.3, abs=0.001)
    assert later.base == pytest.approx(97 * 0.97, abs=0.001)


@pytest.mark.parametrize(("rate", "least"), [(1, 0.8), (2, 1), (30, 1), (4096, 1)])
def test_a_call_per_window_is_left_or_four_fifths_of_one(rate: int, least: float) -> None:
    learned, now = None, NOW
    for _ in range(500):
        learned, now = after_refusal(learned, rate, now, 0), now + EVENT_US

    assert learned is not None
    assert learned.base == least
    assert learned.rest_until <= now


@pytest.mark.parametrize(
    ("seconds", "rate"),
    [
        (0, 50),
        (2.2, 50),
        (3.2, 50.6),
        (4.7, 51.5),
        (4.95, 51.8),  # the growth per second has doubled to 1.2
        (5.2, 52.1),
        (5.7, 53.3),
        (6.2, 55.7),
        (6.45, 58.1),
        (7.2, 70.1),
        (9, 100),
        (1e9, 100),
    ],
)
def test_a_rate_that_is_used_rests_creeps_and_doubles_its_growth(seconds: float, rate: float) -> None:
    assert rate_now(used(50, seconds), 100, NOW) == pytest.approx(rate)


def test_a_slow_quota_takes_its_time() -> None:
    assert [slowness(rate) for rate in (1, 10, 30, 31, 4000)] == [30, 3, 1, 1, 1]
    assert rate_now(used(5, 3 * 4.7), 10, NOW) == pytest.approx(5.15)


def test_it_is_never_more_than_what_is_configured() -> None:
    assert rate_now(used(50, 0), 50, NOW) == 50
    assert rate_now(used(50, 0), 20, NOW) == 20
    assert rate_now(used(50, 4.7), 51, NOW) == 51


def test_without_a_refusal_it_is_forgotten_in_a_day() -> None:
    learned = used(50, 0)

    assert rate_now(learned, 100, NOW - 1) == 50
    assert rate_now(learned, 100, NOW + MEMORY_US // 4) == 62.5
    assert rate_now(learned, 100, NOW + MEMORY_US) == 100
    assert rate_now(learned, 100, NOW + 2 * MEMORY_US) == 100


def test_use_counts_and_what_nobody_wanted_takes_it_back() -> None:
    learned = used(50, 1)

    assert after_slots(learned, 20 * MS, 0) == used(50, 1.02)
    assert after_slots(learned, 120 * MS, 100 * MS) == used(50, 0.52)
    assert after_slots(learned, 3600 * SECOND, 3599 * SECOND) == used(50, 0)


def test_the_creep_ends_at_three_in_a_hundred() -> None:
    end = (REST_US + CREEP_US) / SECOND

    assert rate_now(used(50, end), 100, NOW) == pytest.approx(51.5)


def test_what_is_not_let_through_is_foreign() -> None:
    assert LearnedRate(75, 100).foreign == 0.25
    assert LearnedRate(100, 100).foreign == 0
