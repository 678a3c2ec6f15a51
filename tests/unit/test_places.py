"""The model of a recipient's places in figures that a reader can follow; what `admit.lua` is compared with."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.models.places import MOST, Event, Recipient, Sent, Wait
from worker.core.limits.quota import Window
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Period

SECOND = 1_000_000
#: A tick's beginning: 1/64 s is 15,625 microseconds.
START = 1_000_000 * SECOND
TICK = 15_625
DAY = 24 * 3600 * SECOND
ONE_IN_TEN = Window(1, timedelta(seconds=10), frozenset(Lane))
ONE_IN_A_SECOND = Window(1, timedelta(seconds=1), frozenset(Lane))


def ask(recipient: Recipient, name: bytes, now: int, left: int = DAY, lane: Lane = Lane.OTP) -> Sent | Wait:
    return recipient.ask(name, lane, START + now, left)


def full(window: Window = ONE_IN_TEN) -> Recipient:
    """A recipient to whom one message was sent at the beginning."""
    recipient = Recipient([window])
    assert ask(recipient, b"first", 0) == Sent()
    return recipient


def test_what_was_sent_counts_from_the_end_of_its_tick() -> None:
    assert ask(full(), b"next", TICK) == Wait(10 * SECOND, promised=True)
    assert ask(full(), b"next", 10 * SECOND) == Wait(TICK, promised=True)
    assert ask(full(), b"next", 10 * SECOND + TICK) == Sent()


def test_who_has_a_place_is_sent_at_it_and_not_before() -> None:
    recipient = full()
    assert ask(recipient, b"next", 0) == Wait(10 * SECOND + TICK, promised=True)

    assert ask(recipient, b"next", 10 * SECOND) == Wait(TICK, here=True, promised=True)
    assert ask(recipient, b"next", 10 * SECOND + TICK) == Sent()
    assert recipient.places == []


def test_who_comes_two_seconds_too_early_waits_where_it_is() -> None:
    recipient = full()
    ask(recipient, b"next", 0)

    assert ask(recipient, b"next", 8 * SECOND + TICK) == Wait(2 * SECOND, here=True, promised=True)
    assert ask(recipient, b"next", 8 * SECOND + TICK - 1) == Wait(2 * SECOND + 1, promised=True)


def test_the_second_in_the_queue_is_promised_the_place_after_the_first() -> None:
    recipient = full()
    ask(recipient, b"a", 0)

    assert ask(recipient, b"b", 0) == Wait(20 * SECOND + 2 * TICK, promised=True)
    assert ask(recipient, b"a", 0) == Wait(10 * SECOND + TICK, promised=True)
    assert [place.name for place in recipient.places] == [b"a", b"b"]


def test_a_place_whose_owner_is_three_seconds_late_bars_nobody() -> None:
    recipient = full(ONE_IN_A_SECOND)
    ask(recipient, b"late", 0)
    place = SECOND + TICK

    assert ask(recipient, b"other", place + 3 * SECOND - 1) == Wait(SECOND + 1, promised=True)
    recipient = full(ONE_IN_A_SECOND)
    ask(recipient, b"late", 0)
    assert ask(recipient, b"other", place + 3 * SECOND) == Sent()


def test_a_place_is_forgotten_ten_minutes_after_its_instant() -> None:
    place = 10 * SECOND + TICK
    for late, names in [(600 * SECOND - 1, [b"late"]), (600 * SECOND, [])]:
        recipient = full()
        ask(recipient, b"late", 0)
        recipient.marks.append(Event((START + place + late) // TICK, Lane.OTP))

        ask(recipient, b"other", place + late)
        assert [one.name for one in recipient.places] == [*names, b"other"]


def test_who_cannot_wait_so_long_is_promised_nothing_and_loses_its_place() -> None:
    recipient = full()
    after = 10 * SECOND + TICK

    assert ask(recipient, b"next", 0, left=after) == Wait(after)
    assert recipient.places == []
    assert ask(recipient, b"next", 0, left=after + 1) == Wait(after, promised=True)
    assert ask(recipient, b"next", 0, left=after) == Wait(after)
    assert recipient.places == []


def test_256_are_promised_a_place_and_the_others_are_spread() -> None:
    recipient = full(ONE_IN_A_SECOND)
    for number in range(256):
        assert ask(recipient, number.to_bytes(2, "big"), 0) == Wait((number + 1) * (SECOND + TICK), promised=True)
    after = 257 * (SECOND + TICK)

    assert MOST == 256
    assert ask(recipient, b"\x00\x00x", 0) == Wait(after)
    assert ask(recipient, b"\x80\x00x", 0) == Wait(after + after // 2)
    assert ask(recipient, b"\x80\x00x", 0, left=after + 100) == Wait(after + 50)
    assert len(recipient.places) == 256


def test_a_full_queue_of_places_forgets_who_did_not_come() -> None:
    """A newcomer finds room again three seconds after the first place, which its owner did not use."""
    recipient = full(ONE_IN_A_SECOND)
    for number in range(256):
        ask(recipient, number.to_bytes(2, "big"), 0)
    late = SECOND + TICK + 3 * SECOND

    for now, is_promised in [(late - 1, False), (late, True)]:
        answer = ask(recipient, b"\x00\x00x", now)
        assert isinstance(answer, Wait)
        assert answer.promised is is_promised


def test_a_place_that_its_owner_moves_keeps_its_rank() -> None:
    recipient = full()
    ask(recipient, b"a", 0)
    ask(recipient, b"b", 0)
    recipient.marks.append(Event((START + 5 * SECOND) // TICK, Lane.OTP))

    assert ask(recipient, b"a", 6 * SECOND) == Wait(9 * SECOND + TICK, promised=True)
    assert [place.name for place in recipient.places] == [b"a", b"b"]


def test_a_call_that_was_not_accepted_has_its_place_before_everybody() -> None:
    recipient = full()
    ask(recipient, b"next", 0)

    recipient.refund(recipient.marks[0])
    assert ([place.name for place in recipient.places], recipient.marks) == ([b"first", b"next"], [])
    assert ask(recipient, b"first", 0) == Sent()


def test_a_more_urgent_lane_does_not_wait_for_the_places_of_others() -> None:
    recipient = full(ONE_IN_A_SECOND)
    ask(recipient, b"offer", 0, lane=Lane.MARKETING)

    assert ask(recipient, b"password", SECOND + TICK) == Sent()


@pytest.mark.parametrize(
    ("period", "opens"),
    [
        (Period.DAY, datetime(2026, 11, 26, 16, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 11, 30, 16, tzinfo=UTC)),
    ],
)
def test_a_calendar_window_opens_with_the_next_period_of_singapore(period: Period, opens: datetime) -> None:
    recipient = Recipient([Window(2, period, frozenset(Lane))])
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)

    def us(instant: datetime) -> int:
        return (instant - epoch) // timedelta(microseconds=1)

    assert recipient.ask(b"a", Lane.OTP, us(now), 10**13) == Sent()
    assert recipient.ask(b"b", Lane.OTP, us(now), 10**13) == Sent()
    assert recipient.ask(b"c", Lane.OTP, us(now), 10**13) == Wait(us(opens) - us(now), promised=True)
    assert recipient.ask(b"c", Lane.OTP, us(opens), 10**13) == Sent()
