"""What can be known about windows and caps without counting."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from worker.core.lane import Lane
from worker.core.outcome import Period
from worker.core.quota import Cap, Window
from worker.core.windows import caps_of, kept_s, strictest, windows_of

PERIODS = st.sampled_from(Period) | st.timedeltas(timedelta(milliseconds=1), timedelta(days=40))
WINDOWS = st.lists(
    st.builds(Window, st.integers(1, 20), PERIODS, st.frozensets(st.sampled_from(Lane), min_size=1)), max_size=6
)
CAPS = st.lists(
    st.builds(Cap, st.integers(1, 100), st.sampled_from(Period), st.sampled_from(["", "8", "852", "86"])), max_size=8
)


@given(WINDOWS)
def test_an_entry_is_kept_as_long_as_any_window_may_count_it(windows: list[Window]) -> None:
    kept = timedelta(seconds=kept_s(windows))

    assert all(kept > window.period for window in windows if isinstance(window.period, timedelta))
    assert all(kept > timedelta(days=1) for window in windows if window.period is Period.DAY)
    assert all(kept > timedelta(days=31) for window in windows if window.period is Period.MONTH)


@given(WINDOWS, st.sampled_from(Lane))
def test_a_lane_is_limited_by_its_own_windows_only(windows: list[Window], lane: Lane) -> None:
    assert set(windows_of(windows, lane)) == {window for window in windows if lane in window.lanes}


@given(CAPS, st.sampled_from(["85251234567", "8613800138000", "14155550100"]), st.sampled_from(Period))
def test_of_caps_that_count_the_same_the_strictest_is_left(caps: list[Cap], number: str, period: Period) -> None:
    def least(of: tuple[Cap, ...]) -> dict[str, int]:
        applying = [cap for cap in caps_of(of, number) if cap.period is period]
        return {c.prefix: min(o.limit for o in applying if o.prefix == c.prefix) for c in applying}

    kept = strictest(caps)

    assert least(kept) == least(tuple(caps))
    assert len({(cap.prefix, cap.period) for cap in kept}) == len(kept)
