"""The shared quota in numbers: 10 calls per second in windows of exactly a second, unless a test says otherwise."""

from dataclasses import replace
from datetime import timedelta

import pytest

from worker.core.limits.bucket import UNLIMITED_PAUSE_US, Share, furthest_reach_us, silence_us, window_us
from worker.core.limits.learned import Learned
from worker.core.limits.quota import Quota
from worker.core.message.lane import Lane
from worker.simulation.token_bucket import CLOCK_STEP_US, Booked, Later, TokenBucket

NOW = 1_790_000_000_000_000
MS = 1000
OTP, NOTIFY, MARKETING = Lane.OTP, Lane.NOTIFY, Lane.MARKETING


def quota(rate: int = 10, guard_ms: int = 0) -> Quota:
    return Quota(rate, timedelta(milliseconds=guard_ms))


def share(lane: Lane = OTP, rate: int = 10, **floors: float) -> Share:
    return Share.of(replace(quota(rate), floors={Lane(name): floor for name, floor in floors.items()}), lane)


def every(gap_ms: float, count: int, first_ms: float = 0) -> Booked:
    return Booked(tuple(round((first_ms + number * gap_ms) * MS) for number in range(count)), floor=False)


def test_the_window_is_a_second_and_the_guard() -> None:
    assert window_us(quota(guard_ms=10)) == 1_010_000
    assert Share.of(quota(guard_ms=10), OTP).window_us == 1_010_000


@pytest.mark.parametrize(
    ("rate", "reach_us"), [(0, 1_000_000), (1, 3_000_000), (2, 1_500_000), (3, 1_000_000), (10, 1_000_000)]
)
def test_otp_reaches_a_second_ahead_or_three_slots(rate: int, reach_us: int) -> None:
    assert furthest_reach_us(quota(rate)) == reach_us


def test_the_others_reach_two_slots_or_one_and_some_round_trips_at_least() -> None:
    assert (share(NOTIFY).reach_gaps, share(NOTIFY).reach_us) == (2, 25_000)
    assert (share(MARKETING).reach_gaps, share(MARKETING).reach_us) == (1, 20_000)
    assert (share(OTP).reach_gaps, share(OTP).reach_us) == (0, 1_000_000)
    assert {share(lane).furthest_us for lane in Lane} == {1_000_000}


def test_a_floor_is_a_slot_per_its_time() -> None:
    assert share(MARKETING, marketing=0.3).floor_us == 3_333_333
    assert share(MARKETING, marketing=0.6).floor_us == 1_666_667
    assert share(MARKETING).floor_us == 0


@pytest.mark.parametrize("rate", [0, 1, 4096])
def test_these_rates_can_be_remembered(rate: int) -> None:
    assert share(rate=rate).rate == rate


@pytest.mark.parametrize("rate", [-1, 4097])
def test_other_rates_cannot(rate: int) -> None:
    with pytest.raises(ValueError, match=f"a rate lies between 0 and 4096 calls per second, got {rate}"):
        share(rate=rate)


def test_after_a_loss_nothing_is_granted_until_every_slot_has_left_its_window() -> None:
    """The furthest slot, the lead of a floor, a window."""
    assert silence_us(quota(guard_ms=10)) == 1_000_000 + 500_000 + 1_010_000
    assert silence_us(quota(1)) == 3_000_000 + 500_000 + 1_000_000
    assert silence_us(quota(0)) == 0


def test_slots_lie_a_gap_apart_and_otp_books_up_to_its_reach() -> None:
    bucket = TokenBucket()

    assert bucket.grant(NOW, OTP, share(), 4) == every(100, 4)
    assert bucket.grant(NOW, OTP, share(), 40) == every(100, 7, first_ms=400)
    assert bucket.slots == [NOW + number * 100 * MS for number in range(11)]
    assert isinstance(bucket.grant(NOW, OTP, share(), 1), Later)
    assert bucket.grant(NOW + 100 * MS, OTP, share(), 1) == every(100, 1, first_ms=1000)


def test_nobody_books_more_than_the_rate_at_a_time() -> None:
    assert TokenBucket().grant(NOW, OTP, share(rate=1), 5) == Booked((0,), floor=False)
    assert TokenBucket().grant(NOW, OTP, share(rate=2), 5) == Booked((0, 500_000), floor=False)


@pytest.mark.parametrize(("lane", "count"), [(NOTIFY, 3), (MARKETING, 2)])
def test_the_others_book_hardly_further_than_the_next_slot(lane: Lane, count: int) -> None:
    assert TokenBucket().grant(NOW, lane, share(lane), 40) == every(100, count)


@pytest.mark.parametrize(("lane", "count"), [(NOTIFY, 26), (MARKETING, 21)])
def test_with_a_high_rate_they_reach_some_round_trips(lane: Lane, count: int) -> None:
    assert TokenBucket().grant(NOW, lane, share(lane, rate=1000), 40) == every(1, count)


def learned(base: float) -> Learned:
    """Nothing was refused for a while, nor used."""
    return Learned(base, NOW - 10_000 * MS, NOW - 9000 * MS, NOW, NOW)


def test_nobody_reaches_further_than_otp_when_the_rate_is_low() -> None:
    bucket = TokenBucket(learned=learned(1))

    assert bucket.grant(NOW, NOTIFY, share(NOTIFY), 40) == Booked((0, 1_000_000), floor=False)


def test_a_changed_limit_looks_back_at_as_many_calls_as_it_allows() -> None:
    bucket = TokenBucket()
    bucket.grant(NOW, OTP, share(rate=100), 10)

    assert bucket.slots[-1] == NOW + 90 * MS
    assert bucket.grant(NOW + 90 * MS, OTP, share(rate=2), 1) == Booked((990_000,), floor=False)
    assert bucket.grant(NOW + 2000 * MS, OTP, share(rate=2), 1) == Booked((0,), floor=False)


def test_a_hold_is_waited_for() -> None:
    bucket = TokenBucket(hold=NOW + 700 * MS)

    assert bucket.grant(NOW, OTP, share(), 2) == every(100, 2, first_ms=700)
    assert TokenBucket(hold=NOW + 1000 * MS).grant(NOW, OTP, share(), 1) == every(100, 1, first_ms=1000)
    assert isinstance(TokenBucket(hold=NOW + 1000 * MS + 1).grant(NOW, OTP, share(), 1), Later)


def full(until_ms: int) -> TokenBucket:
    """The last slot lies then; calls before it are a long time ago."""
    return TokenBucket(slots=[NOW + until_ms * MS])


@pytest.mark.parametrize(("want", "after_ms"), [(1, 100), (2, 200), (5, 250)])
def test_who_finds_no_slot_comes_back_when_as_many_as_half_the_reach_holds_will_be_there(
    want: int, after_ms: int
) -> None:
    """OTP reaches 1,000 ms, the next slot lies 1,100 ms ahead; nobody stays away longer than 250 ms."""
    assert full(1000).grant(NOW, OTP, share(), want) == Later(after_ms * MS)


def test_the_others_come_back_when_their_next_slot_is_in_reach() -> None:
    assert full(110).grant(NOW, NOTIFY, share(NOTIFY), 1) == Later(10 * MS)
    assert full(110).grant(NOW, NOTIFY, share(NOTIFY), 40) == Later(110 * MS)
    assert full(110).grant(NOW, MARKETING, share(MARKETING), 40) == Later(110 * MS)


def test_one_asker_after_the_other_comes_back() -> None:
    bucket = full(110)

    answers = [bucket.grant(NOW, NOTIFY, share(NOTIFY), 1) for _ in range(4)]
    assert answers == [Later(10 * MS), Later(110 * MS), Later(210 * MS), Later(250 * MS)]
    assert bucket.turns == {NOTIFY: NOW + 250 * MS}
    assert bucket.grant(NOW + MS, MARKETING, share(MARKETING), 1) == Later(109 * MS)


def test_with_a_slow_quota_one_gap_is_not_too_long_to_stay_away() -> None:
    assert full(5000).grant(NOW, MARKETING, share(MARKETING, rate=1), 1) == Later(1_000_000)


def test_a_lane_whose_floor_is_due_books_beyond_its_reach_one_slot_per_floor() -> None:
    floored = share(MARKETING, marketing=2)
    bucket = full(1300)

    assert bucket.grant(NOW, MARKETING, floored, 5) == Booked((1_400_000,), floor=True)
    assert bucket.floor_due == {MARKETING: NOW + 250 * MS}
    assert isinstance(bucket.grant(NOW, MARKETING, floored, 5), Later)
    assert isinstance(full(1300).grant(NOW, MARKETING, share(MARKETING), 5), Later)


def test_a_floor_reaches_half_a_second_further_than_otp() -> None:
    floored = share(MARKETING, marketing=2)

    assert full(1400).grant(NOW, MARKETING, floored, 1) == Booked((1_500_000,), floor=True)
    assert isinstance(full(1401).grant(NOW, MARKETING, floored, 1), Later)


def test_what_is_in_reach_is_no_floor_but_counts_towards_it() -> None:
    bucket = full(-100)
    floored = share(MARKETING, marketing=2)

    assert bucket.grant(NOW, MARKETING, floored, 1) == Booked((0,), floor=False)
    assert bucket.floor_due == {MARKETING: NOW + 250 * MS}
    assert full(0).grant(NOW, MARKETING, floored, 1) == Booked((100_000,), floor=False)


def test_a_lane_that_was_away_does_not_save_its_floor_up() -> None:
    """What was due is due for a turn at most; what was taken ahead is taken from now on."""
    floored = share(MARKETING, marketing=2)
    late = full(-100)
    late.floor_due = {MARKETING: NOW - 100 * MS}
    late.grant(NOW, MARKETING, floored, 1)
    assert late.floor_due == {MARKETING: NOW + 400 * MS}

    ahead = full(-100)
    ahead.floor_due = {MARKETING: NOW + 400 * MS}
    ahead.grant(NOW, MARKETING, floored, 1)
    assert ahead.floor_due == {MARKETING: NOW + 500 * MS}


def test_a_floor_that_is_due_twice_books_two() -> None:
    floored = share(MARKETING, marketing=8)
    bucket = full(1100)
    bucket.floor_due = {MARKETING: NOW - 1000 * MS}

    assert bucket.grant(NOW, MARKETING, floored, 5) == Booked((1_200_000, 1_300_000, 1_400_000), floor=True)
    assert bucket.floor_due == {MARKETING: NOW + 125 * MS}


def test_who_finds_no_slot_comes_back_when_the_floor_is_due() -> None:
    floored = share(MARKETING, marketing=8)
    bucket = full(1300)
    bucket.floor_due = {MARKETING: NOW + 30 * MS}

    assert bucket.grant(NOW, MARKETING, floored, 1) == Later(30 * MS)
    assert bucket.grant(NOW, MARKETING, floored, 1) == Later(155 * MS)
    assert bucket.grant(NOW + 30 * MS, MARKETING, floored, 1) == Booked((1_370_000,), floor=True)


def test_a_floor_that_is_due_later_than_the_next_slot_is_not_waited_for() -> None:
    bucket = full(110)
    bucket.floor_due = {MARKETING: NOW + 200 * MS}

    assert bucket.grant(NOW, MARKETING, share(MARKETING, marketing=2), 1) == Later(110 * MS)


def test_a_refused_call_lowers_the_rate_and_pauses_until_the_excess_is_over() -> None:
    bucket = TokenBucket()
    bucket.throttle(NOW, 10, 0)

    assert bucket.learned_now(NOW, 10) == 9.7
    assert bucket.hold == NOW + 30 * MS + 1  # and a rounding


def test_the_excess_is_over_after_what_is_booked() -> None:
    bucket = TokenBucket(slots=[NOW + 500 * MS])
    bucket.throttle(NOW, 10, 0)

    assert bucket.hold == NOW + 530 * MS + 1
    assert bucket.learned is not None
    assert bucket.learned.event_until == NOW + 800 * MS


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    bucket = TokenBucket()
    bucket.throttle(NOW, 10, 300 * MS)
    bucket.throttle(NOW + 10 * MS, 10, 100 * MS)

    assert bucket.hold == NOW + 300 * MS


def test_a_quota_without_a_limit_only_pauses() -> None:
    bucket = TokenBucket()
    bucket.throttle(NOW, 0, 100 * MS)

    assert (bucket.hold, bucket.learned) == (NOW + 100 * MS, None)


def test_a_learned_rate_stretches_the_gap_and_not_the_window() -> None:
    bucket = TokenBucket(learned=learned(5))

    assert bucket.grant(NOW, OTP, share(), 3) == every(200, 3)
    slow = TokenBucket(slots=[NOW - 1000 * MS, NOW - 900 * MS], learned=learned(1))
    assert slow.grant(NOW, OTP, share(rate=2), 1) == Booked((100 * MS,), floor=False)


def test_what_is_used_without_a_gap_counts_as_used() -> None:
    bucket = TokenBucket(slots=[NOW], learned=learned(5))
    bucket.grant(NOW, OTP, share(), 3)

    assert bucket.learned is not None
    assert bucket.learned.used_us == 600 * MS


def test_what_nobody_wanted_takes_five_times_itself_off() -> None:
    bucket = TokenBucket(slots=[NOW - 300 * MS], learned=replace(learned(5), used_us=2000 * MS))
    bucket.grant(NOW, OTP, share(), 1)

    assert bucket.learned is not None
    assert bucket.learned.used_us == (2000 + 200 - 5 * 100) * MS


def test_all_of_the_quota_learns_no_more_from_its_use() -> None:
    bucket = TokenBucket(slots=[NOW], learned=learned(10))
    bucket.grant(NOW, OTP, share(), 3)

    assert bucket.learned == learned(10)


def test_after_a_hold_the_quota_climbs_from_a_tenth_to_all_of_it_in_its_time() -> None:
    bucket = TokenBucket()
    bucket.ramp(NOW, 10_000 * MS)

    ramp = [bucket.ramp_now(NOW + after_ms * MS) for after_ms in (-1, 0, 1000, 5000, 9999, 10_000, 20_000)]
    assert ramp == pytest.approx([0.1, 0.1, 0.19, 0.55, 0.99991, 1, 1])
    assert TokenBucket().ramp_now(NOW) == 1


def test_the_ramp_takes_its_part_of_what_is_learned() -> None:
    bucket = TokenBucket(learned=learned(5))
    bucket.ramp(NOW - 5000 * MS, 10_000 * MS)

    answer = bucket.grant(NOW, OTP, share(), 2)
    assert isinstance(answer, Booked)
    assert answer.waits_us == (0, 363_637)  # a tenth of a second by 0.275


def test_a_lane_without_a_floor_has_none_to_be_due() -> None:
    bucket = full(-100)
    bucket.grant(NOW, MARKETING, share(MARKETING), 1)

    assert bucket.floor_due == {}


def test_a_floor_that_was_taken_away_is_not_waited_for() -> None:
    bucket = full(1300)
    bucket.floor_due = {MARKETING: NOW + 30 * MS}

    assert bucket.grant(NOW, MARKETING, share(MARKETING), 1) == Later(250 * MS)


def test_a_ramp_that_begins_later_stands_at_its_start() -> None:
    bucket = TokenBucket(ramp_from=NOW, ramp_until=NOW + 4)

    assert bucket.ramp_now(NOW) == 0.1
    assert bucket.ramp_now(NOW - 2) == 0.1


def test_pause_and_clock_step_are_what_the_scripts_are_given() -> None:
    """Without a limit a refusal pauses for 100 ms; a slot 10 s ahead tells of a clock that was set back."""
    assert (UNLIMITED_PAUSE_US, CLOCK_STEP_US) == (100 * MS, 10_000 * MS)
