"""The claim of one request: made before its call, and ended by what became of the call."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from worker.core.limits.ledger import Busy, Doubtful, Reused, Token, outcome_of
from worker.core.limits.quota import Admitted, Held, Soon
from worker.core.outcome.catalog import Catalog
from worker.core.outcome.outcome import Acceptance, Accepted, Cancelled, Closed, Failed, OnHold, Outcome, Sent
from worker.core.plan import is_certain
from worker.delivery.waiting import Slot, Waiting
from worker.errors import LimiterUnavailable
from worker.ports import Events, Limiter


class Claims:
    """Claims requests in the ledger and counts them, and tells it what became of their calls."""

    def __init__(self, limiter: Limiter, catalog: Catalog, events: Events, now: Callable[[], datetime]) -> None:
        self._limiter = limiter
        self._catalog = catalog
        self._events = events
        self._now = now
        #: Hears of each slot in which somebody met what is known of it.
        self.met_known: Callable[[Slot], None] = lambda _: None

    async def admit(self, waiting: Waiting, slot: Slot) -> Outcome | Held | Soon | None:
        """Claim and count *waiting*; returns what stands against it."""
        waiting.claims += 1
        token = Token(waiting.caller, waiting.claims)
        left = waiting.request.deadline - self._now()
        match await self._limiter.admit(waiting.request, token, left=left, probe=slot.probe):
            case Admitted() as admitted:
                waiting.admitted = admitted
                for name in admitted.probes:
                    told = {"scope": name.scope.value, "subject": name.subject}
                    self._events.emit("hold.probe", **told, operation=slot.operation.value)
                return None
            case (Held() | Soon()) as later:
                return later
            case (Sent() | Busy() | Doubtful() | Reused() | Cancelled()) as known:
                self.met_known(slot)
                return outcome_of(known, self._catalog)
            case (Closed() | OnHold()) as closed:
                return closed

    async def release(self, waiting: Waiting) -> None:
        """Give the claim back, so that nobody takes *waiting* for called while it waits for another slot."""
        admitted, waiting.admitted = waiting.admitted, None
        if admitted is not None:
            with suppress(LimiterUnavailable):  # it is told later
                await self._limiter.record(admitted, None)
                for name in admitted.probes:
                    await self._limiter.holds.unprobed(name)

    async def record(self, waiting: Waiting, outcome: Accepted | Failed, at: datetime) -> Accepted | Failed:
        """Tell the ledger; before the outcome is published, so that a delivery that comes again finds it there."""
        admitted, waiting.admitted = waiting.admitted, None
        if admitted is None:
            raise RuntimeError("a request was called for that was not claimed")
        news: Acceptance | str | None
        if isinstance(outcome, Accepted):
            history = waiting.request.history.called(at)
            news = Acceptance(outcome, history.attempts, history.first_tried)
        else:
            news = None if is_certain(outcome) else outcome.code
        try:
            unknowns = await self._limiter.record(admitted, news)
        except LimiterUnavailable:  # it is told later, and until then the claim stands
            return outcome
        return replace(outcome, unknowns=unknowns) if isinstance(outcome, Failed) and news is not None else outcome
