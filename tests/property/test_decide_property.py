"""The policy holds for every outcome, lane, history, instant and throw of the dice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.makers import NOW, make_raw, make_request
from worker.core.decision.decide import decide
from worker.core.decision.policy import Backoff, RetryPolicy
from worker.core.message.decode import Request
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.outcome.disposition import Dead, Disposition, Done, Requeue, Retry
from worker.core.outcome.outcome import (
    DEAD_CLASSES,
    Acceptance,
    Accepted,
    Closed,
    Early,
    ErrorClass,
    Failed,
    OnHold,
    Outcome,
    Sent,
    Underway,
    Unserved,
)
from worker.core.outgoing.envelope import outgoing
from worker.core.topology import Topology

BACK_AT_ONCE = {ErrorClass.THROTTLED, ErrorClass.ACCOUNT}
#: No answer is classified as a failure with a row of class accepted.
#: What a call may be refused with.
ROWS = sorted(
    (row for row in catalog() if row.error_class not in {ErrorClass.ACCEPTED, ErrorClass.CANCELLED}),
    key=lambda row: row.code,
)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
#: The clock of a worker.
NOWS = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - zoned by hypothesis
ANY_INSTANT = st.datetimes(timezones=ZONES)
WAITS = st.none() | st.timedeltas(timedelta(0), timedelta(days=60)) | st.just(timedelta.max)
ANY_LENGTH = st.timedeltas(timedelta(days=-1), timedelta(days=60))
JITTERS = st.floats(0, 1, exclude_max=True)
FAILURES = st.builds(
    lambda row, called, wait: Failed(row, called, row.code, retry_after=wait),
    st.sampled_from(ROWS),
    st.booleans(),
    WAITS,
)
ANSWERS = st.builds(Acceptance, st.just(Accepted("M-1", "R-1", 1)), st.integers(1, 9), st.just(NOW))
#: A request that somebody else calls for is looked at again after this long at the most.
LOOK = timedelta(seconds=2)
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    FAILURES,
    st.just(Accepted("M-1", "R-1", 1)),
    st.builds(Closed, st.just("otp 1 per 30 s"), ANY_LENGTH),
    st.builds(Underway, ANY_LENGTH),
    st.builds(OnHold, st.just("sender ACME"), st.just("SENDERID_BLACKLISTED"), ANY_LENGTH),
    st.builds(
        Sent,
        st.builds(Acceptance, st.just(Accepted("M-1", "R-1", 1)), st.integers(1, 9), st.just(NOW)),
        st.integers(0, 3),
    ),
    st.builds(Early, ANY_INSTANT),
    st.just(Unserved("the worker is draining")),
)
COUNTS = st.integers(0, 1000)
HISTORIES = st.builds(
    History,
    published=st.just(NOW),
    first_tried=st.none() | st.just(NOW),
    attempts=COUNTS,
    retries=COUNTS,
    unknowns=st.integers(0, 4),
    replays=st.just(0),
    entries=st.just(()),
)
POLICIES = st.builds(
    RetryPolicy,
    st.just(Backoff(timedelta(seconds=5), timedelta(minutes=10))),
    st.dictionaries(st.sampled_from(Lane), st.integers(0, 3)),
)


@st.composite
def requests_and_nows(draw: st.DrawFn) -> tuple[Request, datetime]:
    now = draw(NOWS)
    left = st.timedeltas(timedelta(days=-1), timedelta(days=60))
    deadline = draw(ANY_INSTANT | left.map(lambda wait: now + wait))
    template = make_request(draw(st.sampled_from(Lane)))
    return template._replace(history=draw(HISTORIES), deadline=deadline), now


def history_of(disposition: Disposition, request: Request) -> History:
    return request.history if isinstance(disposition, Requeue) else disposition.history


@settings(deadline=None, max_examples=150)
@given(known=requests_and_nows(), outcome=OUTCOMES, policy=POLICIES, jitter=JITTERS)
def test_every_outcome_has_a_disposition_that_can_be_carried_out(
    known: tuple[Request, datetime], outcome: Outcome, policy: RetryPolicy, jitter: float
) -> None:
    request, now = known
    disposition = decide(request, outcome, policy, now, jitter)

    match disposition:
        case Retry(delay, reason, _):
            assert delay >= timedelta(0)
            is_soon = reason.error_class in BACK_AT_ONCE or (isinstance(outcome, Underway) and delay <= LOOK)
            assert delay < request.deadline - now or is_soon
        case Dead(reason, _):
            assert reason.error_class in DEAD_CLASSES
            assert reason.error_class is not ErrorClass.ACCOUNT
        case Done():
            assert isinstance(outcome, Accepted | Sent)
        case Requeue():
            assert isinstance(outcome, Unserved)
    message = outgoing(make_raw(request.lane), request, disposition, Topology(), now)
    assert (message is None) == isinstance(disposition, Requeue)
    if message is not None:
        assert History.from_headers(message.headers)[1] == []


@settings(deadline=None)
@given(known=requests_and_nows(), failed=FAILURES, policy=POLICIES, jitter=JITTERS)
def test_throttling_and_an_account_at_fault_cost_a_request_nothing(
    known: tuple[Request, datetime], failed: Failed, policy: RetryPolicy, jitter: float
) -> None:
    request, now = known
    failed = replace(failed, row=replace(failed.row, error_class=sorted(BACK_AT_ONCE)[failed.called]))
    disposition = decide(request, failed, policy, now, jitter)

    assert isinstance(disposition, Retry)
    assert disposition.delay == timedelta(0)
    assert disposition.history._replace(entries=()) == request.history


@settings(deadline=None)
@given(known=requests_and_nows(), outcome=OUTCOMES, policy=POLICIES, jitter=JITTERS)
def test_attempts_rise_by_one_exactly_when_a_call_was_made(
    known: tuple[Request, datetime], outcome: Outcome, policy: RetryPolicy, jitter: float
) -> None:
    request, now = known
    history = history_of(decide(request, outcome, policy, now, jitter), request)
    if isinstance(outcome, Sent):
        assert history.attempts == outcome.answer.attempts
        return
    was_called = isinstance(outcome, Accepted) or (
        isinstance(outcome, Failed) and outcome.called and outcome.row.error_class not in BACK_AT_ONCE
    )

    assert history.attempts == request.history.attempts + was_called
    assert history.first_tried == (request.history.first_tried or (now if was_called else None))


@settings(deadline=None)
@given(known=requests_and_nows(), failed=FAILURES, policy=POLICIES, jitter=JITTERS)
def test_retry_after_lengthens_a_delay_and_never_shortens_it(
    known: tuple[Request, datetime], failed: Failed, policy: RetryPolicy, jitter: float
) -> None:
    request, now = known
    without = decide(request, replace(failed, retry_after=None), policy, now, jitter)
    with_it = decide(request, failed, policy, now, jitter)

    if isinstance(with_it, Retry) and failed.row.error_class not in BACK_AT_ONCE:
        assert isinstance(without, Retry)
        assert with_it.delay == max(without.delay, failed.retry_after or timedelta(0))


@settings(deadline=None)
@given(lane=st.sampled_from(Lane), policy=POLICIES, jitter=JITTERS)
def test_unknown_outcomes_in_a_row_are_resent_a_bounded_number_of_times(
    lane: Lane, policy: RetryPolicy, jitter: float
) -> None:
    request = make_request(lane, deadline=NOW + timedelta(days=60))
    timeout = Failed(catalog().local("local.timeout"), called=True, code="local.timeout")
    disposition = decide(request, timeout, policy, NOW, jitter)
    calls = 1
    while isinstance(disposition, Retry):
        disposition = decide(request._replace(history=disposition.history), timeout, policy, NOW, jitter)
        calls += 1

    assert calls == 1 + policy.resends.get(lane, 0)
    assert isinstance(disposition, Dead)
    assert disposition.reason.error_class is ErrorClass.UNKNOWN
