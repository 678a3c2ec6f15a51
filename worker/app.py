"""The composition root: builds every part from the configuration, starts them in order, and takes them down again.

Start: health, limiter, provider, broker; the worker is ready when it consumes. A neighbour that is away is waited for,
not died of. End: intake stops, what waits is requeued, calls in flight are settled, at most for the grace period;
then everything closes. What is unsettled by then is delivered again.
"""

import asyncio
import gc
import os
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Final

from worker import __version__
from worker.broker.consumer import Intake
from worker.broker.fit import fit_topology
from worker.broker.publisher import BrokerPublisher
from worker.broker.settle import BrokerSettler
from worker.core.batch import BatchKey, batch_key
from worker.core.limits.quota import Operation, Shadow
from worker.core.message.decode import Request
from worker.core.message.lane import Lane
from worker.delivery.attempt import Attempts
from worker.delivery.batch_call import BatchCalls
from worker.delivery.batches import Batches
from worker.delivery.canaries import Canaries
from worker.delivery.dispatch import Dispatch
from worker.delivery.intake_control import IntakeControl, Standstill
from worker.delivery.overload import Overload
from worker.delivery.pace import Pace
from worker.delivery.pipeline import Pipeline
from worker.delivery.sender import Sender
from worker.delivery.waiting_room import WaitingRoom
from worker.errors import LimiterUnavailable
from worker.limiter.in_force import InForce
from worker.limiter.limiter import RedisLimiter
from worker.limiter.watch import LimiterWatch
from worker.provider.client import Client
from worker.settings.policy import brake_of, caps_of, lease_of, policy_of, prefetch_of, quotas_of, windows_of
from worker.settings.sections import Settings
from worker.settings.weaknesses import weaknesses
from worker.shutdown import Parts, Shutdown, end, on_signals
from worker.telemetry.gauges import Snapshot
from worker.telemetry.health import Health
from worker.telemetry.libraries import libraries_heard
from worker.telemetry.open import Observed, open_telemetry

#: New objects before a collection, and collections before one of the next generation.
_GC_THRESHOLDS: Final = (20_000, 20, 20)
#: How often the start polls for a connection. Seconds.
_POLL_S: Final = 0.05
#: How often a drain tries to write what Redis does not know yet. Seconds.
_DEBT_PAUSE_S: Final = 0.25
#: From the last acknowledgement to the end of its connection. A quorum queue loses acknowledgements that it has not
#: applied when their channel closes (RabbitMQ 3.10.8: 12 of 500), and what was done would come, and be sent, again.
_LAST_ACKS_S: Final = 0.25


def _now() -> datetime:
    return datetime.now(UTC)


class App:
    """One worker."""

    def __init__(self, settings: Settings, observed: Observed) -> None:
        """Build every part; nothing is connected yet. Needs a running event loop."""
        policy, quotas, events = policy_of(settings), quotas_of(settings), observed.events
        self.settings, self._events = settings, events
        #: As they are in force: with what an operator changed meanwhile.
        self._in_force = settings
        self.limiter = RedisLimiter(
            settings.redis,
            quotas=quotas,
            windows=windows_of(settings),
            caps=caps_of(settings),
            hold=settings.hold,
            memory=settings.ledger.memory,
            lease=lease_of(settings),
            events=events,
            most_call_bytes=settings.batch.most_bytes,
            in_force=InForce(settings, events, self.change),
        )
        self.provider = Client(settings.provider, events, batch=settings.batch)
        self.watch = LimiterWatch(self.limiter, settings.redis, events, lambda: self.snapshot().told())
        attempts = Attempts(self.limiter, self.provider, policy.catalog, events, now=_now, can_settle=self._can_settle)
        room = WaitingRoom(self._batch_key)
        self.dispatch = Dispatch(
            self.limiter,
            attempts,
            events,
            quotas=quotas,
            concurrency=settings.provider.concurrency,
            patience=settings.worker.patience,
            room=room,
            can_settle=self._can_settle,
        )
        canaries, put_back = Canaries(), self.dispatch.put_back
        self._pace = Pace(quotas, lambda: self.watch.learned, lambda: self._in_force.batch.size)
        per_s = self._pace.messages_per_s
        self.overload = Overload(room, attempts, policy.catalog, per_s=per_s, put_back=put_back, now=_now)
        calls = BatchCalls(self.limiter, attempts, self.provider, policy.catalog, events, put_back=put_back, now=_now)
        self.batches = Batches(
            *(self.limiter, self.provider, room, calls, canaries, events),
            quota=quotas[Operation.BATCH],
            singles_per_s=self._pace.singles_per_s,
            size=lambda: self._in_force.batch.size,
            can_settle=self._can_settle,
            now=_now,
        )
        self.topology = policy.topology
        self.publisher = BrokerPublisher(settings.broker, policy.topology, events)
        pause, lanes = settings.broker.reconnect_pause, settings.worker.lanes
        self.settler = BrokerSettler(self.publisher, policy.topology, events, pause=pause, now=_now)
        limits, still = brake_of(settings), self._standstill
        self.intake_control = IntakeControl(limits, self.dispatch, events, lanes=len(lanes), standstill=still)
        pipeline = Pipeline(
            *(Sender(self.dispatch, attempts), self.settler, events, policy),
            now=_now,
            dice=random.random,
            settled=self.intake_control.settled,
            may_send=self.intake_control.lets_send,
        )
        prefetch = {lane: prefetch_of(settings, lane) for lane in lanes}
        self.intake = Intake(
            settings.broker, policy.topology, prefetch, pipeline.receive, events, impatient=self._hurry
        )
        self.health = Health(settings.http, lambda: self.snapshot().conditions(), observed.metrics.exposition)
        observed.metrics.watch(self.snapshot)
        self._draining = False
        #: The broker's ``consumer_timeout``, once it has closed a channel for that.
        self._broker_timeout: timedelta | None = None

    def change(self, settings: Settings, shadow: Shadow) -> None:
        """Take over what can be changed while workers run (`settings.changeable`), and nothing else."""
        self._in_force, quotas = settings, quotas_of(settings)
        self.limiter.limits.change(quotas, windows_of(settings), caps_of(settings), shadow)
        self.dispatch.change(quotas)
        self._pace.change(quotas)
        self.batches.change(quotas[Operation.BATCH])

    def snapshot(self) -> Snapshot:
        """How the worker stands at this moment."""
        return Snapshot(
            in_hand=self.intake.in_hand_by_lane(),
            oldest_s=self.intake.oldest_s(),
            waiting=self.dispatch.waiting(),
            consuming=self.intake.is_consuming,
            publishing=self.publisher.is_connected,
            blocked=self.publisher.blocked,
            telling=not self.settler.is_stuck,
            limiter=self.watch.is_available,
            draining=self._draining,
            holds=self.watch.holds,
            learned=self.watch.learned,
            braked=str(self.intake_control.braked) if self.intake_control.braked else None,
            standstill=self.intake_control.standstill,
        )

    def _batch_key(self, request: Request) -> BatchKey | None:
        if not self._in_force.batch.size:
            return None
        return batch_key(request, (request.deadline - _now()).total_seconds())

    def _can_settle(self) -> bool:
        return self.publisher.is_connected and not self.publisher.blocked and not self.settler.is_stuck

    def _hurry(self, timeout: timedelta) -> None:
        """RabbitMQ closes a channel on which a delivery waits for *timeout*, and counts that against all on it."""
        patience_s = self.dispatch.shorten_patience(timeout / 2).total_seconds()
        if timeout != self._broker_timeout:
            self._broker_timeout = timeout
            self._events.emit("broker.impatient", timeout_s=timeout.total_seconds(), patience_s=patience_s)

    def _standstill(self) -> Standstill | None:
        if not self.watch.is_available:
            return Standstill.LIMITER
        if not self._can_settle():
            return Standstill.OUTCOMES
        return Standstill.HELD if self.watch.is_account_held else None

    async def serve(self, shutdown: Shutdown) -> bool:
        """Work until *shutdown*; True when everything in hand was settled or requeued, and Redis knows of it.

        Raises:
            TopologyMismatch: the broker's topology differs in a way that can lose messages.
            WorkerError: the port for health and metrics cannot be had.
            Exception: a part of the worker failed: a bug. What was in hand is settled or requeued first.
        """
        for key, option in weaknesses(self.settings):
            self._events.emit("settings.weak", key=key, option=option)
        parts = Parts(shutdown)
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self.health.aclose)
            if self.settings.http.enabled:
                await self.health.start()
            # The last comes first: receivers end before the connections that they use.
            for close in (self.limiter.aclose, self.provider.aclose, parts.aclose, self.intake.aclose):
                closing.push_async_callback(close)
            start = parts.start(self._start(parts), "start", ends=True)
            await shutdown.drain.wait()
            await end(start)
            finished = await self._drain(shutdown)
        if shutdown.failure is not None:
            raise shutdown.failure
        return finished

    async def _start(self, parts: Parts) -> None:
        """Bring up one part after the other; neighbours that are away are waited for."""
        parts.start(self.watch.run(), "watch")
        await self.provider.start()
        parts.start(self.dispatch.run(), "dispatch")
        parts.start(self.batches.run(), "batches")
        parts.start(self.overload.run(), "overload")
        await fit_topology(self.settings.broker, self.topology, self._events)
        parts.start(self.publisher.run(), "broker publish")
        await _until(lambda: self.publisher.is_connected)
        # Not before: that outcomes cannot be told while nothing is taken is no standstill.
        parts.start(self.intake_control.run(self.intake), "intake control")
        parts.start(self.intake.run(), "broker consume")
        await _until(lambda: self.intake.is_consuming)
        _settle_garbage()
        lanes = ",".join(lane.value for lane in Lane if lane in self.settings.worker.lanes)
        self._events.emit("worker.started", version=__version__, lanes=lanes, pid=os.getpid())

    async def _drain(self, shutdown: Shutdown) -> bool:
        self._draining = True
        self._events.emit("worker.draining", in_hand=self.intake.in_hand)
        finishing = asyncio.create_task(self._finish(), name="finish")
        leaving = asyncio.create_task(shutdown.leave.wait(), name="leave asked")
        try:
            grace_s = self.settings.worker.grace.total_seconds()
            await asyncio.wait((finishing, leaving), timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            finished = finishing.done()
        finally:
            await end(finishing, leaving)
        if finished:
            finishing.result()
        if owed := self.limiter.owed:
            self._events.emit("limiter.untold", calls=owed)
        ending = {} if shutdown.failure else {"exit_code": 0 if finished else 4}
        self._events.emit("worker.stopped", in_hand=self.intake.in_hand, **ending)
        return finished

    async def _finish(self) -> None:
        await self.intake.stop()
        await asyncio.gather(self.batches.drain(), self.dispatch.drain())
        await self.intake.wait_idle()
        await asyncio.sleep(_LAST_ACKS_S)
        await self._pay_debts()

    async def _pay_debts(self) -> None:
        """Return when the ledger knows of every call; an id that it does not know of would be sent again."""
        while self.limiter.owed:
            try:
                await self.limiter.check_writable()
            except LimiterUnavailable:
                await asyncio.sleep(_DEBT_PAUSE_S)


def _settle_garbage() -> None:
    """Leave what the start made out of every later collection, and collect less often.

    What a message makes is freed when its last reference goes; the collector finds what few errors leave behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


async def _until(condition: Callable[[], bool]) -> None:
    """Poll until *condition* holds: a connection comes and goes, and that it came is no event."""
    while not condition():  # noqa: ASYNC110 - see above
        await asyncio.sleep(_POLL_S)


async def _serve(settings: Settings, observed: Observed) -> bool:
    shutdown = Shutdown(observed.events)
    with on_signals(shutdown):
        return await App(settings, observed).serve(shutdown)


def run(settings: Settings) -> bool:
    """Run a worker until it is told to leave; False when it left with something in hand."""
    import uvloop  # noqa: PLC0415 - not every platform has it, and every other command does without

    observed = open_telemetry(settings.log, settings.sentry, policy_of(settings).catalog, __version__)
    try:
        with libraries_heard(observed.events), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, observed))
    finally:
        observed.close()
