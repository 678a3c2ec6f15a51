"""The model of the shared quota keeps its promises for any sequence of asks."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.limits.bucket import FLOOR_LEAD_US, SECOND_US, Share, furthest_reach_us, silence_us, window_us
from worker.core.limits.quota import Quota
from worker.core.message.lane import Lane
from worker.simulation.token_bucket import LONGEST_TURN_US, Booked, Later, TokenBucket

START = 1_790_000_000 * SECOND_US
LANES = st.sampled_from(Lane)
#: Pause before the ask, lane, slots wanted.
ASKS = st.lists(st.tuples(st.integers(0, 400_000), LANES, st.integers(1, 40)), min_size=1, max_size=80)
RATES = st.integers(1, 60)
FLOORS = st.dictionaries(LANES, st.floats(0.1, 20))


@given(rate=RATES, floors=FLOORS, asks=ASKS, throttles=st.sets(st.integers(0, 79)), ramps=st.sets(st.integers(0, 79)))
def test_no_window_ever_holds_more_slots_than_the_rate(
    rate: int, floors: dict[Lane, float], asks: list[tuple[int, Lane, int]], throttles: set[int], ramps: set[int]
) -> None:
    quota, bucket, now = Quota(rate, floors=floors), TokenBucket(), START
    for index, (pause, lane, want) in enumerate(asks):
        now += pause
        if index in throttles:
            bucket.throttle(now, rate, 100_000)
        if index in ramps:
            bucket.ramp(now, 3_000_000)
        bucket.grant(now, lane, Share.of(quota, lane), want)

    pairs = zip(bucket.slots, bucket.slots[rate:], strict=False)
    assert all(later - earlier >= window_us(quota) for earlier, later in pairs)


@given(asks=st.lists(st.tuples(st.integers(0, 400_000), RATES, st.integers(1, 40)), min_size=1, max_size=80))
def test_a_changed_limit_holds_from_its_first_slot_on(asks: list[tuple[int, int, int]]) -> None:
    bucket, now = TokenBucket(), START
    for pause, rate, want in asks:
        now += pause
        known = len(bucket.slots)
        bucket.grant(now, Lane.OTP, Share.of(Quota(rate), Lane.OTP), want)

        for index in range(max(known, rate), len(bucket.slots)):
            assert bucket.slots[index] - bucket.slots[index - rate] >= window_us(Quota(rate))


@given(rate=RATES, floors=FLOORS, asks=ASKS)
def test_no_lane_books_further_than_its_reach_or_more_than_it_wants(
    rate: int, floors: dict[Lane, float], asks: list[tuple[int, Lane, int]]
) -> None:
    quota, bucket, now = Quota(rate, floors=floors), TokenBucket(), START
    for pause, lane, want in asks:
        now += pause
        match bucket.grant(now, lane, Share.of(quota, lane), want):
            case Booked(waits, floor):
                assert 1 <= len(waits) <= want
                assert waits[0] >= 0
                assert waits[-1] <= furthest_reach_us(quota) + (FLOOR_LEAD_US if floor else 0)
                assert not floor or lane in floors
            case Later(after):
                assert 0 < after <= max(LONGEST_TURN_US, -(-window_us(quota) // rate))


@given(rate=RATES, asks=ASKS, hold=st.integers(0, 5_000_000))
def test_nothing_lies_before_now_or_inside_a_hold(rate: int, asks: list[tuple[int, Lane, int]], hold: int) -> None:
    bucket, now = TokenBucket(hold=START + hold), START
    for pause, lane, want in asks:
        now += pause
        answer = bucket.grant(now, lane, Share.of(Quota(rate), lane), want)
        if isinstance(answer, Booked):
            assert now + answer.waits_us[0] >= max(now, START + hold)


@pytest.mark.parametrize("rate", [1, 2, 30, 300, 2000, 4000])
@pytest.mark.parametrize("lane", list(Lane))
def test_a_lane_that_always_asks_gets_all_of_the_quota(rate: int, lane: Lane) -> None:
    """It asks when its last slot or its turn has come, as a worker does."""
    bucket, share, now = TokenBucket(), Share.of(Quota(rate), lane), START
    while now < START + 5 * SECOND_US:
        answer = bucket.grant(now, lane, share, want=20)
        now += max(answer.waits_us[-1], 1) if isinstance(answer, Booked) else answer.after_us

    used = sum(START <= slot < START + 5 * SECOND_US for slot in bucket.slots)
    assert used >= int(5 * rate * 0.98)


def test_an_otp_overtakes_everything_that_marketing_still_waits_for() -> None:
    bucket, quota, now = TokenBucket(), Quota(30), START
    while isinstance(bucket.grant(now, Lane.MARKETING, Share.of(quota, Lane.MARKETING), 20), Booked):
        pass
    answer = bucket.grant(now, Lane.OTP, Share.of(quota, Lane.OTP), 1)

    assert isinstance(answer, Booked)
    assert answer.waits_us[0] <= 3 * window_us(quota) / 30


def test_a_lane_with_a_floor_gets_it_while_otp_could_use_everything() -> None:
    bucket, quota = TokenBucket(), Quota(30, floors={Lane.MARKETING: 3.0})
    booked = {Lane.OTP: 0, Lane.MARKETING: 0}
    for now in range(START, START + 10 * SECOND_US, 20_000):
        for lane in (Lane.OTP, Lane.MARKETING):
            answer = bucket.grant(now, lane, Share.of(quota, lane), 10)
            if isinstance(answer, Booked):
                booked[lane] += len(answer.waits_us)
                assert answer.floor == (lane is Lane.MARKETING and answer.waits_us[0] > 100_000)

    assert booked[Lane.MARKETING] in range(28, 33)
    assert booked[Lane.OTP] >= 260


@pytest.mark.parametrize("rate", [3, 30, 500])
def test_after_a_hold_the_rate_climbs_from_a_tenth_to_all_of_it(rate: int) -> None:
    """It was at its full rate until the hold began, ten seconds before it ended."""
    bucket, share, now = TokenBucket(), Share.of(Quota(rate), Lane.MARKETING), START
    while now < START + 3 * SECOND_US:
        answer = bucket.grant(now, Lane.MARKETING, share, want=20)
        now += max(answer.waits_us[-1], 1) if isinstance(answer, Booked) else answer.after_us
    now = lifted = START + 13 * SECOND_US
    bucket.ramp(now, 10 * SECOND_US)
    while now < lifted + 12 * SECOND_US:
        answer = bucket.grant(now, Lane.MARKETING, share, want=20)
        now += max(answer.waits_us[-1], 1) if isinstance(answer, Booked) else answer.after_us

    used = [
        sum(lifted <= slot - second * SECOND_US < lifted + SECOND_US for slot in bucket.slots) for second in range(12)
    ]
    assert used[0] <= 0.2 * rate + 1
    assert used[4] <= 0.6 * rate + 1
    assert sum(used[:10]) >= 0.45 * 10 * rate
    assert used[11] >= 0.95 * rate - 1


@given(rate=RATES, floors=FLOORS, asks=ASKS)
def test_the_silence_outlasts_every_slot_that_may_have_been_forgotten(
    rate: int, floors: dict[Lane, float], asks: list[tuple[int, Lane, int]]
) -> None:
    """Whatever was booked before a loss has left the window of the first slot after the silence."""
    quota, bucket, now = Quota(rate, floors=floors), TokenBucket(), START
    for pause, lane, want in asks:
        now += pause
        bucket.grant(now, lane, Share.of(quota, lane), want)

    assert not bucket.slots or now + silence_us(quota) - bucket.slots[-1] >= window_us(quota)


@pytest.mark.parametrize("rate", [-1, 4097])
def test_a_rate_that_the_ring_cannot_remember_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 4096"):
        Share.of(Quota(rate, timedelta(0)), Lane.OTP)
