"""The way of one message, from its delivery to its settlement. Events leave from here.

    receive   broker/consumer.py          AMQP frames                        -> Delivery
    decode    core/message/decode.py      bytes, headers                     -> Request | Malformed
    join      delivery/dispatch.py        its turn: lane, quota              -> Slot, or an Outcome without one
    attempt   delivery/attempt.py         in the slot: ledger, windows, call -> Outcome, or it waits again
    batch     delivery/batch_call.py      or with others in a batch slot     -> an Outcome each, or it waits again
    decide    core/decision/decide.py     Outcome, policy, now, jitter       -> Disposition
    wrap      core/outgoing/envelope.py   Disposition                        -> Outgoing | None
    settle    broker/settle.py            confirmed publish, then acknowledge

If the process dies on any line, the delivery is unacknowledged and the broker delivers it again.
"""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from worker.core.decision.decide import decide
from worker.core.decision.policy import Policy
from worker.core.message.decode import Malformed, RawMessage, Request, decode
from worker.core.message.history import History, HistoryEntry
from worker.core.outcome.disposition import Dead, Disposition, Reason, Requeue
from worker.core.outcome.outcome import Outcome
from worker.core.outgoing.envelope import Outgoing, is_worn, outgoing
from worker.core.outgoing.record import closing_fields
from worker.errors import BrokerUnavailable, Unroutable
from worker.ports import Delivery, Events, Settler


class Sends(Protocol):
    """What the pipeline knows of `delivery/sender.py`, which joins and attempts."""

    async def send(self, request: Request, is_wanted: Callable[[], bool]) -> Outcome:
        """Wait for a turn, call, and say what happened; no call is made when *is_wanted* is false at its turn."""


class Pipeline:
    """Takes one delivery at a time from start to end; many run side by side and know nothing of each other."""

    def __init__(
        self,
        sender: Sends,
        settler: Settler,
        events: Events,
        policy: Policy,
        *,
        now: Callable[[], datetime],
        dice: Callable[[], float],
        settled: Callable[[Disposition], None] = lambda _: None,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        """*dice* gives numbers in [0, 1); *settled* hears what became of each request when that is certain.

        While *may_send* is false, what has no call yet gets none.
        """
        self._sender = sender
        self._may_send = may_send
        self._settler = settler
        self._events = events
        self._policy = policy
        self._now = now
        self._dice = dice
        self._settled = settled

    async def receive(self, delivery: Delivery) -> None:
        """Take *delivery* to its end; the broker has it again if this cannot be told to it."""
        received = self._now()
        if delivery.raw.forged:
            self._events.emit("delivery.forged", lane=delivery.raw.lane.value, headers=delivery.raw.forged)
        request, disposition = await self._judge(delivery, received)
        settled = self._now()
        try:
            await self._settle(delivery, request, disposition, settled)
        except (BrokerUnavailable, Unroutable) as error:
            self._events.emit("delivery.unsettled", lane=delivery.raw.lane.value, kind=type(error).__name__)
            return
        self._settled(disposition)
        fields = closing_fields(request, delivery.raw.lane, disposition, received, settled)
        self._events.emit("delivery.settled", redelivered=delivery.redelivered, **fields)

    async def _judge(self, delivery: Delivery, now: datetime) -> tuple[Request | Malformed, Disposition]:
        request: Request | Malformed = Malformed("it could not be decoded")
        try:
            request = decode(delivery.raw, self._policy.lifetimes, now)
            if isinstance(request, Malformed):
                row = self._policy.catalog.local("local.malformed")
                return request, Dead(Reason(row.error_class, row.code, request.reason, row.remedy), History())
            if is_worn(delivery.raw, delivery.deliveries):
                return request, Requeue("it was delivered too often to wait")
            outcome = await self._sender.send(request, lambda: delivery.is_open and self._may_send())
            return request, decide(request, outcome, self._policy.retry, self._now(), self._dice())
        except Exception as error:  # noqa: BLE001 - our own bug must cost this request alone, and be told
            return request, self._internal(request, error)

    def _internal(self, request: Request | Malformed, error: Exception) -> Dead:
        error_id = uuid.uuid4().hex
        self._events.emit("pipeline.failed", error_id=error_id, exception=type(error).__name__, error=error)
        row = self._policy.catalog.local("local.internal")
        reason = Reason(row.error_class, row.code, f"{type(error).__name__}, error report {error_id}", row.remedy)
        history = request.history if isinstance(request, Request) else History()
        return Dead(reason, history.noted(HistoryEntry(self._now(), row.code, row.error_class)))

    async def _settle(
        self, delivery: Delivery, request: Request | Malformed, disposition: Disposition, now: datetime
    ) -> None:
        message = self._message(delivery.raw, request, disposition, now)
        if message is None:
            await self._settler.requeue(delivery)
        else:
            await self._settler.publish_and_ack(delivery, message)

    def _message(
        self, raw: RawMessage, request: Request | Malformed, disposition: Disposition, now: datetime
    ) -> Outgoing | None:
        policy = self._policy
        try:
            return outgoing(raw, request, disposition, policy.topology, now, show_numbers=policy.show_numbers)
        except Exception as error:  # noqa: BLE001 - as above; an unsettled delivery would hold its place for ever
            dead = self._internal(request, error)
            return outgoing(raw._replace(headers={}), Malformed(dead.reason.text), dead, policy.topology, now)
