"""The policy: what becomes of a request after an outcome.

Rules of this file. It answers three questions in this order: can this class ever succeed later; is there time before
the deadline; how long to wait. A request is never given up while it still can succeed, never retried when the
provider's code says that it cannot, and nothing is paid for after its deadline. An attempt is a call that was really
made; throttling and waiting are none. The clock and the dice are arguments.

    class                       disposition
    accepted                    done
    throttled, account          back to the lane at once (the dispatcher slows down or holds)
    transient, query            retry with backoff until the deadline, then dead `expired`
    limited                     retry when the limit reopens, dead `limited` if that is after the deadline
    unknown                     by lane: resend a bounded number of times, or dead `unknown`
    every other class           dead in its own queue
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from worker.core.backoff import Backoff
from worker.core.calendar import period_end
from worker.core.decode import Request
from worker.core.disposition import Dead, Disposition, Done, GiveBack, Reason, Retry
from worker.core.history import Entry, History
from worker.core.lane import Lane
from worker.core.outcome import Accepted, Closed, Early, ErrorClass, Failed, Outcome, Period, Unserved

#: Requests of one number or account that wait for the same midnight come back spread over this long.
REOPENING_SPREAD: Final = timedelta(minutes=1)
#: Straight back to the lane, past the ladder of delays.
_AT_ONCE: Final = timedelta(0)
#: A window's reopening is told on Redis' clock: with ours ahead of it a request would circle without a pause.
_SHORTEST_WAIT: Final = timedelta(seconds=1)
#: The remedy of a request for which there is no time left to try again; its code's own may say that it is retried.
_TOO_LATE: Final = "Publish it again with a later deadline, if it is still of use."


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's part of the decisions."""

    backoff: Backoff
    #: How often a request whose outcome is unknown may be sent again, per lane; 0 dead-letters it.
    resends: Mapping[Lane, int]


def too_soon_or_late(request: Request, now: datetime) -> Early | ErrorClass | None:
    """Whether *request* may not be called for now: `Early`, or expired; None when it may."""
    if now >= request.deadline:
        return ErrorClass.EXPIRED
    if request.sms.not_before and request.sms.not_before > now:
        return Early(request.sms.not_before)
    return None


def decide(request: Request, outcome: Outcome, policy: Policy, now: datetime, jitter: float) -> Disposition:
    """Decide what becomes of *request*; *jitter* is in [0, 1)."""
    match outcome:
        case Accepted():
            return Done(outcome, request.history.called(now))
        case Failed():
            return _failed(request, outcome, policy, now, jitter)
        case Closed():
            return _closed(request, outcome, now)
        case Early():
            reason = _local("local.early", "its time has not come", "None needed: it is sent when its time has come.")
            delay = outcome.until - now
            return _retry_in_time(request, delay, reason, request.history, now, otherwise=ErrorClass.EXPIRED)
        case Unserved():
            return GiveBack(outcome.reason)
        case _:
            assert_never(outcome)


def _failed(request: Request, failed: Failed, policy: Policy, now: datetime, jitter: float) -> Disposition:
    reason = Reason(failed.row.error_class, failed.code, _text(failed), failed.row.remedy)
    history = request.history.noted(Entry(now, failed.code, failed.row.error_class))
    at_least = failed.retry_after or _AT_ONCE
    match failed.row.error_class:
        case ErrorClass.THROTTLED | ErrorClass.ACCOUNT:
            return Retry(_AT_ONCE, reason, history)
        case ErrorClass.TRANSIENT | ErrorClass.QUERY:
            history = replace(_counted(history, failed, now), retries=history.retries + 1)
            delay = max(policy.backoff.delay(history.retries, jitter), at_least)
            return _retry_in_time(request, delay, reason, history, now, otherwise=ErrorClass.EXPIRED)
        case ErrorClass.LIMITED:
            reopening = period_end(now, failed.row.period or Period.DAY) - now
            delay = max(reopening + REOPENING_SPREAD * jitter, at_least)
            history = _counted(history, failed, now)
            return _retry_in_time(request, delay, reason, history, now, otherwise=ErrorClass.LIMITED)
        case ErrorClass.UNKNOWN:
            history = _counted(history, failed, now)
            if history.unknowns >= policy.resends.get(request.lane, 0):
                return Dead(reason, history)
            history = replace(history, unknowns=history.unknowns + 1)
            delay = max(policy.backoff.delay(history.unknowns, jitter), at_least)
            return _retry_in_time(request, delay, reason, history, now, otherwise=ErrorClass.UNKNOWN)
        case _:
            return Dead(reason, _counted(history, failed, now))


def _closed(request: Request, closed: Closed, now: datetime) -> Disposition:
    remedy = "None needed while it is retried; a wider limit ([limits]) or a later deadline lets it pass."
    reason = _local("local.window", f"the window {closed.window} is full", remedy)
    history = request.history
    delay = max(closed.reopens - now, _SHORTEST_WAIT)
    return _retry_in_time(request, delay, reason, history, now, otherwise=ErrorClass.LIMITED)


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
    remedy = _TOO_LATE if otherwise is ErrorClass.EXPIRED else reason.remedy
    return Dead(replace(reason, error_class=otherwise, remedy=remedy), history)


def _counted(history: History, failed: Failed, now: datetime) -> History:
    return history.called(now) if failed.called else history


def _local(code: str, text: str, remedy: str) -> Reason:
    return Reason(ErrorClass.LIMITED, code, text, remedy)


def _text(failed: Failed) -> str:
    return failed.row.description if failed.detail is None else f"{failed.row.description} {failed.detail}"
