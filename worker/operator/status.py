"""How everything stands: what waits, how fast it goes, what is held, what died."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.broker.connection import connected, open_channel
from worker.broker.depths import Depth, depths
from worker.core.limits.holds import ACCOUNT, Hold
from worker.core.limits.quota import SINGLES, Operation
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES
from worker.core.topology import Topology
from worker.errors import BrokerUnavailable, LimiterUnavailable
from worker.limiter.operators import OperatorLimiter
from worker.limiter.ring import Shared, rate_per_s
from worker.operator.eta import etas
from worker.operator.holds import rows_of
from worker.settings.policy import quotas_of, topology_of
from worker.settings.sections import Settings


@dataclass(slots=True)
class Found:
    """What RabbitMQ and Redis told; what they could not is None."""

    #: The two queues of each lane: what is new, and what is due.
    lanes: Mapping[Lane, tuple[Depth, Depth]] | None = None
    queues: Mapping[str, Depth] | None = None
    #: Calls per second; an operation without a quota is not there, because its calls are not counted.
    granted: Mapping[Operation, float] | None = None
    holds: Sequence[Hold] = ()
    faults: list[str] = field(default_factory=list)
    #: What workers share, which may be another quota than that of the configuration here.
    shared: Mapping[Operation, Shared] = field(default_factory=dict)

    @property
    def is_held(self) -> bool:
        """Whether the account is, and so all of its senders and countries."""
        return any(hold.name == ACCOUNT for hold in self.holds)


async def ask(settings: Settings) -> Found:
    """Ask RabbitMQ and Redis; what cannot be had becomes a fault."""
    found = Found()
    topology = topology_of(settings)
    try:
        async with connected(settings.broker, "operate") as connection:
            channel = await open_channel(connection)
            found.queues = await depths(channel, _other_queues(topology))
            lanes = await depths(channel, [queue for lane in Lane for queue in topology.queues_of(lane)])
            found.lanes = {lane: (lanes[topology.lane_queue(lane)], lanes[topology.due_queue(lane)]) for lane in Lane}
    except BrokerUnavailable as error:
        found.faults.append(str(error))
    try:
        async with OperatorLimiter(settings.redis, settings.hold) as limiter:
            found.holds = await limiter.holds.list()
            found.shared = {operation: await limiter.shared(operation) for operation in SINGLES}
            quotas = quotas_of(settings)
            limited = [one for one in SINGLES if _first(found.shared[one].rate, quotas[one].rate)]
            found.granted = {operation: rate_per_s(*await limiter.recent_slots(operation)) for operation in limited}
    except LimiterUnavailable as error:
        found.faults.append(str(error))
    return found


def summary(found: Found, settings: Settings) -> dict[str, Any]:
    """What every surface shows of *found*, as JSON has it."""
    granted, queues = found.granted, found.queues
    return {
        "lanes": _lanes(found, settings),
        "quota": [_quota(found, settings, operation) for operation in SINGLES],
        "queues": None if queues is None else {name: depth.messages for name, depth in queues.items()},
        # Dead-letter queues of which somebody has letters in hand that are not counted.
        "looked_into": None if queues is None else _looked_into(queues, settings),
        "account": "unknown" if found.granted is None else "held" if found.is_held else "not held",
        "holds": None if granted is None else rows_of(found.holds, settings),
        "faults": found.faults,
    }


def _quota(found: Found, settings: Settings, operation: Operation) -> dict[str, Any]:
    """One row: what the workers share, null without a limit or when it is not known, and what is configured here."""
    shared = found.shared.get(operation, Shared(None, 0.0))
    return {
        "operation": operation.value,
        "quota_per_s": shared.rate or None,
        "quota_known": shared.rate is not None,
        "configured_per_s": quotas_of(settings)[operation].rate or None,
        "granted_per_s": None if found.granted is None else found.granted.get(operation),
        "opens_in_s": shared.opens_in_s,
    }


def _looked_into(queues: Mapping[str, Depth], settings: Settings) -> list[str]:
    topology = topology_of(settings)
    return [name for name in map(topology.dead_queue, DEAD_CLASSES) if name in queues and queues[name].consumers]


def _first(*numbers: int | None) -> int | None:
    """The first that is known."""
    return next((number for number in numbers if number is not None), None)


def _lanes(found: Found, settings: Settings) -> list[dict[str, Any]] | None:
    if found.lanes is None:
        return None
    served = {lane: new.messages + due.messages for lane, (new, due) in found.lanes.items() if new.consumers}
    floors = {lane: settings.lanes.of(lane).floor for lane in Lane}
    per_s = 0.0 if found.is_held else sum((found.granted or {}).values())
    ends = etas(served, per_s, floors)
    return [
        {
            "lane": lane.value,
            "waiting": new.messages + due.messages,
            "due": due.messages,
            "workers": new.consumers,
            # Fewer than workers while some are of a version that knows of no due queues.
            "due_workers": due.consumers,
            "eta_s": ends.get(lane),
        }
        for lane, (new, due) in found.lanes.items()
    ]


def _other_queues(topology: Topology) -> list[str]:
    return [
        *reversed(topology.delay_queues()),
        topology.done_queue,
        *map(topology.dead_queue, DEAD_CLASSES),
    ]
