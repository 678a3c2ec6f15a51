"""The brake, step by step: when it is set, what a trial shows, what it counts."""

from datetime import timedelta

import pytest

from tests.makers import make_row
from worker.core.brake import OURS, Brake, Braked, Cause, Limits, Released, Settled, Trying, after, at
from worker.core.disposition import Dead, Disposition, Done, GiveBack, Reason, Retry
from worker.core.history import History
from worker.core.outcome import DEAD_CLASSES, Accepted, ErrorClass

LIMITS = Limits(sample=20, trial=5)
GOOD = None
BUG = (ErrorClass.INTERNAL, "local.internal")
INVALID = (ErrorClass.INVALID, "INVALID_PARAMETERS")
CONTENT = (ErrorClass.CONTENT, "SMS_CONTENT_ILLEGAL")


def settle(brake: Brake, *faults: tuple[ErrorClass, str] | None, at_s: float = 0.0, limits: Limits = LIMITS) -> Brake:
    for fault in faults:
        brake = after(brake, Settled(at_s, fault), limits)
    return brake


def braked() -> Braked:
    brake = settle(Released(), *[INVALID] * 20)
    assert isinstance(brake, Braked)
    return brake


@pytest.mark.parametrize(
    ("faults", "is_braked"),
    [
        ([GOOD] * 19 + [BUG], False),
        ([GOOD] * 18 + [BUG] * 2, True),
        ([GOOD] * 10 + [INVALID] * 10, False),
        ([GOOD] * 9 + [INVALID] * 11, True),
        ([INVALID] * 19, False),
        ([INVALID] * 11 + [GOOD] * 9, True),
        ([INVALID] * 11 + [GOOD] * 10, True),
    ],
)
def test_it_is_set_when_the_bad_ones_exceed_their_part_of_a_whole_sample(
    faults: list[tuple[ErrorClass, str] | None], is_braked: bool
) -> None:
    assert isinstance(settle(Released(), *faults), Braked) is is_braked


def test_what_is_older_than_a_minute_is_no_sign_of_trouble_now() -> None:
    slow = settle(Released(), *[INVALID] * 19, at_s=0)

    assert isinstance(settle(slow, INVALID, at_s=60.1), Released)
    assert isinstance(settle(slow, INVALID, at_s=60.0), Braked)


def test_it_says_how_much_was_bad_and_what_most_of_it_was() -> None:
    brake = settle(Released(), *[GOOD] * 7, *[BUG], *[CONTENT] * 5, *[INVALID] * 7)

    assert isinstance(brake, Braked)
    assert brake.cause == Cause(1, 13, 20, *INVALID)
    assert str(brake.cause) == "13 of 20 dead, mostly invalid INVALID_PARAMETERS"


def test_nothing_is_let_in_until_the_pause_is_over_and_then_a_few_are() -> None:
    brake = braked()

    assert at(brake, 29.9) is brake
    assert at(settle(brake, GOOD, GOOD, at_s=10), 29.9) is brake
    assert isinstance(at(brake, 30), Trying)


def test_a_trial_that_is_well_releases_and_forgets() -> None:
    trying = at(braked(), 30)

    assert isinstance(settle(trying, *[GOOD] * 4), Trying)
    assert settle(trying, *[GOOD] * 4, INVALID) == Released()
    assert isinstance(settle(trying, *[GOOD] * 5, *[INVALID] * 19), Released)


def test_every_trial_that_is_not_doubles_the_pause_up_to_the_longest() -> None:
    brake: Brake = braked()
    pauses = []
    for _ in range(8):
        assert isinstance(brake, Braked)
        pauses.append(brake.pause.total_seconds())
        now_s = brake.until_s
        brake = settle(at(brake, now_s), *[INVALID] * 3, at_s=now_s)

    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600]
    assert isinstance(brake, Braked)
    assert brake.since_s == 0


def test_ones_switch_it_off() -> None:
    off = Limits(internal=1, dead=1, sample=10)

    assert isinstance(settle(Released(), *[BUG] * 500, limits=off), Released)


@pytest.mark.parametrize("error_class", DEAD_CLASSES)
def test_a_dead_letter_that_the_world_causes_is_none_of_ours(error_class: ErrorClass) -> None:
    row = make_row(error_class)
    dead = Dead(Reason(error_class, row.code, "", ""), History())

    settled = Settled.of(dead, 7)

    assert settled == Settled(7, (error_class, row.code) if error_class in OURS else None)


@pytest.mark.parametrize(
    ("disposition", "settled"),
    [
        (Done(Accepted("1", "2", 1), History()), Settled(1)),
        (Retry(timedelta(0), Reason(ErrorClass.UNKNOWN, "local.timeout", "", ""), History()), Settled(1)),
        (GiveBack("the worker is draining"), None),
    ],
)
def test_only_what_was_settled_for_good_or_for_later_counts(disposition: Disposition, settled: Settled | None) -> None:
    assert Settled.of(disposition, 1) == settled
