"""What one call's outcome means for all others: throttles slow the quota down, an account at fault is held."""

from worker.core.outcome import Accepted, ErrorClass, Failed
from worker.core.plan import holds_account, shows_account_works
from worker.ports import Events, Limiter
from worker.waiting import Slot


async def teach(limiter: Limiter, events: Events, slot: Slot, outcome: Accepted | Failed) -> None:
    """Tell *limiter* what the outcome of the call in *slot* means for everybody else's.

    Raises:
        LimiterUnavailable: it could not be told.
    """
    if slot.probe and shows_account_works(outcome):  # a call that was in flight when the hold began proves nothing
        events.emit("hold.lifted")
        await limiter.lift()
    if isinstance(outcome, Accepted):
        return
    if outcome.row.error_class is ErrorClass.THROTTLED:
        retry_after_s = outcome.retry_after.total_seconds() if outcome.retry_after else None
        events.emit("limiter.throttled", operation=slot.operation.value, retry_after_s=retry_after_s)
        await limiter.throttled(slot.operation, retry_after_s)
    elif holds_account(outcome):
        if await limiter.hold(outcome.code):
            events.emit("hold.set", code=outcome.code, remedy=outcome.row.remedy)
    elif outcome.row.code == "local.unlisted":
        events.emit("provider.unlisted_code", code=outcome.code)
