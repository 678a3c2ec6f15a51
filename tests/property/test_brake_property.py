"""Whatever is settled, and whenever: the brake agrees with a simple model, stops what is bad, and never stays set."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.core.limits.brake import (
    RARELY_S,
    TRIAL_S,
    Brake,
    Braked,
    Limits,
    Released,
    Settled,
    Trying,
    after,
    at,
    enough_of,
)
from worker.core.outcome.outcome import ErrorClass

Fault: TypeAlias = tuple[ErrorClass, str] | None
BUG = (ErrorClass.INTERNAL, "local.internal")
FAULTS = st.sampled_from([None, None, BUG, (ErrorClass.INVALID, "A")])
#: Seconds since the one before, and what was wrong with it.
Steps: TypeAlias = list[tuple[float, Fault]]
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 7.0, 61.0, 300.0, 1000.0, 9000.0]), FAULTS), max_size=80)
#: Dispositions in a second.
RATES = st.floats(0.01, 1000)
PARTS = st.sampled_from([0.0, 0.05, 0.29, 0.5, 1.0])


def limits_of(internal: "st.SearchStrategy[float]", dead: "st.SearchStrategy[float]") -> "st.SearchStrategy[Limits]":
    return st.builds(
        Limits,
        internal=internal,
        dead=dead,
        sample=st.integers(6, 12),
        pause=st.integers(1, 400).map(lambda seconds: timedelta(seconds=seconds)),
        trial=st.integers(1, 6),
    )


LIMITS = limits_of(PARTS, PARTS)
#: The operator does not bear everything.
STRICT = limits_of(PARTS.filter(lambda part: part < 1), PARTS)


def history_of(steps: Steps, now_s: float = 0.0) -> list[Settled]:
    history = []
    for step_s, fault in steps:
        now_s += step_s
        history.append(Settled(now_s, fault))
    return history


def brake_after(history: Iterable[Settled], limits: Limits, brake: Brake | None = None) -> Brake:
    brake = brake or Released()
    for settled in history:
        brake = after(at(brake, settled.at_s), settled, limits)
    return brake


def let_in(brake: Brake, now_s: float) -> tuple[Brake, float]:
    """*brake* when it lets something in, and when that is."""
    return (at(brake, brake.until_s), brake.until_s) if isinstance(brake, Braked) else (brake, now_s)


def trips_within(most: int, brake: Brake, now_s: float, per_second: float, limits: Limits) -> bool:
    """Whether *brake* is set when *most* internal errors come, *per_second*."""
    for settled in history_of([(1 / per_second, BUG)] * most, now_s):
        brake = after(at(brake, settled.at_s), settled, limits)
        if isinstance(brake, Braked):
            return True
    return False


def is_too_bad(settled: list[Settled], limits: Limits, of: int) -> bool:
    """By the sentence in the documentation."""
    faults: list[tuple[float, Callable[[Fault], bool]]] = [
        (limits.internal, lambda fault: fault == BUG),
        (limits.dead, lambda fault: fault is not None),
    ]
    for part, is_bad in faults:
        bad = [one.at_s for one in settled if is_bad(one.fault)]
        enough = next(number for number in range(of + 2) if number / of > part)
        if len(bad) >= enough and settled[-1].at_s - bad[-enough] <= RARELY_S * enough:
            return True
    return False


@settings(max_examples=300)
@given(LIMITS, STEPS)
def test_it_does_what_a_model_with_a_whole_memory_does(limits: Limits, steps: Steps) -> None:
    brake: Brake = Released()
    seen: list[Settled] = []
    for settled in history_of(steps):
        before = at(brake, settled.at_s)
        brake = after(before, settled, limits)
        if isinstance(before, Braked):
            assert brake is before
            assert settled.at_s < brake.until_s
            continue
        seen.append(settled)
        of = limits.sample if isinstance(before, Released) and before.doubted is None else limits.trial
        bad = is_too_bad(seen[-of:], limits, of)
        assert isinstance(brake, Braked) is bad
        if bad:
            seen = []
        elif isinstance(brake, Trying):
            assert settled.at_s < brake.until_s
            assert len(seen) < limits.trial
        elif isinstance(brake, Released) and brake.doubted:
            assert isinstance(before, Released)
            assert brake.doubted == before.doubted
            assert len(seen) < limits.trial


@given(LIMITS, STEPS)
def test_its_memory_is_bounded_and_its_counts_are_those_of_what_it_remembers(limits: Limits, steps: Steps) -> None:
    brake: Brake = Released()
    for settled in history_of(steps):
        brake = after(at(brake, settled.at_s), settled, limits)
        if isinstance(brake, Braked):
            assert brake.until_s - settled.at_s <= max(limits.pause, limits.longest).total_seconds()
            assert brake.pause >= limits.pause
            continue
        sample = brake.sample
        faults = [one.fault[0] for one in sample.bad]
        assert len(faults) <= sample.size <= max(limits.sample, limits.trial)
        assert all(sample.number - sample.size < one.number <= sample.number for one in sample.bad)
        assert (sample.internal, sample.dead) == (faults.count(ErrorClass.INTERNAL), len(faults))


@given(STRICT, STEPS, RATES)
def test_when_all_are_internal_errors_it_is_set_after_so_many_at_every_rate_and_whatever_was_before(
    limits: Limits, steps: Steps, per_second: float
) -> None:
    history = history_of(steps)
    brake, now_s = let_in(brake_after(history, limits), history[-1].at_s if history else 0)
    most = enough_of(limits.internal, limits.sample)
    if not isinstance(brake, Released) or brake.doubted:
        most += enough_of(limits.internal, limits.trial)

    assert trips_within(most, brake, now_s, per_second, limits)


@given(LIMITS, STEPS)
def test_it_is_never_set_while_the_bad_ones_are_no_greater_part_than_is_borne(limits: Limits, steps: Steps) -> None:
    kept: list[Settled] = []
    for settled in history_of(steps):
        latest = [one.fault for one in (*kept, settled)[-limits.sample :]]
        internal, dead = latest.count(BUG), sum(fault is not None for fault in latest)
        borne = internal / limits.sample <= limits.internal and dead / limits.sample <= limits.dead
        kept.append(settled if borne else Settled(settled.at_s))

    assert isinstance(brake_after(kept, limits), Released)


@given(STRICT, STEPS, st.floats(1, 1e7))
def test_bad_ones_that_come_more_rarely_than_one_in_ten_minutes_never_set_it(
    limits: Limits, steps: Steps, more_s: float
) -> None:
    """One is more than nothing, so none may be borne at all only where one is enough."""
    if min(enough_of(limits.internal, limits.sample), enough_of(limits.dead, limits.sample)) == 1:
        return
    rare_s = 2 * RARELY_S + more_s  # twice: the first of so many has no time before it
    rare = [(step_s if fault is None else rare_s, fault) for step_s, fault in steps]

    assert isinstance(brake_after(history_of(rare), limits), Released)


@given(LIMITS, STEPS)
def test_what_is_well_never_sets_it(limits: Limits, steps: Steps) -> None:
    brake: Brake = Released()
    for settled in history_of(steps):
        before = at(brake, settled.at_s)
        assert isinstance(after(before, Settled(settled.at_s), limits), Braked) is isinstance(before, Braked)
        brake = after(before, settled, limits)


@given(LIMITS, STEPS)
def test_every_trial_ends(limits: Limits, steps: Steps) -> None:
    brake: Brake = Released()
    for settled in history_of(steps):
        before, brake = brake, at(brake, settled.at_s)
        if isinstance(brake, Trying) and isinstance(before, Braked):
            lasts_s = brake.until_s - settled.at_s
            assert TRIAL_S <= lasts_s <= max(limits.pause.total_seconds(), limits.longest.total_seconds(), TRIAL_S)
        if isinstance(brake, Trying):
            assert at(brake, brake.until_s) == Released(brake.sample, brake.pause)
        brake = after(brake, settled, limits)


@given(STRICT, STEPS, st.floats(0, 1e7), RATES)
def test_idle_time_alone_lets_everything_in_and_makes_nobody_trust(
    limits: Limits, steps: Steps, idle_s: float, per_second: float
) -> None:
    history = history_of(steps)
    brake = brake_after(history, limits)
    if not isinstance(brake, Braked):
        assert isinstance(at(brake, history[-1].at_s + idle_s if history else idle_s), Released | Trying)
        return
    trying = at(brake, brake.until_s + idle_s)
    assert isinstance(trying, Trying)
    released = at(trying, trying.until_s + idle_s)

    assert released == Released(doubted=brake.pause)
    assert at(released, trying.until_s + 2 * idle_s) is released
    enough = enough_of(limits.internal, limits.trial)
    assert trips_within(enough, released, trying.until_s + 2 * idle_s, per_second, limits)


@given(LIMITS, STEPS)
def test_once_everything_is_well_it_is_released_however_bad_it_was(limits: Limits, steps: Steps) -> None:
    brake: Brake = Released()
    now_s = 0.0
    for settled in history_of(steps):
        now_s = settled.at_s
        brake = after(at(brake, now_s), settled, limits)
    for _ in range(limits.sample + limits.trial):
        now_s += limits.longest.total_seconds() + limits.pause.total_seconds()
        brake = after(at(brake, now_s), Settled(now_s), limits)

    assert isinstance(brake, Released)
    assert brake.doubted is None
