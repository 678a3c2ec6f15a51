"""The policy: what becomes of a request after an outcome.

Rules of this file. It answers three questions in this order: can this class ever succeed later; is there time before
the deadline; how long to wait. A request is never given up while it still can succeed, never retried when the
provider's code says that it cannot, and nothing is paid for after its deadline. An attempt is a call that was really
made; throttling and waiting are none. The clock and the dice are arguments.

    class                       disposition
    accepted                    done
    throttled, account          due again at once: it was at its turn (the dispatcher slows down or holds)
    transient, query            retry with backoff until the deadline, then dead `expired`
    limited                     retry when the limit reopens, dead `limited` if that is after the deadline
    unknown                     by lane: resend a bounded number of times, or dead `unknown`
    every other class           dead in its own queue

What the ledger knows comes first: a request that was sent is done again, one that somebody calls for is looked at again
in a moment, and an unknown call of anybody's counts as one of the request's own. One that was cancelled ends, whatever
the policy: withdrawn, or dead `unknown` when an earlier call for it is.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from worker.core.decision.policy import RetryPolicy
from worker.core.limits.calendar import period_end
from worker.core.limits.holds import spread
from worker.core.message.decode import Request
from worker.core.message.history import History, HistoryEntry
from worker.core.outcome.disposition import Dead, Disposition, Done, Reason, Requeue, Retry, Withdrawn
from worker.core.outcome.outcome import (
    Accepted,
    Cancelled,
    Closed,
    Early,
    ErrorClass,
    Failed,
    OnHold,
    Outcome,
    Period,
    Sent,
    Underway,
    Unserved,
)

#: Requests of one number or account that wait for the same midnight come back spread over this long.
REOPENING_SPREAD: Final = timedelta(minutes=1)
#: Straight to what is due on the lane, past the ladder of delays.
_AT_ONCE: Final = timedelta(0)
#: A closed window knows when it reopens, and that may be at once; with no pause at all a request could circle.
_SHORTEST_CLOSED: Final = timedelta(milliseconds=50)
#: What is held waits at least this long: a hold is looked at each second, and half of the time left becomes nothing.
_SHORTEST_HELD: Final = timedelta(seconds=1)
#: How soon a request is looked at again that somebody else calls for: most calls take less, an OTP cannot wait longer.
_UNDERWAY_POLL: Final = timedelta(seconds=2)
#: The remedy of a request for which there is no time left to try again; its code's own may say that it is retried.
_TOO_LATE: Final = "Publish it again with a later deadline, if it is still of use."
_DOUBTED: Final = (
    "An earlier call may have been accepted: look in the console or wait for the receipt before sending it again."
)
_UNTOUCHED: Final = "None needed: it is tried again by itself."


def too_soon_or_late(request: Request, now: datetime) -> Early | ErrorClass | None:
    """Whether *request* may not be called for now: `Early`, or expired; None when it may."""
    if now >= request.deadline:
        return ErrorClass.EXPIRED
    if request.sms.not_before and request.sms.not_before > now:
        return Early(request.sms.not_before)
    return None


def decide(request: Request, outcome: Outcome, policy: RetryPolicy, now: datetime, jitter: float) -> Disposition:
    """Decide what becomes of *request*; *jitter* is in [0, 1)."""
    match outcome:
        case Accepted():
            return Done(outcome, request.history.called(outcome.at or now))
        case Sent() | Cancelled():
            return _repeated(request, outcome) if isinstance(outcome, Sent) else _cancelled(request, outcome)
        case Failed():
            failed = _failed(request, outcome, policy, now, jitter)
            return replace(failed, echoes=outcome.echoes) if isinstance(failed, Dead) else failed
        case Unserved():
            return Requeue(outcome.reason)
        case Underway(left):  # whatever the deadline: only when the call is over can be told what became of it
            reason = _local("local.underway", "a call for it is under way elsewhere", _UNTOUCHED)
            return Retry(max(_AT_ONCE, min(left, _UNDERWAY_POLL)), reason, request.history)
        case Closed() | Early() | OnHold():
            return _put_off(request, outcome, now, jitter)
        case _:
            assert_never(outcome)


def _repeated(request: Request, sent: Sent) -> Done:
    """The facts of the first outcome, whatever this copy of the request has been through."""
    answer = sent.answer
    history = request.history._replace(attempts=answer.attempts, first_tried=answer.first_tried, unknowns=sent.unknowns)
    return Done(answer.accepted, history, repeated=True)


def _cancelled(request: Request, cancelled: Cancelled) -> Withdrawn | Dead:
    """Withdrawn promises that nothing was sent; with an unknown call behind it, nobody can."""
    history = request.history._replace(unknowns=max(request.history.unknowns, cancelled.unknowns))
    reason = Reason(ErrorClass.CANCELLED, "local.cancelled", "it was cancelled before a call for it began", _UNTOUCHED)
    if history.unknowns == 0:
        return Withdrawn(reason, history)
    text = "it was cancelled, and an earlier call for it has an unknown outcome"
    return Dead(Reason(ErrorClass.UNKNOWN, reason.code, text, _DOUBTED), history)


def _failed(request: Request, failed: Failed, policy: RetryPolicy, now: datetime, jitter: float) -> Disposition:
    reason = Reason(failed.row.error_class, failed.code, _text(failed), failed.row.remedy)
    history = request.history.noted(HistoryEntry(now, failed.code, failed.row.error_class))
    at_least = failed.retry_after or _AT_ONCE
    match failed.row.error_class:
        case ErrorClass.THROTTLED | ErrorClass.ACCOUNT:
            return Retry(_AT_ONCE, reason, history)
        case ErrorClass.TRANSIENT | ErrorClass.QUERY:
            history = _counted(history, failed, now)._replace(retries=history.retries + 1)
            delay = max(policy.backoff.delay(history.retries, jitter), at_least)
            return _retry_in_time(request, delay, reason, history, now, otherwise=ErrorClass.EXPIRED)
        case ErrorClass.LIMITED:
            reopening = period_end(now, failed.row.period or Period.DAY) - now
            delay = max(reopening + REOPENING_SPREAD * jitter, at_least)
            history = _counted(history, failed, now)
            return _retry_in_time(request, delay, reason, history, now, otherwise=ErrorClass.LIMITED)
        case ErrorClass.UNKNOWN:
            return _unknown(request, failed, reason, _counted(history, failed, now), policy, now, jitter)
        case ErrorClass.EXPIRED:
            return _too_late(reason, _counted(history, failed, now))
        case _:
            return Dead(reason, _counted(history, failed, now))


def _unknown(
    request: Request,
    failed: Failed,
    reason: Reason,
    history: History,
    policy: RetryPolicy,
    now: datetime,
    jitter: float,
) -> Disposition:
    history = history._replace(unknowns=max(history.unknowns + 1, failed.unknowns))
    if history.unknowns > policy.resends.get(request.lane, 0):
        return Dead(reason, history)
    delay = max(policy.backoff.delay(history.unknowns, jitter), failed.retry_after or _AT_ONCE)
    return _retry_in_time(request, delay, reason, history, now, otherwise=ErrorClass.UNKNOWN)


def _put_off(request: Request, outcome: Closed | Early | OnHold, now: datetime, jitter: float) -> Disposition:
    """Nothing was tried, so nothing is noted: waiting leaves no trace in the history."""
    otherwise = ErrorClass.EXPIRED
    if isinstance(outcome, Closed):
        remedy = "None needed while it is retried; a wider limit ([limits]) or a later deadline lets it pass."
        reason = _local("local.window", f"the window {outcome.window} is full", remedy)
        delay, otherwise = max(outcome.after, _SHORTEST_CLOSED), ErrorClass.LIMITED
    elif isinstance(outcome, Early):
        remedy = "None needed: it is sent when its time has come."
        reason, delay = _local("local.early", "its time has not come", remedy), outcome.until - now
    else:
        reason = _local("local.held", f"the {outcome.name} is held: {outcome.code}", _UNTOUCHED)
        # Back while there is time: the hold may be lifted sooner than it says.
        soonest = min(spread(outcome.after, jitter), (request.deadline - now) / 2)
        delay = max(soonest, _SHORTEST_HELD)
    return _retry_in_time(request, delay, reason, request.history, now, otherwise=otherwise)


def _retry_in_time(
    request: Request,
    delay: timedelta,
    reason: Reason,
    history: History,
    now: datetime,
    *,
    otherwise: ErrorClass,
) -> Disposition:
    delay = max(delay, _AT_ONCE)
    if delay < request.deadline - now:
        return Retry(delay, reason, history)
    if otherwise is ErrorClass.EXPIRED:
        return _too_late(reason, history)
    return Dead(replace(reason, error_class=otherwise), history)


def _too_late(reason: Reason, history: History) -> Dead:
    """Expired promises that nothing was paid; with an unknown call behind it, nobody can."""
    if history.unknowns:
        return Dead(replace(reason, error_class=ErrorClass.UNKNOWN, remedy=_DOUBTED), history)
    return Dead(replace(reason, error_class=ErrorClass.EXPIRED, remedy=_TOO_LATE), history)


def _counted(history: History, failed: Failed, now: datetime) -> History:
    return history.called(now) if failed.called else history


def _local(code: str, text: str, remedy: str) -> Reason:
    return Reason(ErrorClass.LIMITED, code, text, remedy)


def _text(failed: Failed) -> str:
    return failed.row.description if failed.detail is None else f"{failed.row.description} {failed.detail}"
