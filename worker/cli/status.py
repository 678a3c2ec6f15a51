"""``sms-worker status``: what waits, how fast it goes, what is held and why, what died."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import typer

from worker.broker.connection import connected, open_channel
from worker.broker.depths import Depth, depths
from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.eta import etas, in_words
from worker.cli.holds import rows_of, show_holds
from worker.cli.interrupt import complete
from worker.cli.options import JsonOption
from worker.cli.output import complain, json_line, say
from worker.cli.table import listing
from worker.core.limits.holds import ACCOUNT, Hold
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES
from worker.core.topology import Topology
from worker.errors import BrokerUnavailable, LimiterUnavailable
from worker.limiter.read_only import Onlooker
from worker.limiter.ring import Shared, rate_per_s
from worker.settings.policy import quotas_of, topology_of
from worker.settings.sections import Settings

#: A shorter pause is not worth a sentence.
_SOON_S: Final = 0.5


@dataclass(slots=True)
class Found:
    """What RabbitMQ and Redis told; what they could not is None."""

    lanes: Mapping[Lane, Depth] | None = None
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


def status(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """Show lanes with their estimated time, the rate of calls, retry-delay and dead-letter queues, and what is held.

    Asks RabbitMQ and Redis, changes nothing, needs no worker. Messages in the hands of workers are not counted. The
    quota is that of the workers, as the last granted call told it, beside that of the configuration here. The rate is
    that of the last seconds; the estimate assumes that it goes on and that nothing new comes. Leaves with 3 when
    RabbitMQ or Redis could not be asked.

    For example:

        sms-worker status
        sms-worker status --json
    """
    settings = Context.of(context).settings()
    found = complete(_look(settings))
    if as_json:
        json_line(told(found, settings))
    else:
        _show(told(found, settings))
    for fault in found.faults:
        complain(fault)
    if found.faults:
        raise typer.Exit(exit_codes.UNAVAILABLE)


async def _look(settings: Settings) -> Found:
    found = Found()
    topology = topology_of(settings)
    try:
        async with connected(settings.broker, "operate") as connection:
            channel = await open_channel(connection)
            lanes = await depths(channel, map(topology.lane_queue, Lane))
            found.queues = await depths(channel, _other_queues(topology))
            found.lanes = {lane: lanes[topology.lane_queue(lane)] for lane in Lane}
    except BrokerUnavailable as error:
        found.faults.append(str(error))
    try:
        async with Onlooker(settings.redis, settings.hold) as onlooker:
            found.holds = await onlooker.holds.list()
            found.shared = {operation: await onlooker.shared(operation) for operation in Operation}
            quotas = quotas_of(settings)
            limited = [one for one in Operation if _first(found.shared[one].rate, quotas[one].rate)]
            found.granted = {operation: rate_per_s(*await onlooker.recent_slots(operation)) for operation in limited}
    except LimiterUnavailable as error:
        found.faults.append(str(error))
    return found


def told(found: Found, settings: Settings) -> dict[str, Any]:
    """What `status` tells, as JSON has it."""
    granted, queues = found.granted, found.queues
    return {
        "lanes": _lanes(found, settings),
        "quota": [_quota(found, settings, operation) for operation in Operation],
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
    served = {lane: depth.messages for lane, depth in found.lanes.items() if depth.consumers}
    floors = {lane: settings.lanes.of(lane).floor for lane in Lane}
    per_s = 0.0 if found.is_held else sum((found.granted or {}).values())
    ends = etas(served, per_s, floors)
    return [
        {"lane": lane.value, "waiting": depth.messages, "workers": depth.consumers, "eta_s": ends.get(lane)}
        for lane, depth in found.lanes.items()
    ]


def _show(status: Mapping[str, Any]) -> None:
    if status["lanes"] is not None:
        rows = [row | {"eta": _eta(row)} for row in status["lanes"]]
        listing("Lanes", ("lane", "waiting", "workers", "eta"), rows)
    _show_quota(status["quota"])
    if status["queues"] is not None:
        rows = [{"queue": name, "messages": depth} for name, depth in status["queues"].items() if depth]
        if rows:
            listing("Retry-delay, done and dead-letter queues", ("queue", "messages"), rows)
        elif not status["looked_into"]:
            say("Retry-delay, done and dead-letter queues are empty.")
        for name in status["looked_into"]:
            say(f"Somebody is looking into {name}: letters in their hands are not counted.")
    say(f"Account: {status['account']}")
    if status["holds"]:
        show_holds(status["holds"])


def _show_quota(quota: Sequence[Mapping[str, Any]]) -> None:
    rows = [dict(row) for row in quota]
    for row in rows:
        row["configured_here"] = row["configured_per_s"] or "none"
        row["quota_per_s"] = (row["quota_per_s"] or "none") if row["quota_known"] else "unknown"
    listing("Quota", ("operation", "quota_per_s", "configured_here", "granted_per_s"), rows)
    for row, told in zip(rows, quota, strict=True):
        if told["quota_known"] and told["quota_per_s"] != told["configured_per_s"]:
            say(
                f"Workers send {row['operation']} with a quota of {row['quota_per_s']}, the configuration here says "
                f"{row['configured_here']}: is it theirs?"
            )
        if told["opens_in_s"] >= _SOON_S:
            because = "Redis is new or restarted, or the provider asked for a pause"
            say(f"No {row['operation']} for {in_words(told['opens_in_s'])} more: {because}.")


def _eta(row: Mapping[str, Any]) -> str | None:
    if not row["waiting"]:
        return None
    return "unknown" if row["eta_s"] is None else in_words(row["eta_s"])


def _other_queues(topology: Topology) -> list[str]:
    return [
        *map(topology.delay_queue, range(topology.levels)),
        topology.done_queue,
        *map(topology.dead_queue, DEAD_CLASSES),
    ]
