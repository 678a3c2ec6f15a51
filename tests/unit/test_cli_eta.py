"""How long a backlog lasts."""

import pytest

from worker.core.message.lane import Lane
from worker.operator.eta import etas, in_words, late, shares

FLOORS = {Lane.OTP: 0.0, Lane.NOTIFY: 0.15, Lane.MARKETING: 0.05}


def test_one_lane_has_the_whole_rate() -> None:
    assert etas({Lane.MARKETING: 600}, 30, FLOORS) == {Lane.MARKETING: 20}


def test_an_urgent_lane_goes_first_and_the_floors_are_kept_for_the_others() -> None:
    ends = etas({Lane.OTP: 800, Lane.NOTIFY: 1000, Lane.MARKETING: 2000}, 100, FLOORS)

    assert ends[Lane.OTP] == pytest.approx(800 / 80)
    assert ends[Lane.NOTIFY] == pytest.approx(10 + (1000 - 150) / 95)
    assert ends[Lane.MARKETING] == pytest.approx(3800 / 100), "all together take what they would take in any order"


def test_what_does_not_wait_has_no_end() -> None:
    assert etas({Lane.OTP: 0, Lane.NOTIFY: 0}, 30, FLOORS) == {}


def test_without_a_rate_nobody_knows() -> None:
    assert etas({Lane.OTP: 10}, 0, FLOORS) == {}


def test_a_lane_that_its_floors_starve_waits_for_the_others() -> None:
    ends = etas({Lane.OTP: 10, Lane.NOTIFY: 50, Lane.MARKETING: 50}, 10, {Lane.NOTIFY: 0.5, Lane.MARKETING: 0.5})

    assert ends == {Lane.NOTIFY: 10, Lane.MARKETING: 10, Lane.OTP: 11}


def test_what_waits_shares_the_rate_and_what_does_not_gets_nothing() -> None:
    assert shares({Lane.OTP: 800, Lane.MARKETING: 2000}, 100, FLOORS) == {Lane.OTP: 95, Lane.MARKETING: 5}
    assert shares({Lane.MARKETING: 2000}, 100, FLOORS) == {Lane.MARKETING: 100}
    assert shares({Lane.OTP: 10}, 0, FLOORS) == {}


def test_what_is_beyond_the_lifetime_times_the_rate_is_late() -> None:
    assert late({Lane.OTP: 900}, 10, FLOORS, dict.fromkeys(Lane, 60)) == {Lane.OTP: 300}
    assert late({Lane.OTP: 600}, 10, FLOORS, dict.fromkeys(Lane, 60)) == {Lane.OTP: 0}
    assert late({Lane.OTP: 600}, 0, FLOORS, dict.fromkeys(Lane, 60)) == {}


def test_a_lane_gets_more_when_a_more_urgent_one_has_ended() -> None:
    """For 10 s at 5 calls a second, and then at 100."""
    waiting, lifetimes_s = {Lane.OTP: 950, Lane.MARKETING: 2000}, {Lane.OTP: 300.0, Lane.MARKETING: 12.0}

    assert late(waiting, 100, FLOORS, lifetimes_s) == {Lane.OTP: 0, Lane.MARKETING: 2000 - 50 - 200}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h"), (172_800, "2.0 d")],
)
def test_a_time_is_told_in_units_that_a_person_would_use(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
