"""Who is told to be too late is, and nobody else."""

from hypothesis import given
from hypothesis import strategies as st

from worker.core.plan import doomed


@given(
    left_s=st.lists(st.floats(-5, 60), max_size=40).map(sorted),
    per_s=st.sampled_from([0.5, 1.0, 8.0, float("inf")]),
)
def test_whoever_is_not_doomed_is_in_time_and_whoever_is_could_not_be(left_s: list[float], per_s: float) -> None:
    lost = set(doomed(left_s, per_s))
    turns = [(index, left) for index, left in enumerate(left_s) if index not in lost and left > 0]

    assert all(place / per_s <= left for place, (_, left) in enumerate(turns))
    for index in lost:
        before = sum(one < index for one, _ in turns)
        assert before / per_s > left_s[index] > 0
