"""One hold, step by step, in numbers: when it begins, who probes and when, what ends it."""

import pytest

from tests.models.hold_state import Held, Pace, State, Suspect, accepted, current, met, refused, stopped, unprobed
from worker.core.limits.holds import OPERATORS_CODE, By

PACE = Pace(needed=1, first=10, slowest=45)
HELD = Held("CODE", since=0, probe_at=10)
PROBED = Held("CODE", since=0, probe_at=10, lease=38, prober="w1")
ENDING = Held("CODE", since=0, until=100)
OPERATOR = Held(OPERATORS_CODE, since=0, by=By.OPERATOR, until=100, reason="a test")


def refusals(times: int, pace: Pace, lasts: int = 0) -> list[State]:
    states: list[State] = [None]
    for _ in range(times):
        states.append(refused(states[-1], 5, "CODE", "", pace, lasts))
    return states[1:]


def test_it_begins_with_as_many_refusals_in_a_row_as_are_needed() -> None:
    assert refusals(1, PACE) == [Held("CODE", since=5, probe_at=15)]
    assert refusals(3, Pace(3, 10, 45)) == [Suspect(1), Suspect(2), Held("CODE", since=5, probe_at=15)]
    assert accepted(Suspect(2), 5, probed=False) is None


def test_one_that_ends_by_itself_has_no_probes() -> None:
    assert refusals(2, Pace(2, 10, 45), lasts=100)[-1] == Held("CODE", since=5, until=105)
    assert ENDING.opens is None


@pytest.mark.parametrize(("now", "state"), [(99, ENDING), (100, None), (101, None)])
def test_it_is_over_when_its_end_has_come(now: int, state: State) -> None:
    assert current(ENDING, now) == state
    assert current(HELD, now) is HELD
    assert current(Suspect(1), now) == Suspect(1)
    assert met(ENDING, now, "w1", 28) == (state, state is None)
    assert accepted(ENDING, now, probed=False) == state


def test_after_its_end_refusals_are_counted_anew() -> None:
    assert refused(ENDING, 100, "OTHER", "", PACE, 0) == Held("OTHER", since=100, probe_at=110)
    assert refused(ENDING, 100, "OTHER", "", Pace(2, 10, 45), 0) == Suspect(1)


def test_another_refusal_moves_an_end_but_never_nearer() -> None:
    assert refused(ENDING, 60, "CODE", "", PACE, 50) == Held("CODE", since=0, until=110)
    assert refused(ENDING, 40, "CODE", "", PACE, 50) == ENDING
    assert refused(ENDING, 60, "CODE", "", PACE, 0) == ENDING
    assert refused(HELD, 60, "CODE", "", PACE, 50) == HELD


def test_the_first_probe_comes_when_it_is_due_and_there_is_one_at_a_time() -> None:
    assert met(HELD, 9, "w1", 28) == (HELD, False)
    assert met(HELD, 10, "w1", 28) == (PROBED, True)
    assert met(PROBED, 37, "w2", 28) == (PROBED, False)
    assert met(PROBED, 38, "w2", 28) == (Held("CODE", since=0, probe_at=10, lease=66, prober="w2"), True)
    assert met(None, 0, "w1", 28) == (None, True)
    assert met(Suspect(1), 0, "w1", 28) == (Suspect(1), True)
    assert (HELD.opens, PROBED.opens) == (10, 38)


def test_every_refused_probe_doubles_the_pause_up_to_the_slowest() -> None:
    state: State = HELD
    pauses = []
    for _ in range(4):
        assert isinstance(state, Held)
        assert state.probe_at is not None
        now = state.probe_at
        state, _ = met(state, now, "w1", 28)
        state = refused(state, now, "NEW", "w1", PACE, 0)
        assert isinstance(state, Held)
        assert (state.code, state.lease, state.prober) == ("NEW", 0, "")
        assert state.probe_at is not None
        pauses.append(state.probe_at - now)

    assert (pauses, state) == ([20, 40, 45, 45], Held("NEW", since=0, probes=4, probe_at=160))


def test_after_a_very_long_hold_the_pause_is_still_a_number_that_redis_can_hold() -> None:
    pace = Pace(1, 1, 10**12)
    long = Held("CODE", since=0, probes=31, probe_at=0, prober="w1")

    states = [
        refused(replaced, 0, "CODE", "w1", pace, 0) for replaced in (long, Held("CODE", 0, probes=90, prober="w1"))
    ]
    assert [state.probe_at for state in states if isinstance(state, Held)] == [2**32, 2**32]


def test_a_probe_that_showed_nothing_keeps_the_code() -> None:
    assert refused(PROBED, 20, "", "w1", PACE, 0) == Held("CODE", since=0, probes=1, probe_at=40)


@pytest.mark.parametrize("prober", ["", "w2"])
def test_what_was_under_way_when_it_began_changes_nothing(prober: str) -> None:
    assert refused(PROBED, 20, "OTHER", prober, PACE, 0) == PROBED
    assert refused(HELD, 20, "OTHER", prober, PACE, 0) == HELD
    assert accepted(HELD, 20, probed=False) == HELD


def test_a_call_that_showed_nothing_begins_nothing() -> None:
    assert refused(None, 5, "", "w1", PACE, 0) is None
    assert refused(Suspect(1), 5, "", "w1", PACE, 0) == Suspect(1)


def test_an_accepted_probe_ends_it() -> None:
    assert accepted(PROBED, 20, probed=True) is None
    assert accepted(None, 20, probed=True) is None


def test_no_answer_changes_what_the_operator_holds() -> None:
    assert refused(OPERATOR, 20, "CODE", "w1", PACE, 500) == OPERATOR
    assert accepted(OPERATOR, 20, probed=True) == OPERATOR
    assert accepted(OPERATOR, 20, probed=False) == OPERATOR
    assert accepted(OPERATOR, 100, probed=False) is None


def test_the_operator_holds_it_for_a_time_or_for_good() -> None:
    assert stopped(7, "a test", 50) == Held(OPERATORS_CODE, since=7, by=By.OPERATOR, until=57, reason="a test")
    assert stopped(7, "a test", 0) == Held(OPERATORS_CODE, since=7, by=By.OPERATOR, reason="a test")


def test_only_the_prober_gives_its_probe_back() -> None:
    assert unprobed(PROBED, "w1") == HELD
    assert unprobed(PROBED, "w2") == PROBED
    assert unprobed(None, "w1") is None
    assert unprobed(Suspect(1), "w1") == Suspect(1)
