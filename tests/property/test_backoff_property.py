from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.core.decision.policy import Backoff

SECONDS = st.floats(0.001, 86_400).map(lambda seconds: timedelta(seconds=seconds))
JITTERS = st.floats(0, 1, exclude_max=True)


@settings(deadline=None)
@given(first=SECONDS, ceiling=SECONDS, retry=st.integers(-1, 10**9), jitters=st.tuples(JITTERS, JITTERS))
def test_a_delay_is_never_negative_nor_beyond_its_bound_and_grows_with_the_dice(
    first: timedelta, ceiling: timedelta, retry: int, jitters: tuple[float, float]
) -> None:
    backoff = Backoff(first, ceiling)
    low, high = (backoff.delay(retry, jitter) for jitter in sorted(jitters))

    assert timedelta(0) <= low <= high <= ceiling
    assert high.total_seconds() <= first.total_seconds() * 2.0 ** min(max(retry, 1) - 1, 1000)
    assert backoff.delay(retry, jitters[0]) <= backoff.delay(retry + 1, jitters[0])
