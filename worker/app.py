"""The composition root: builds every part from the configuration, starts them in order, and takes them down again.

Start: health, limiter, provider, broker; the worker is ready when it consumes. A neighbour that is away is waited for,
not died of. End: intake stops, what waits is given back, calls in flight are settled, at most for the grace period;
then everything closes. What is unsettled by then is delivered again.
"""

import asyncio
import os
import random
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from worker import __version__
from worker.broker.connection import connected
from worker.broker.consumer import Intake
from worker.broker.declare import declare, verify
from worker.broker.publisher import Publisher
from worker.broker.settle import BrokerSettler
from worker.core.lane import Lane
from worker.core.quota import Hold
from worker.dispatch import Dispatch
from worker.errors import BrokerUnavailable, LimiterUnavailable, TopologyMismatch
from worker.limiter.limiter import RedisLimiter
from worker.pipeline import Pipeline
from worker.provider.client import Client
from worker.settings import Settings
from worker.shutdown import Shutdown, on_signals
from worker.telemetry.gauges import Snapshot
from worker.telemetry.health import Health
from worker.telemetry.libraries import libraries_heard
from worker.telemetry.open import Observed, open_telemetry
from worker.terms import caps_of, quotas_of, terms_of, windows_of

#: How often the limiter is asked how it is: what readiness and the gauges know of Redis and the hold is this old.
_WATCH_S: Final = 1.0
#: How often the start looks whether every lane has its consumer.
_LOOK_S: Final = 0.05
#: From the last acknowledgement to the end of its connection. A quorum queue loses acknowledgements that it has not
#: applied when their channel closes (RabbitMQ 3.10.8: 12 of 500), and what was done would come, and be sent, again.
_LAST_ACKS_S: Final = 0.25


def _now() -> datetime:
    return datetime.now(UTC)


class App:
    """One worker."""

    def __init__(self, settings: Settings, observed: Observed) -> None:
        """Build every part; nothing is connected yet. Needs a running event loop."""
        terms, quotas, events = terms_of(settings), quotas_of(settings), observed.events
        self.settings, self._events = settings, events
        self.limiter = RedisLimiter(
            settings.redis,
            quotas=quotas,
            windows=windows_of(settings),
            caps=caps_of(settings),
            hold=settings.hold,
            events=events,
        )
        self.provider = Client(settings.provider, events)
        self.dispatch = Dispatch(
            self.limiter,
            self.provider,
            terms.catalog,
            events,
            quotas=quotas,
            concurrency=settings.provider.concurrency,
            patience=settings.worker.patience,
            now=_now,
            can_settle=lambda: self.publisher.is_connected and not self.publisher.blocked,
        )
        self.topology = terms.topology
        self.publisher = Publisher(settings.broker, terms.topology, events)
        settler = BrokerSettler(self.publisher, terms.topology, events, pause=settings.broker.reconnect_pause, now=_now)
        pipeline = Pipeline(self.dispatch, settler, events, terms, now=_now, dice=random.random)
        prefetch = {lane: settings.lanes.of(lane).prefetch for lane in settings.worker.lanes}
        self.intake = Intake(settings.broker, terms.topology, prefetch, pipeline.receive, events)
        self.health = Health(settings.http, lambda: self.snapshot().conditions(), observed.metrics.exposition)
        observed.metrics.watch(self.snapshot)
        self._hold: Hold | None = None
        self._redis_answers = False
        self._draining = False

    def snapshot(self) -> Snapshot:
        """How the worker stands at this moment."""
        return Snapshot(
            in_hand=self.intake.in_hand_by_lane(),
            waiting=self.dispatch.waiting(),
            consuming=self.intake.is_consuming,
            publishing=self.publisher.is_connected,
            blocked=self.publisher.blocked,
            limiter=self._redis_answers,
            draining=self._draining,
            held=self._hold.code if self._hold else None,
        )

    async def serve(self, shutdown: Shutdown) -> bool:
        """Work until *shutdown*; True when everything in hand was settled or given back.

        Raises:
            TopologyMismatch: the broker's topology differs in a way that can lose messages.
            OSError: the port for health and metrics is taken.
        """
        if self.settings.http.enabled:
            await self.health.start()
        tasks: list[asyncio.Task[Any]] = []
        try:
            started = await _unless(shutdown.drain, self._start(tasks))
            if started:
                self._events.emit("worker.started", version=__version__, lanes=self._lanes(), pid=os.getpid())
                await _first(asyncio.create_task(shutdown.drain.wait(), name="drain asked"), *tasks)
            return await self._drain(shutdown)
        finally:
            await self._close(tasks)

    def _lanes(self) -> str:
        return ",".join(lane.value for lane in Lane if lane in self.settings.worker.lanes)

    async def _start(self, tasks: list[asyncio.Task[Any]]) -> None:
        tasks.append(asyncio.create_task(self._watch(), name="watch"))
        await self.provider.start()
        tasks.append(asyncio.create_task(self.dispatch.run(), name="dispatch"))
        await self._fit_topology()
        self.publisher.start()
        await self.publisher.wait_connected()
        self.intake.start()
        while not self.intake.is_consuming:  # noqa: ASYNC110 - it comes and goes; once, at the start, is no event
            await asyncio.sleep(_LOOK_S)

    async def _fit_topology(self) -> None:
        """Declare, or only compare, before anything is taken: a queue that loses messages must stop the start.

        Raises:
            TopologyMismatch: the broker's topology differs in a way that can lose messages.
        """
        fit = declare if self.settings.broker.declare else verify
        while True:
            try:
                async with connected(self.settings.broker, "operate") as connection:
                    for difference in await fit(connection, self.topology):
                        if difference.is_fatal:
                            raise TopologyMismatch(difference.sentence)
                        self._events.emit("broker.differs", difference=difference.sentence)
                    return
            except BrokerUnavailable as error:
                self._events.emit("broker.lost", role="operate", kind=type(error).__name__, error=error)
            await asyncio.sleep(self.settings.broker.reconnect_pause.total_seconds())

    async def _watch(self) -> None:
        """Know how Redis and the account are."""
        while True:
            try:
                if not self._redis_answers:
                    await self.limiter.start()
                self._hold = await self.limiter.held()
                self._tell_limiter(answers=True)
            except LimiterUnavailable as error:
                self._tell_limiter(answers=False, kind=str(error))
            await asyncio.sleep(_WATCH_S)

    def _tell_limiter(self, *, answers: bool, **fields: str) -> None:
        if answers != self._redis_answers:
            self._events.emit("limiter.available" if answers else "limiter.unavailable", **fields)
        self._redis_answers = answers

    async def _drain(self, shutdown: Shutdown) -> bool:
        self._draining = True
        self._events.emit("worker.draining", in_hand=self.intake.in_hand)
        finishing = asyncio.create_task(self._finish(), name="finish")
        leaving = asyncio.create_task(shutdown.leave.wait(), name="leave asked")
        grace_s = self.settings.worker.grace.total_seconds()
        await asyncio.wait((finishing, leaving), timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        finished = finishing.done()
        for task in (finishing, leaving):
            task.cancel()
        await asyncio.wait((finishing, leaving))
        self._events.emit("worker.stopped", exit_code=0 if finished else 4, in_hand=self.intake.in_hand)
        return finished

    async def _finish(self) -> None:
        await self.intake.stop()
        await self.dispatch.drain()
        await self.intake.wait_idle()
        await asyncio.sleep(_LAST_ACKS_S)

    async def _close(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self.intake.aclose()
        await self.publisher.aclose()
        await self.provider.aclose()
        await self.limiter.aclose()
        await self.health.aclose()


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do *work* unless *event* comes first; True when it was done. What it raises is raised."""
    working = asyncio.create_task(work, name="start")
    waiting = asyncio.create_task(event.wait(), name="drain asked")
    await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not working.done():
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        return False
    working.result()
    return True


async def _first(*tasks: "asyncio.Task[Any]") -> None:
    """Wait for the first of *tasks* to end; what it raised is raised: a part that ended by itself ends the worker."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    tasks[0].cancel()
    for task in done:
        task.result()


async def _serve(settings: Settings, observed: Observed) -> bool:
    shutdown = Shutdown(observed.events)
    with on_signals(shutdown):
        return await App(settings, observed).serve(shutdown)


def run(settings: Settings) -> bool:
    """Run a worker until it is told to leave; False when it left with something in hand."""
    import uvloop  # noqa: PLC0415 - not every platform has it, and every other command does without

    observed = open_telemetry(settings.log, settings.sentry, terms_of(settings).catalog, __version__)
    try:
        with libraries_heard(observed.events), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, observed))
    finally:
        observed.close()
