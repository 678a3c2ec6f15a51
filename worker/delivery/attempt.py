"""One request in its slot: claimed in the ledger and counted, called when the slot is due, its outcome recorded.

    admit     limiter/lua/admit.lua      ledger claim, windows, caps    -> Admitted, or why not
    call      provider/client.py         one signed call                -> Reply | Fault
    classify  core/outcome/catalog.py    Reply | Fault                  -> Accepted | Failed
    record    limiter/lua/record.lua     into the ledger; out of the windows when certainly not accepted
    teach     delivery/feedback.py       what it means for everybody else's calls

If the process dies before the claim, nothing happened. From then on, until the outcome is recorded, the ledger says
that a call is under way, and once the lease is over that it is unknown. Afterwards it knows the outcome.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum, auto
from time import monotonic
from typing import Final, NamedTuple

from worker.core.decision.decide import too_soon_or_late
from worker.core.limits.cancels import CLAIM_S
from worker.core.limits.holds import ACCOUNT, HoldName
from worker.core.limits.ledger import outcome_of
from worker.core.limits.quota import Admitted, Held, Soon
from worker.core.message.decode import Request
from worker.core.outcome.catalog import Catalog
from worker.core.outcome.outcome import (
    Early,
    ErrorClass,
    Failed,
    OnHold,
    Outcome,
    Unserved,
)
from worker.core.outgoing.record import call_fields
from worker.delivery.claims import Claims
from worker.delivery.feedback import FinishedCall, apply_feedback
from worker.delivery.waiting import Slot, Waiting
from worker.errors import LimiterUnavailable
from worker.ports import Events, Limiter, Provider

#: Event loops round their timers to the millisecond: with half of one more, none is early.
_ROUNDING_S: Final = 0.0005
#: The provider documents no bound of ValidityPeriod; three days is the longest that carriers keep a message.
_LONGEST_VALIDITY_S: Final = 3 * 24 * 3600
#: A request whose deadline is nearer is asked about in Redis: the ledger may know it.
_NEAR: Final = timedelta(seconds=10)
_UNWANTED: Final = Unserved("its delivery was lost with the connection")


class Use(Enum):
    """What became of a slot."""

    #: A call was made in it.
    CALLED = auto()
    #: None was: it is the next request's.
    FREE = auto()
    #: None was, and it is nobody's: the account is held, or something went wrong.
    VOID = auto()


class Attempt(NamedTuple):
    """What became of a request in a slot, and of the slot."""

    use: Use
    #: None: the request still waits.
    outcome: Outcome | None


class Attempts:
    """Makes single calls; knows nothing of other requests."""

    def __init__(
        self,
        limiter: Limiter,
        provider: Provider,
        catalog: Catalog,
        events: Events,
        *,
        now: Callable[[], datetime],
        can_settle: Callable[[], bool],
    ) -> None:
        """While *can_settle* is false no call begins: its outcome could not be told."""
        self.claims: Final = Claims(limiter, catalog, events, now)
        self._limiter = limiter
        self._provider = provider
        self._catalog = catalog
        self._events = events
        self._now = now
        self._can_settle = can_settle

    def refusal(self, waiting: Waiting) -> Failed | Early | Unserved | None:
        """Why *waiting* may not be called for now, or any more; None when it may."""
        if not waiting.is_wanted():  # first: whoever is not wanted needs no other reason, and no Redis to give it
            return _UNWANTED
        verdict = too_soon_or_late(waiting.request, self._now())
        if verdict is ErrorClass.EXPIRED:
            return self._catalog.failed("local.expired", called=False)
        return verdict if isinstance(verdict, Early) else None

    async def refused(self, waiting: Waiting) -> Outcome | None:
        """The outcome of *waiting* if it may not be called for; what was called for in time is not expired.

        Raises:
            LimiterUnavailable: nobody knows whether it was called for; it still waits.
        """
        refusal = self.refusal(waiting)
        if isinstance(refusal, Failed) and (known := await self.known(waiting.request)) is not None:
            return known
        return refusal

    async def known(self, request: Request) -> Outcome | None:
        """What Redis knows against *request*, without a claim; None when it knows nothing.

        Raises:
            LimiterUnavailable: it cannot be asked.
        """
        known = await self._limiter.recall(request)
        return None if known is None else outcome_of(known, self._catalog)

    def on_hold(self, request: Request) -> OnHold | None:
        """The hold that *request* would meet, as far as this worker knows: it needs no slot to be told so."""
        held = self._limiter.holds.on_hold(request.sms)
        return held if held is not None and request.deadline - self._now() > _NEAR else None

    async def make(self, waiting: Waiting, slot: Slot) -> Attempt:
        """Use *slot* for *waiting*.

        Raises:
            LimiterUnavailable: nothing may be sent; *waiting* still waits.
        """
        if self.refusal(waiting) is not None and (refusal := await self.refused(waiting)) is not None:
            return Attempt(Use.FREE, refusal)
        asked = monotonic()
        refused = await self.claims.admit(waiting, slot)
        if isinstance(refused, Held):
            return Attempt(Use.VOID, None)
        if isinstance(refused, Soon):
            waiting.rest_s = refused.after_s
            return Attempt(Use.FREE, None)
        if refused is not None:
            return Attempt(Use.FREE, refused)
        if (early_s := slot.due - monotonic()) > 0:
            await asyncio.sleep(early_s + _ROUNDING_S)
        if not self.may_call(waiting, slot, asked):
            await self.claims.release(waiting)
            return Attempt(Use.FREE, None)
        return Attempt(Use.CALLED, await self._call(waiting, slot))

    def may_call(self, waiting: Waiting, slot: Slot, asked: float) -> bool:
        """Ask this last, with nothing to wait for between the answer and the call.

        A claim that was asked for too long ago is made again: the call could outlast its lease, or be one of a campaign
        whose cancel was answered meanwhile.
        """
        now = monotonic()
        is_late = now > slot.use_by or now - asked > CLAIM_S
        return not is_late and self._can_settle() and self.refusal(waiting) is None

    async def unprobed(self) -> None:
        """The slot that was the probe of the account's hold is not used."""
        with suppress(LimiterUnavailable):  # its lease ends by itself
            await self._limiter.holds.unprobed(ACCOUNT)

    async def _call(self, waiting: Waiting, slot: Slot) -> Outcome:
        request, began = waiting.request, monotonic()
        left_s = int((request.deadline - self._now()).total_seconds())
        try:
            answer = await self._provider.send(request, min(max(left_s, 1), _LONGEST_VALIDITY_S))
        except Exception:
            await self.claims.release(waiting)  # not a byte has left
            raise
        probes = _probes(waiting, slot)
        answered = self._now()
        outcome = self._catalog.classify(answer, answered)
        self._events.emit(
            "provider.called",
            operation=slot.operation.value,
            lane=request.lane.value,
            waited_s=began - waiting.since,
            duration_s=monotonic() - began,
            lateness_s=max(began - slot.due, 0.0),
            **call_fields(outcome),
        )
        try:
            outcome = await self.claims.record(waiting, outcome, answered)
            call = FinishedCall(request.sms, slot.operation, probes, answered)
            return await apply_feedback(self._limiter, self._events, call, outcome)
        except LimiterUnavailable:  # the limiter tells of it itself; nothing is granted until it is back
            return outcome
        except Exception as error:  # noqa: BLE001 - whatever goes wrong here, what the provider said stands
            self._events.emit("pipeline.failed", exception=type(error).__name__, error=error)
            return outcome


def _probes(waiting: Waiting, slot: Slot) -> frozenset[HoldName]:
    admitted = waiting.admitted or Admitted()
    return admitted.probes | {ACCOUNT} if slot.probe else admitted.probes
