"""The limits as values."""

from datetime import timedelta

from worker.core.limits.quota import Quota, Slots


def test_a_quota_of_which_only_the_rate_is_said_has_a_guard_of_ten_milliseconds_and_no_floors() -> None:
    assert Quota(30) == Quota(30, timedelta(milliseconds=10), {})


def test_slots_of_which_nothing_else_is_said_are_certain_and_for_everybody() -> None:
    assert Slots((0.5,)) == Slots((0.5,), since=None, doubt_s=0.0, floor=False, probe=False)
