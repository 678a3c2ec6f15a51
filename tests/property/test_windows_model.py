"""What can be known about caps without counting."""

from hypothesis import given
from hypothesis import strategies as st

from worker.core.limits.quota import Cap
from worker.core.limits.windows import caps_of, strictest
from worker.core.outcome.outcome import Period

CAPS = st.lists(
    st.builds(Cap, st.integers(1, 100), st.sampled_from(Period), st.sampled_from(["", "8", "852", "86"])), max_size=8
)


@given(CAPS, st.sampled_from(["85251234567", "8613800138000", "14155550100"]), st.sampled_from(Period))
def test_of_caps_that_count_the_same_the_strictest_is_left(caps: list[Cap], number: str, period: Period) -> None:
    def least(of: tuple[Cap, ...]) -> dict[str, int]:
        applying = [cap for cap in caps_of(of, number) if cap.period is period]
        return {c.prefix: min(o.limit for o in applying if o.prefix == c.prefix) for c in applying}

    kept = strictest(caps)

    assert least(kept) == least(tuple(caps))
    assert len({(cap.prefix, cap.period) for cap in kept}) == len(kept)
