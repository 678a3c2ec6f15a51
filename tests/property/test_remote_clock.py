"""What is known of Redis' clock: never wrong while both clocks are right, and soon right again when one was set."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from worker.core.limits.remote_clock import DRIFT, RemoteClock, seen

#: Pause before an exchange, how long the question took, and how long the answer took. Seconds.
EXCHANGES = st.lists(st.tuples(st.floats(0.001, 100), st.floats(0, 0.3), st.floats(0, 0.3)), min_size=1, max_size=30)
OFFSETS = st.floats(-1e9, 1e9)
#: How fast the difference of the clocks changes, in parts of what they may.
SKEWS = st.floats(-1, 1)
#: Floats of this size are no finer. Seconds.
FINE = 1e-5
#: Clocks drift while an exchange lasts, too.
SLACK = 0.7 * DRIFT + FINE


def exchanged(
    exchanges: list[tuple[float, float, float]], offset: float, skew: float, known: RemoteClock | None = None
) -> tuple[RemoteClock, float, float]:
    """The clock after *exchanges*, our time, and how far theirs was behind ours at the end."""
    ours, clock = 1000.0 if known is None else known.at, known
    behind = offset
    for pause, question, answer in exchanges:
        asked = ours + pause
        read = asked + question
        behind += (pause + question) * DRIFT * skew
        theirs = read - behind
        ours = read + answer
        behind += answer * DRIFT * skew
        clock = seen(clock, asked, ours, theirs)
    assert clock is not None
    return clock, ours, behind


@given(EXCHANGES, OFFSETS, SKEWS)
def test_the_bounds_hold_whatever_the_exchanges_took(
    exchanges: list[tuple[float, float, float]], offset: float, skew: float
) -> None:
    clock, ours, behind = exchanged(exchanges, offset, skew)

    assert clock.least - SLACK <= behind <= clock.most + SLACK
    assert clock.ours(ours - behind) >= ours - SLACK, "never too early"
    later = ours + 7
    assert clock.theirs(later) >= later - behind - 7 * DRIFT * skew - SLACK, "never too early"


@given(EXCHANGES, OFFSETS)
def test_many_exchanges_tell_no_less_than_the_last(exchanges: list[tuple[float, float, float]], offset: float) -> None:
    clock, _, _ = exchanged(exchanges, offset, 0)
    _, question, answer = exchanges[-1]

    assert clock.doubt <= question + answer + FINE


@given(EXCHANGES, OFFSETS, st.sampled_from([-3600.0, -1.0, 1.0, 3600.0]))
def test_a_clock_that_was_set_is_believed_again_at_once(
    exchanges: list[tuple[float, float, float]], offset: float, step: float
) -> None:
    before, _, _ = exchanged([(1.0, 0.1, 0.1)], offset, 0)
    clock, _, behind = exchanged(exchanges[-1:], offset + step, 0, before)

    assert clock.least - FINE <= behind <= clock.most + FINE


def test_one_fast_exchange_makes_up_for_many_slow_ones() -> None:
    slow = timedelta(milliseconds=20).total_seconds()
    clock, _, _ = exchanged([(0.02, 0.0001, 0.0001), *[(0.02, slow, slow)] * 20], 5e8, 0)

    assert clock.doubt < 0.003


def test_what_is_known_of_their_time_grows_less_certain() -> None:
    clock = RemoteClock(least=10.0, most=12.0, at=1000.0)

    assert (clock.doubt, clock.ours(990.0)) == (2.0, 1002.0)
    assert clock.theirs(1000.0) == 990.0
    assert clock.theirs(3000.0) == 2990.0 + 2000 * DRIFT


def test_bounds_that_touch_do_not_exclude_each_other() -> None:
    known = RemoteClock(least=10.0, most=12.0, at=1000.0)

    assert seen(known, asked=1000.0, answered=1000.0, theirs=988.0) == RemoteClock(12.0, 12.0, 1000.0)
    assert seen(known, asked=999.0, answered=1000.0, theirs=500.0) == RemoteClock(499.0, 500.0, 1000.0)
