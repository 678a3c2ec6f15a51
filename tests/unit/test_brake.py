"""The brake, step by step: when it is set, what a trial shows, what it counts."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.makers import make_row
from worker.core.limits.brake import (
    OURS,
    Bad,
    Brake,
    Braked,
    Cause,
    Limits,
    Released,
    Sample,
    Settled,
    Trying,
    after,
    at,
    enough_of,
)
from worker.core.message.history import History
from worker.core.outcome.disposition import Dead, Disposition, Done, Reason, Requeue, Retry
from worker.core.outcome.outcome import DEAD_CLASSES, Accepted, ErrorClass

LIMITS = Limits(sample=20, trial=5)
GOOD = None
BUG = (ErrorClass.INTERNAL, "local.internal")
INVALID = (ErrorClass.INVALID, "INVALID_PARAMETERS")
UNANSWERED = (ErrorClass.UNKNOWN, "local.timeout")
CONTENT = (ErrorClass.CONTENT, "SMS_CONTENT_ILLEGAL")


def settle(brake: Brake, *faults: tuple[ErrorClass, str] | None, at_s: float = 0.0, limits: Limits = LIMITS) -> Brake:
    for fault in faults:
        brake = after(brake, Settled(at_s, fault), limits)
    return brake


def braked() -> Braked:
    brake = settle(Released(), *[INVALID] * 20)
    assert isinstance(brake, Braked)
    assert brake.cause.settled == 11
    return brake


@pytest.mark.parametrize(
    ("faults", "is_braked"),
    [
        ([GOOD] * 19 + [BUG], False),
        ([GOOD] * 18 + [BUG] * 2, True),
        ([GOOD] * 10 + [INVALID] * 10, False),
        ([GOOD] * 9 + [INVALID] * 11, True),
        ([BUG] * 2, True),
        ([INVALID] * 10, False),
        ([INVALID] * 11, True),
        ([BUG] + [GOOD] * 19 + [BUG], False),
        ([BUG] + [GOOD] * 18 + [BUG], True),
        ([INVALID] * 10 + [GOOD] * 10 + [INVALID] * 9, False),
    ],
)
def test_it_is_set_as_soon_as_the_bad_ones_exceed_their_part_of_a_sample(
    faults: list[tuple[ErrorClass, str] | None], is_braked: bool
) -> None:
    assert isinstance(settle(Released(), *faults), Braked) is is_braked


def slowly(brake: Brake, fault: tuple[ErrorClass, str], times: int, every_s: float, limits: Limits = LIMITS) -> Brake:
    for number in range(times):
        brake = settle(brake, fault, at_s=number * every_s, limits=limits)
    return brake


@pytest.mark.parametrize(("fault", "enough"), [(BUG, 6), (INVALID, 51)])
@pytest.mark.parametrize("per_second", [0.01, 1.6, 30])
def test_at_every_rate_so_many_bad_ones_are_enough(
    fault: tuple[ErrorClass, str], enough: int, per_second: float
) -> None:
    assert isinstance(slowly(Released(), fault, enough - 1, 1 / per_second, Limits()), Released)
    assert isinstance(slowly(Released(), fault, enough, 1 / per_second, Limits()), Braked)


@pytest.mark.parametrize("fault", [BUG, INVALID])
def test_one_bad_message_an_hour_stops_nobody(fault: tuple[ErrorClass, str]) -> None:
    assert isinstance(slowly(Released(), fault, 1000, 3600, Limits()), Released)


def test_they_are_enough_while_they_come_no_more_rarely_than_one_in_ten_minutes() -> None:
    """Two of twenty internal errors are too many, eleven dead ones."""
    assert isinstance(settle(settle(Released(), BUG), BUG, at_s=1200), Braked)
    assert isinstance(settle(settle(Released(), BUG), BUG, at_s=1200.1), Released)
    dead = settle(Released(), *[INVALID] * 10)
    assert isinstance(settle(dead, INVALID, at_s=6600), Braked)
    assert isinstance(settle(dead, INVALID, at_s=6600.1), Released)


def test_internal_errors_that_are_rare_are_no_reason_beside_other_dead_letters_that_are_not() -> None:
    brake = settle(Released(), BUG)
    brake = settle(brake, INVALID, INVALID, at_s=1300)

    assert isinstance(settle(brake, BUG, at_s=1300), Released)


def test_old_ones_do_not_hide_the_new_ones() -> None:
    brake = settle(settle(Released(), BUG), *[GOOD] * 5, at_s=4000)

    assert isinstance(settle(brake, BUG, at_s=4001), Released)
    assert isinstance(settle(brake, BUG, BUG, at_s=4001), Braked)


@pytest.mark.parametrize(
    ("part", "of", "enough"), [(0, 20, 1), (0.01, 20, 1), (0.05, 20, 2), (0.05, 100, 6), (0.29, 100, 30), (1, 7, 8)]
)
def test_enough_is_the_smallest_number_that_exceeds_the_part(part: float, of: int, enough: int) -> None:
    assert enough_of(part, of) == enough


def test_it_says_how_much_was_bad_and_what_most_of_it_was() -> None:
    brake = settle(Released(), *[GOOD] * 9, *[CONTENT] * 5, *[INVALID] * 6)

    assert isinstance(brake, Braked)
    assert brake.cause == Cause(0, 11, 20, *INVALID)
    assert str(brake.cause) == "11 of 20 dead, mostly invalid INVALID_PARAMETERS"
    assert settle(Released(), BUG, *[CONTENT] * 2, BUG) == Braked(0, 30, LIMITS.pause, Cause(2, 4, 4, *BUG))


def test_nothing_is_let_in_until_the_pause_is_over_and_then_a_few_are() -> None:
    brake = braked()

    assert at(brake, 29.9) is brake
    assert at(settle(brake, GOOD, GOOD, at_s=10), 29.9) is brake
    assert isinstance(at(brake, 30), Trying)


def test_a_trial_that_is_well_releases_and_goes_on_from_there() -> None:
    trying = at(braked(), 30)

    assert isinstance(settle(trying, *[GOOD] * 4), Trying)
    released = settle(trying, *[GOOD] * 4, INVALID)
    assert released == Released(Sample(5, (Bad(5, 0, INVALID),), 5))
    assert isinstance(settle(released, *[INVALID] * 9), Released)
    assert settle(released, *[INVALID] * 10) == Braked(0, 30, LIMITS.pause, Cause(0, 11, 15, *INVALID))


def trying_after(pause_s: float) -> Trying:
    brake = settle(Released(), *[INVALID] * 11, limits=replace(LIMITS, pause=timedelta(seconds=pause_s)))
    trying = at(brake, pause_s)
    assert isinstance(trying, Trying)
    return trying


@pytest.mark.parametrize(("pause_s", "trial_s"), [(1, 60), (60, 60), (61, 61), (600, 600)])
def test_a_trial_to_which_too_little_comes_ends_too(pause_s: float, trial_s: float) -> None:
    trying = settle(trying_after(pause_s), GOOD, INVALID)

    assert at(trying, pause_s + trial_s - 0.1) is trying
    released = at(trying, pause_s + trial_s)
    assert released == Released(Sample(2, (Bad(2, 0, INVALID),), 2), timedelta(seconds=pause_s))
    assert at(released, 1e6) is released


def test_whoever_comes_after_such_a_trial_is_judged_as_in_it_and_by_what_it_found() -> None:
    doubted = at(settle(trying_after(30), INVALID, at_s=80), 90)

    again = settle(doubted, GOOD, INVALID, INVALID, at_s=100)
    assert again == Braked(100, 160, timedelta(seconds=60), Cause(0, 3, 4, *INVALID))
    assert isinstance(settle(doubted, BUG, at_s=100), Braked)


def test_the_doubt_ends_when_as_many_as_a_trial_needs_were_settled_well() -> None:
    doubted = at(settle(trying_after(30), INVALID, at_s=80), 90)

    still = settle(doubted, *[GOOD] * 3, at_s=100)
    assert isinstance(still, Released)
    assert still.doubted == timedelta(seconds=30)
    cleared = settle(still, GOOD, at_s=100)
    assert cleared == Released(Sample(5, (Bad(1, 80, INVALID),), 5))
    assert isinstance(settle(cleared, BUG, at_s=101), Released)


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
        (Requeue("the worker is draining"), None),
        (Dead(Reason(ErrorClass.UNKNOWN, "local.timeout", "", ""), History()), Settled(1, UNANSWERED)),
        (Dead(Reason(ErrorClass.UNKNOWN, "local.timeout", "", ""), History(), echoes=True), None),
        (Dead(Reason(ErrorClass.UNKNOWN, "local.caller_lost", "", ""), History()), None),
    ],
)
def test_only_what_was_settled_for_good_or_for_later_and_happened_now_counts(
    disposition: Disposition, settled: Settled | None
) -> None:
    assert Settled.of(disposition, 1) == settled


def test_a_trial_is_twenty_dispositions() -> None:
    """Half of them may be dead, and one in twenty an internal error."""
    trying = Trying(0, 60, timedelta(seconds=30), Cause(0, 51, 51, *INVALID))

    assert isinstance(settle(trying, *[INVALID] * 10, limits=Limits()), Trying)
    assert isinstance(settle(trying, *[INVALID] * 11, limits=Limits()), Braked)
    assert isinstance(settle(trying, *[GOOD] * 19, limits=Limits()), Trying)
    assert isinstance(settle(trying, *[GOOD] * 20, limits=Limits()), Released)
