"""One batch call: its members claimed, called for together, and each given an outcome of its own.

    claim     delivery/claims.py          each member, as for a call of its own
    call      provider/client.py          one signed call                     -> BatchReply | Fault
    tell      core/outcome/members.py     what it says of each member         -> Fate, or one Resort for all
    record    delivery/claims.py          each member, as above
    teach     delivery/feedback.py        once for the call

Who is not called for, or is to be called for alone, waits again. If the process dies with a call in the air, the ledger
says of its members, and of no others, that a call is under way, and once their leases are over that it is unknown.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import count, repeat
from time import monotonic
from typing import Final

from worker.core.batch import rounded_validity_s
from worker.core.limits.holds import ACCOUNT, HoldName
from worker.core.limits.quota import Held, Soon
from worker.core.message.segments import segments
from worker.core.outcome.catalog import Catalog
from worker.core.outcome.members import BatchReply, Fate, Resort, fates, message_id_of, resort_of
from worker.core.outcome.outcome import Accepted, ErrorClass, Failed, Fault, Outcome
from worker.core.outgoing.record import call_fields
from worker.delivery.attempt import Attempts
from worker.delivery.feedback import FinishedCall, apply_feedback
from worker.delivery.waiting import Slot, Waiting
from worker.errors import LimiterUnavailable
from worker.ports import Events, Limiter, Provider

#: The code of a member of whom the answer does not say what became of it.
_DOUBTFUL: Final = "local.batch_doubtful"
#: The provider takes no longer one; see `attempt`.
_LONGEST_VALIDITY_S: Final = 200_000
#: So many of a call that fails as a whole does the brake hear of: of hundreds, one lost call would stop the worker.
_JUDGED: Final = 10
#: Members of a call of which the size may be at fault.
_SEVERAL: Final = 2
#: Event loops round their timers to the millisecond: with half of one more, none is early.
_ROUNDING_S: Final = 0.0005


class BatchCalls:
    """Makes batch calls; knows nothing of who waits."""

    def __init__(
        self,
        limiter: Limiter,
        attempts: Attempts,
        provider: Provider,
        catalog: Catalog,
        events: Events,
        *,
        put_back: Callable[[Waiting], None],
        now: Callable[[], datetime],
    ) -> None:
        """*put_back* takes those who have no outcome yet, and wait for another call."""
        self._limiter = limiter
        self._attempts = attempts
        self._claims = attempts.claims
        self._provider = provider
        self._catalog = catalog
        self._events = events
        self._put_back = put_back
        self._now = now
        self._doubtful: Final = catalog.failed(_DOUBTFUL, called=True)
        self._parts = count(1)

    async def make(self, members: Sequence[Waiting], slot: Slot) -> bool | None:
        """Use *slot* for *members*, who wait nowhere else meanwhile.

        Returns:
            Whether the provider took the call; None when none was made.
        """
        asked = monotonic()
        claims = await asyncio.gather(*(self._claim(member, slot) for member in members))
        ready = [member for member, is_claimed in zip(members, claims, strict=True) if is_claimed]
        if ready and (early_s := slot.due - monotonic()) > 0:
            await asyncio.sleep(early_s + _ROUNDING_S)
        late = [member for member in ready if not self._attempts.may_call(member, slot, asked)]
        if not late:
            return await self._call(ready, slot) if ready else None
        ready = [member for member in ready if member not in set(late)]
        giving_back = asyncio.gather(*(self._release(member) for member in late))  # the call does not wait for it
        made = await self._call(ready, slot) if ready else None
        await giving_back
        return made

    async def _claim(self, member: Waiting, slot: Slot) -> bool:
        """Claim *member*; one that cannot be claimed has an outcome, or waits again."""
        try:
            if self._attempts.refusal(member) is not None and (refusal := await self._attempts.refused(member)):
                member.resolve(refusal)
                return False
            refused = await self._claims.admit(member, slot)
        except LimiterUnavailable:
            self._put_back(member)
            return False
        if refused is None:
            return True
        if isinstance(refused, Held | Soon):
            member.rest_s = refused.after_s if isinstance(refused, Soon) else 0.0
            self._put_back(member)
        else:
            member.resolve(refused)
        return False

    async def _release(self, member: Waiting) -> None:
        await self._claims.release(member)
        self._put_back(member)

    async def _call(self, members: Sequence[Waiting], slot: Slot) -> bool | None:
        requests, began = [member.request for member in members], monotonic()
        left_s = (min(request.deadline for request in requests) - self._now()).total_seconds()
        validity_s = min(max(rounded_validity_s(left_s), 1), _LONGEST_VALIDITY_S)
        task_id = requests[0].sms.task_id or secrets.token_hex(16)
        try:
            answer = await self._provider.send_batch(requests, validity_s, task_id)
        except Exception as error:  # noqa: BLE001 - not a byte has left; alone, each shows whether it was to blame
            self._events.emit("pipeline.failed", exception=type(error).__name__, error=error)
            self._part(members, None)
            await asyncio.gather(*(self._release(member) for member in members))
            return None
        answered = self._now()
        outcome = self._catalog.classify(answer if isinstance(answer, Fault) else answer.reply, answered)
        self._tell(members, slot, began, outcome)
        try:
            if isinstance(outcome, Failed):
                await self._whole(members, slot, outcome, answer, answered)
            elif isinstance(answer, BatchReply):
                await self._each(members, slot, outcome, answer, answered)
            await self._learn_size(members, outcome, answer)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong here, the provider may have taken them
            self._events.emit("pipeline.failed", exception=type(error).__name__, error=error)
            failed = outcome if isinstance(outcome, Failed) else self._doubtful
            for member, its in zip(members, _each_of(members, failed), strict=True):
                member.resolve(its)
        return isinstance(outcome, Accepted)

    async def _learn_size(
        self, members: Sequence[Waiting], outcome: Accepted | Failed, answer: BatchReply | Fault
    ) -> None:
        """Tell all workers how large a call may be: larger than this one was, or half of it."""
        size = self._provider.base_size + sum(member.member.size for member in members if member.member is not None)
        with suppress(LimiterUnavailable):  # the next call tells it again
            if isinstance(outcome, Accepted):
                await self._limiter.call_size.accepted(size)
            elif outcome.code == Fault.CONNECTION_CUT or resort_of(answer, outcome, _SEVERAL) is Resort.SMALLER:
                certainly = outcome.code != Fault.CONNECTION_CUT
                await self._limiter.call_size.refused(size, certainly=certainly)

    def _tell(self, members: Sequence[Waiting], slot: Slot, began: float, outcome: Accepted | Failed) -> None:
        self._events.emit(
            "provider.called",
            operation=slot.operation.value,
            lane=slot.lane.value,
            waited_s=began - min(member.since for member in members),
            duration_s=monotonic() - began,
            lateness_s=max(began - slot.due, 0.0),
            **call_fields(outcome),
        )

    async def _each(
        self, members: Sequence[Waiting], slot: Slot, accepted: Accepted, reply: BatchReply, at: datetime
    ) -> None:
        """The provider took the call: what became of each member is in its lists."""
        told = fates(reply, [member.request.sms.number for member in members])
        by_fate: dict[Fate, list[Waiting]] = {fate: [] for fate in Fate}
        for member, fate in zip(members, told, strict=True):
            by_fate[fate].append(member)
        message_id = message_id_of(reply, told)
        taken, failed, doubtful = by_fate[Fate.ACCEPTED], by_fate[Fate.FAILED], by_fate[Fate.DOUBTFUL]
        self._part(failed, None)
        probes = frozenset[HoldName]().union(*(_probes(member) for member in taken), {ACCOUNT} if slot.probe else ())
        await asyncio.gather(
            *(self._settle(member, _of_member(accepted, member, message_id), at) for member in taken),
            *map(self._settle, doubtful, _each_of(doubtful, self._doubtful), repeat(at)),
            *(self._release(member) for member in failed),
        )
        self._events.emit(
            "batch.called",
            members=len(members),
            accepted=len(taken),
            failed=len(failed),
            doubtful=len(doubtful),
        )
        if taken:
            await self._teach(taken[0], slot, accepted, probes, at)
        elif slot.probe:
            await self.unprobed()

    async def unprobed(self) -> None:
        """The slot that was the probe of the account's hold showed nothing."""
        await self._attempts.unprobed()

    async def _whole(
        self, members: Sequence[Waiting], slot: Slot, failed: Failed, answer: BatchReply | Fault, at: datetime
    ) -> None:
        """The provider did not take the call, or nobody knows whether it did."""
        halvings = any(member.key is not None and member.key.part for member in members)
        resort = resort_of(answer, failed, len(members), halvings)
        self._events.emit("batch.refused", members=len(members), resort=resort.name.lower(), **call_fields(failed))
        if resort is Resort.NONE and failed.row.error_class is not ErrorClass.THROTTLED:
            await self._same(members, slot, failed, at)
            return
        if resort is Resort.NONE:
            await self._teach(members[0], slot, failed, frozenset(), at)
        elif resort is Resort.SINGLES:
            self._part(members, None)
        elif resort is Resort.HALVES:
            half = len(members) // 2
            self._part(members[:half], next(self._parts))
            self._part(members[half:], next(self._parts))
        await asyncio.gather(*(self._release(member) for member in members))
        if slot.probe:
            await self.unprobed()

    def _part(self, members: Sequence[Waiting], part: int | None) -> None:
        """Let *members* go in a call of their own, or each alone."""
        for member in members:
            member.key = None if part is None or member.key is None else member.key._replace(part=part)

    async def _same(self, members: Sequence[Waiting], slot: Slot, failed: Failed, at: datetime) -> None:
        """Every member has the outcome that the call has; what it means for all others is told once."""
        probes = frozenset[HoldName]().union(*map(_probes, members), {ACCOUNT} if slot.probe else ())
        each = _each_of(members, failed)
        recorded = await asyncio.gather(*map(self._claims.record, members, each, repeat(at)))
        own = await self._teach(members[0], slot, failed, probes, at)
        for member, outcome in zip(members, recorded, strict=True):
            member.resolve(outcome if own is failed else own)

    async def _teach(
        self, member: Waiting, slot: Slot, outcome: Accepted | Failed, probes: frozenset[HoldName], at: datetime
    ) -> Outcome:
        call = FinishedCall(member.request.sms, slot.operation, probes, at)
        try:
            return await apply_feedback(self._limiter, self._events, call, outcome)
        except LimiterUnavailable:  # the limiter tells of it itself
            return outcome

    async def _settle(self, member: Waiting, outcome: Accepted | Failed, at: datetime) -> None:
        member.resolve(await self._claims.record(member, outcome, at))


def _each_of(members: Sequence[Waiting], failed: Failed) -> Iterator[Failed]:
    """What *failed* says of each of *members*."""
    return (replace(failed, echoes=index >= _JUDGED) for index, _ in enumerate(members))


def _of_member(accepted: Accepted, member: Waiting, message_id: str | None) -> Accepted:
    """What *accepted* says of *member*; the provider does not tell the segments of each, so they are reckoned."""
    return accepted._replace(message_id=message_id, segments=segments(member.request.sms.text or "").count)


def _probes(member: Waiting) -> frozenset[HoldName]:
    return member.admitted.probes if member.admitted else frozenset()
