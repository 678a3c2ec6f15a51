"""What one call's outcome means for all others is told to the limiter, and to people."""

from datetime import datetime
from typing import NamedTuple

from worker.core.decision.feedback import (
    Feedback,
    NumberFull,
    Refused,
    SlowDown,
    Undecided,
    Unlisted,
    Works,
    feedback_of,
)
from worker.core.limits.holds import HoldName, on_hold
from worker.core.limits.quota import Operation
from worker.core.message.request import SmsRequest
from worker.core.outcome.outcome import Outcome, Scope
from worker.ports import Events, Limiter


class FinishedCall(NamedTuple):
    """A call that was made."""

    sms: SmsRequest
    operation: Operation
    #: Holds of which it was the probe.
    probes: frozenset[HoldName]
    #: When its answer came.
    at: datetime


async def apply_feedback(limiter: Limiter, events: Events, call: FinishedCall, outcome: Outcome) -> Outcome:
    """Tell *limiter* what the *outcome* of *call* means for everybody else's.

    Returns:
        What it means for the request itself: refused because of its sender, and the sender is held, it waits with all
        others that meet the hold.

    Raises:
        LimiterUnavailable: it could not be told; *outcome* stands.
    """
    own = outcome
    for feedback in feedback_of(call.sms, outcome, call.probes, call.at):
        own = await _apply(limiter, events, call, feedback) or own
    return own


async def _apply(limiter: Limiter, events: Events, call: FinishedCall, feedback: Feedback) -> Outcome | None:
    match feedback:
        case Refused():
            return await _refused(limiter, events, feedback)
        case Works(name, probed):
            if (lifted := await limiter.holds.works(name, probed=probed)) is not None:
                told = {"scope": name.scope.value, "subject": name.subject, "code": lifted.code}
                events.emit("hold.lifted", **told, duration_s=lifted.age_s)
        case Undecided(name):
            await limiter.holds.undecided(name)
        case SlowDown(retry_after_s):
            events.emit("limiter.throttled", operation=call.operation.value, retry_after_s=retry_after_s)
            await limiter.throttled(call.operation, retry_after_s)
        case NumberFull(number, code, lasts):
            await limiter.close(number, code, lasts)
        case Unlisted(code):
            events.emit("provider.unlisted_code", code=code)
    return None


async def _refused(limiter: Limiter, events: Events, refused: Refused) -> Outcome | None:
    name, refusal = refused.name, await limiter.holds.refused(refused)
    hold = refusal.hold
    if hold is None:
        return None
    if refusal.began:
        told = {"scope": name.scope.value, "subject": name.subject, "code": refused.code, "remedy": refused.remedy}
        events.emit("hold.set", **told, probe_in_s=hold.probe_in_s, ends_in_s=hold.ends_in_s)
    return on_hold(hold) if name.scope is Scope.SENDER else None
