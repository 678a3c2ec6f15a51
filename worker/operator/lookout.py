"""Asks RabbitMQ and Redis how everything stands, once or again and again, and disturbs nobody."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from worker.broker.connection import Connection, connected
from worker.broker.depths import survey
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES
from worker.core.topology import Topology
from worker.errors import BrokerUnavailable, LimiterUnavailable
from worker.limiter.operators import OperatorLimiter
from worker.limiter.ring import rate_per_s
from worker.operator.found import Found
from worker.settings.policy import quotas_of, topology_of
from worker.settings.sections import Settings

#: So many queues that are missing are named.
_NAMED: Final = 3


class Lookout:
    """Keeps its connections from one look to the next; those that broke are opened anew. For an ``async with``."""

    def __init__(self, settings: Settings) -> None:
        """Do not connect yet."""
        self._settings = settings
        self._topology = topology_of(settings)
        self._limiter = OperatorLimiter(settings.redis, settings.hold)
        #: Has the connection to RabbitMQ, while there is one.
        self._connecting = AsyncExitStack()
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._disconnect()
        finally:
            await self._limiter.__aexit__(kind, error, traceback)

    async def look(self) -> Found:
        """Ask both; what cannot be had becomes a fault."""
        found = Found()
        try:
            await self._look_at_queues(found)
        except BrokerUnavailable as error:
            found.faults.append(str(error))
            await self._disconnect()
        try:
            await self._look_at_limits(found)
        except LimiterUnavailable as error:
            found.faults.append(str(error))
        return found

    async def _look_at_queues(self, found: Found) -> None:
        if self._connection is None:
            self._connection = await self._connecting.enter_async_context(connected(self._settings.broker, "operate"))
        topology, others = self._topology, _other_queues(self._topology)
        of_lanes = [queue for lane in Lane for queue in topology.queues_of(lane)]
        depths, missing = await survey(self._connection, [*of_lanes, *others])
        if missing:
            found.faults.append(_missing(missing))
        found.queues = {queue: depths[queue] for queue in others if queue in depths}
        pairs = {lane: (topology.lane_queue(lane), topology.due_queue(lane)) for lane in Lane}
        found.lanes = {lane: (depths.get(new), depths.get(due)) for lane, (new, due) in pairs.items()}

    async def _look_at_limits(self, found: Found) -> None:
        limiter, quotas = self._limiter, quotas_of(self._settings)
        found.holds = await limiter.holds.list()
        found.limits = await limiter.overrides.look()
        found.workers = await limiter.standings()
        found.shared = {operation: await limiter.shared(operation) for operation in Operation}
        rates = {one: quotas[one].rate if (told := found.shared[one].rate) is None else told for one in Operation}
        found.learned = await limiter.learned(rates)
        found.throttled = {operation: await limiter.recent_throttles(operation) for operation in Operation}
        limited = [operation for operation, rate in rates.items() if rate]
        found.granted = {operation: rate_per_s(*await limiter.recent_slots(operation)) for operation in limited}

    async def _disconnect(self) -> None:
        self._connection = None
        await self._connecting.aclose()


async def ask(settings: Settings) -> Found:
    """Ask RabbitMQ and Redis once; what cannot be had becomes a fault."""
    async with Lookout(settings) as lookout:
        return await lookout.look()


def _missing(queues: list[str]) -> str:
    named, more = ", ".join(queues[:_NAMED]), len(queues) - _NAMED
    which = f"{named} and {more} more do" if more > 0 else f"{named} {'does' if len(queues) == 1 else 'do'}"
    noun = "queue" if len(queues) == 1 else "queues"
    return f"{noun} {which} not exist: start a worker, or run: sms-worker topology declare"


def _other_queues(topology: Topology) -> list[str]:
    return [
        *reversed(topology.delay_queues()),
        topology.done_queue,
        *map(topology.dead_queue, DEAD_CLASSES),
    ]
