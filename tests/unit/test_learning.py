"""The provider's limit is learned, in virtual time: `tests/bench/learning.py` has the whole table."""

import pytest

from tests.bench.learning import Scene, played

SLOW_ANSWERS_MS = (20, 200)


@pytest.mark.parametrize("latency_ms", [(50, 50), SLOW_ANSWERS_MS])
@pytest.mark.parametrize(("wall", "quota"), [(30, 45), (30, 300), (100, 400), (500, 2000)])
def test_of_a_quota_that_is_set_too_high_nearly_all_that_there_is_is_used(
    wall: int, quota: int, latency_ms: tuple[int, int]
) -> None:
    scene = Scene(wall, quota, seconds=60, latency_ms=latency_ms)
    told = played(scene)

    assert told.used(scene, 20, 60) >= 0.95
    assert told.refused_per_minute(20, 60) < 60


@pytest.mark.parametrize("wall", [30, 100, 500])
def test_a_quota_that_is_right_is_used_and_not_probed(wall: int) -> None:
    scene = Scene(wall, wall, seconds=20)
    told = played(scene)

    assert told.used(scene, 1, 20) >= 0.985
    assert sum(told.refused) == 0


@pytest.mark.parametrize("until", [30, 31, 32, 33, 34])
@pytest.mark.parametrize(("wall", "part"), [(30, 0.5), (100, 0.2), (100, 0.5), (100, 0.8)])
def test_when_another_program_leaves_the_quota_is_full_again_in_ten_seconds(wall: int, part: float, until: int) -> None:
    """It leaves at any moment of a probe."""
    scene = Scene(wall, wall, seconds=until + 14, foreign=part, foreign_from=5, foreign_until=until)
    told = played(scene)

    assert told.used(scene, 15, until) >= 0.93
    full = told.seconds_until_full(scene, until)
    assert full is not None
    assert full <= 10


def test_slots_that_are_booked_far_ahead_do_not_cut_again_and_again() -> None:
    scene = Scene(100, 400, seconds=60, want=64)
    told = played(scene)

    assert told.used(scene, 20, 60) >= 0.95


def test_a_quota_of_one_call_per_second_is_probed_seldom() -> None:
    scene = Scene(1, 1, seconds=600, foreign=0.5, foreign_from=0, foreign_until=600, workers=1)
    told = played(scene)

    assert told.refused_per_minute(300, 600) <= 30
    assert played(Scene(1, 1, seconds=60, workers=1)).refused_per_minute(0, 60) == 0
