"""What the table of dispositions does not show: histories, reasons, Retry-After, the calendar's edges."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.makers import NOW, POLICY, make_failed, make_request
from worker.core.decision.decide import decide, too_soon_or_late
from worker.core.message.history import History, HistoryEntry
from worker.core.message.lane import Lane
from worker.core.outcome.disposition import Dead, Disposition, Done, Retry
from worker.core.outcome.outcome import Accepted, Closed, Early, ErrorClass, OnHold, Outcome

FAR = NOW + timedelta(days=40)


def decided(
    outcome: Outcome, history: History | None = None, *, now: datetime = NOW, deadline: datetime = FAR
) -> Disposition:
    return decide(make_request(deadline=deadline, history=history), outcome, POLICY, now, 0.5)


def retried(
    outcome: Outcome, history: History | None = None, *, now: datetime = NOW, deadline: datetime = FAR
) -> Retry:
    disposition = decided(outcome, history, now=now, deadline=deadline)
    assert isinstance(disposition, Retry)
    return disposition


def died(outcome: Outcome, *, deadline: datetime = NOW) -> Dead:
    disposition = decided(outcome, deadline=deadline)
    assert isinstance(disposition, Dead)
    return disposition


def test_a_request_is_called_neither_before_its_time_nor_at_its_deadline() -> None:
    request = make_request(not_before="2026-11-23T12:01:00Z", deadline=NOW + timedelta(minutes=5))
    opening = NOW + timedelta(minutes=1)

    assert too_soon_or_late(request, NOW) == Early(opening)
    assert too_soon_or_late(request, opening) is None
    assert too_soon_or_late(request, request.deadline - timedelta(microseconds=1)) is None
    assert too_soon_or_late(request, request.deadline) is ErrorClass.EXPIRED


def test_an_accepted_call_is_an_attempt() -> None:
    disposition = decided(Accepted("M-1", "R-1", 1), History(attempts=1, first_tried=NOW - timedelta(hours=1)))

    assert isinstance(disposition, Done)
    assert disposition.history == History(attempts=2, first_tried=NOW - timedelta(hours=1))


def test_the_backoff_grows_with_the_retries_of_the_request() -> None:
    delays = [retried(make_failed("SYSTEM_ERROR"), History(retries=retries)).delay for retries in range(4)]

    assert [delay.total_seconds() for delay in delays] == [2.5, 5, 10, 20]


def test_a_failure_is_counted_and_noted() -> None:
    history = retried(make_failed("SYSTEM_ERROR")).history

    assert (history.attempts, history.retries, history.first_tried) == (1, 1, NOW)
    assert history.entries == (HistoryEntry(NOW, "SYSTEM_ERROR", "transient"),)


@pytest.mark.parametrize("code", ["local.not_reached", "QPS_LIMIT_CONTROL", "AMOUNT_NOT_ENOUGH"])
def test_what_never_was_a_fair_try_is_noted_and_no_attempt(code: str) -> None:
    history = retried(make_failed(code)).history

    assert (history.attempts, history.first_tried, len(history.entries)) == (0, None, 1)


def test_waiting_for_a_limit_of_our_own_leaves_no_trace_in_the_history() -> None:
    history = History(published=NOW, attempts=3)

    assert retried(Closed("otp 1 per 30 s", timedelta(seconds=9)), history).history == history
    assert retried(Early(NOW + timedelta(seconds=9)), history).history == history


@pytest.mark.parametrize("code", ["SYSTEM_ERROR", "FREQUENCY_LIMIT_DAY", "InternalError"])
def test_retry_after_is_waited_for(code: str) -> None:
    wait = timedelta(days=2)

    assert retried(make_failed(code, retry_after=wait)).delay == wait
    assert retried(make_failed(code, retry_after=timedelta(milliseconds=1))).delay == (  # a shorter one hurries nothing
        retried(make_failed(code)).delay
    )


def test_a_retry_after_of_any_length_is_only_too_late() -> None:
    assert died(make_failed("SYSTEM_ERROR", retry_after=timedelta.max)).reason.error_class is ErrorClass.EXPIRED


@pytest.mark.parametrize(
    ("now", "code", "opens"),
    [
        ("2026-11-23T12:00:00", "FREQUENCY_LIMIT_DAY", "2026-11-23T16:00:00"),
        ("2026-11-23T15:59:59", "FREQUENCY_LIMIT_DAY", "2026-11-23T16:00:00"),
        ("2026-11-23T16:00:00", "FREQUENCY_LIMIT_DAY", "2026-11-24T16:00:00"),
        ("2026-11-30T15:59:59", "ALERT_LIMIT_MONTH", "2026-11-30T16:00:00"),
        ("2026-11-30T16:00:00", "ALERT_LIMIT_MONTH", "2026-12-31T16:00:00"),
        ("2026-12-31T15:00:00", "ALERT_LIMIT_DAY", "2026-12-31T16:00:00"),
        ("2026-12-31T15:00:00", "ALERT_LIMIT_MONTH", "2026-12-31T16:00:00"),
        ("2028-02-28T17:00:00", "ALERT_LIMIT_DAY", "2028-02-29T16:00:00"),
        ("2028-02-10T00:00:00", "ALERT_LIMIT_MONTH", "2028-02-29T16:00:00"),
        ("2027-02-10T00:00:00", "ALERT_LIMIT_MONTH", "2027-02-28T16:00:00"),
    ],
)
def test_a_limit_of_the_provider_reopens_with_the_day_or_month_of_singapore(now: str, code: str, opens: str) -> None:
    at, opening = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (now, opens))
    retry = retried(make_failed(code), now=at, deadline=at + timedelta(days=40))

    assert at + retry.delay == opening + timedelta(seconds=30)  # half of the spread, at jitter 0.5


def test_an_unknown_outcome_is_resent_as_often_as_the_lane_allows_and_no_more() -> None:
    first = retried(make_failed("local.timeout"))
    second = decided(make_failed("local.timeout"), first.history)

    assert first.history.unknowns == 1
    assert isinstance(second, Dead)
    assert (second.reason.error_class, second.history.attempts) == (ErrorClass.UNKNOWN, 2)


def test_a_lane_that_the_policy_does_not_name_resends_nothing() -> None:
    disposition = decide(make_request(Lane.NOTIFY, deadline=FAR), make_failed("local.timeout"), POLICY, NOW, 0.5)

    assert isinstance(disposition, Dead)


def test_a_reason_is_in_the_catalogues_words() -> None:
    reason = died(make_failed("SENDERID_BLACKLISTED")).reason

    assert (reason.code, reason.error_class) == ("SENDERID_BLACKLISTED", ErrorClass.CONTENT)
    assert reason.text == "The sender ID is intercepted based on the specified risk control strategies."
    assert reason.remedy == "Contact SMS technical support."


def test_a_dead_letter_is_never_told_that_it_is_retried() -> None:
    for outcome in (make_failed("ServiceUnavailable"), make_failed("local.not_reached"), Early(NOW)):
        reason = died(outcome).reason
        assert reason.error_class is ErrorClass.EXPIRED
        assert reason.remedy.startswith("Publish it again with a later deadline")


def test_the_code_of_the_last_failure_stays_on_a_request_that_ran_out_of_time() -> None:
    assert died(make_failed("ServiceUnavailable")).reason.code == "ServiceUnavailable"


def test_a_window_is_asked_again_when_it_reopens_and_not_without_a_pause() -> None:
    delays = [retried(Closed("otp 1 per 30 s", timedelta(seconds=after))).delay for after in (12.3, 0.2, 0.001)]

    assert delays == [timedelta(seconds=12.3), timedelta(seconds=0.2), timedelta(seconds=0.05)]


def test_a_hold_is_asked_about_again_after_its_time_and_half_as_much_again_by_chance() -> None:
    held = OnHold("sender ACME", "INVALID_SENDERID", timedelta(seconds=40))

    assert retried(held).delay == timedelta(seconds=60)


def test_a_hold_that_outlasts_the_deadline_is_asked_about_again_while_there_is_time_but_never_at_once() -> None:
    held = OnHold("sender ACME", "INVALID_SENDERID", timedelta(hours=1))

    assert retried(held, deadline=NOW + timedelta(seconds=30)).delay == timedelta(seconds=15)
    assert retried(held, deadline=NOW + timedelta(seconds=1.5)).delay == timedelta(seconds=1)


@pytest.mark.parametrize("code", ["INVALID_PARAMETERS", "local.timeout"])
@pytest.mark.parametrize("echoes", [False, True])
def test_a_dead_letter_says_whether_its_call_was_told_of(code: str, echoes: bool) -> None:
    dead = died(replace(make_failed(code), echoes=echoes))

    assert dead.echoes is echoes
