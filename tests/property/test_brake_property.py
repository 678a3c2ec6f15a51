"""Whatever is settled, and whenever: the brake agrees with a simple model, forgets, and never stays set for ever."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.core.brake import Brake, Braked, Limits, Released, Settled, Trying, after, at
from worker.core.outcome import ErrorClass

PARTS = st.sampled_from([0.0, 0.05, 0.29, 0.5, 1.0])
LIMITS = st.builds(
    Limits,
    internal=PARTS,
    dead=PARTS,
    sample=st.integers(1, 12),
    pause=st.integers(1, 400).map(lambda seconds: timedelta(seconds=seconds)),
    trial=st.integers(1, 6),
)
FAULTS = st.sampled_from([None, None, (ErrorClass.INTERNAL, "local.internal"), (ErrorClass.INVALID, "A")])
#: Seconds since the one before, and what was wrong with it.
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 7.0, 61.0, 300.0]), FAULTS), max_size=80)


def history_of(steps: list[tuple[float, tuple[ErrorClass, str] | None]]) -> list[Settled]:
    now_s, history = 0.0, []
    for step_s, fault in steps:
        now_s += step_s
        history.append(Settled(now_s, fault))
    return history


def is_too_bad(settled: list[Settled], limits: Limits, of: int) -> bool:
    faults = [one.fault[0] for one in settled if one.fault]
    return faults.count(ErrorClass.INTERNAL) / of > limits.internal or len(faults) / of > limits.dead


@settings(max_examples=300)
@given(LIMITS, STEPS)
def test_it_does_what_a_model_with_a_whole_memory_does(
    limits: Limits, steps: list[tuple[float, tuple[ErrorClass, str] | None]]
) -> None:
    brake: Brake = Released()
    seen: list[Settled] = []
    for settled in history_of(steps):
        before = at(brake, settled.at_s)
        brake = after(before, settled, limits)
        match before:
            case Braked():
                assert brake is before
                assert settled.at_s < brake.until_s
            case Released():
                seen.append(settled)
                latest = seen[-limits.sample :]
                enough = len(latest) == limits.sample and settled.at_s - latest[0].at_s <= 60
                assert isinstance(brake, Braked) is (enough and is_too_bad(latest, limits, limits.sample))
            case Trying():
                seen.append(settled)
                bad = is_too_bad(seen, limits, limits.trial)
                assert isinstance(brake, Braked) is bad
                assert isinstance(brake, Released) is (not bad and len(seen) == limits.trial)
        if type(brake) is not type(before):
            seen = []


@given(LIMITS, STEPS)
def test_its_memory_is_bounded_and_its_counts_are_those_of_what_it_remembers(
    limits: Limits, steps: list[tuple[float, tuple[ErrorClass, str] | None]]
) -> None:
    brake: Brake = Released()
    for settled in history_of(steps):
        brake = after(at(brake, settled.at_s), settled, limits)
        if isinstance(brake, Braked):
            assert brake.until_s - settled.at_s <= max(limits.pause, limits.longest).total_seconds()
            assert brake.pause >= limits.pause
            continue
        sample = brake.sample
        faults = [one.fault[0] for one in sample.settled if one.fault]
        assert len(sample.settled) <= max(limits.sample, limits.trial)
        assert (sample.internal, sample.dead) == (faults.count(ErrorClass.INTERNAL), len(faults))


@given(LIMITS, STEPS)
def test_once_everything_is_well_it_is_released_however_bad_it_was(
    limits: Limits, steps: list[tuple[float, tuple[ErrorClass, str] | None]]
) -> None:
    brake: Brake = Released()
    now_s = 0.0
    for settled in history_of(steps):
        now_s = settled.at_s
        brake = after(at(brake, now_s), settled, limits)
    for _ in range(limits.sample + limits.trial):
        now_s += limits.longest.total_seconds() + limits.pause.total_seconds()
        brake = after(at(brake, now_s), Settled(now_s), limits)

    assert isinstance(brake, Released)
