"""``sms-worker status``: what waits, what is held and why, what died."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from worker.broker.connection import connected, open_channel
from worker.broker.depths import depths
from worker.cli.context import Context
from worker.cli.output import console, json_line, listing
from worker.cli.quiet import Quiet
from worker.core.lane import Lane
from worker.core.outcome import DEAD_CLASSES
from worker.core.quota import Hold, Operation
from worker.core.topology import Topology
from worker.errors import LimiterUnavailable
from worker.limiter.limiter import RedisLimiter
from worker.settings import Settings
from worker.terms import caps_of, quotas_of, topology_of, windows_of

#: The rate is the mean of this long.
_RATE_OVER_US: Final = 5_000_000


def status(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show the lanes with their rate and estimated time, the retry-delay queues, the hold, and the dead letters.

    Asks RabbitMQ and Redis; changes nothing. Needs no worker.
    """
    settings = Context.of(context).settings()
    found = asyncio.run(_look(settings))
    if as_json:
        json_line(found)
        return
    listing("Lanes", ("lane", "waiting", "workers", "eta"), found["lanes"], as_json=False)
    listing("Quota", ("operation", "quota_per_s", "granted_per_s"), found["quota"], as_json=False)
    rest = [{"queue": name, "messages": depth} for name, depth in found["queues"].items() if depth]
    listing("Retry-delay, done and dead-letter queues", ("queue", "messages"), rest, as_json=False)
    console.print(f"Account: {found['account']}", markup=False)


async def _look(settings: Settings) -> dict[str, Any]:
    topology = topology_of(settings)
    async with connected(settings.broker, "operate") as connection:
        channel = await open_channel(connection)
        lanes = await depths(channel, [topology.lane_queue(lane) for lane in Lane])
        rest = await depths(channel, _other_queues(topology))
    try:
        hold, granted = await _limits(settings)
        account = _held(hold)
    except LimiterUnavailable as error:
        account, granted = f"unknown: {error}", {}
    total = sum(granted.values())
    waiting_before = 0
    rows = []
    for lane in Lane:
        depth = lanes[topology.lane_queue(lane)]
        waiting_before += depth.messages
        eta = f"{waiting_before / total:.0f} s" if total and depth.messages else None
        rows.append({"lane": lane.value, "waiting": depth.messages, "workers": depth.consumers, "eta": eta})
    quotas = quotas_of(settings)
    quota = [
        {"operation": op.value, "quota_per_s": quotas[op].rate or "none", "granted_per_s": granted.get(op)}
        for op in Operation
    ]
    return {
        "lanes": rows,
        "quota": quota,
        "queues": {name: depth.messages for name, depth in rest.items()},
        "account": account,
    }


async def _limits(settings: Settings) -> tuple[Hold | None, Mapping[Operation, float]]:
    limiter = RedisLimiter(
        settings.redis,
        quotas=quotas_of(settings),
        windows=windows_of(settings),
        caps=caps_of(settings),
        hold=settings.hold,
        events=Quiet(),
    )
    try:
        return await limiter.held(), {operation: await _granted_per_s(limiter, operation) for operation in Operation}
    finally:
        await limiter.aclose()


async def _granted_per_s(limiter: RedisLimiter, operation: Operation) -> float:
    slots, now = await limiter.recent_slots(operation)
    return sum(now - _RATE_OVER_US < slot <= now for slot in slots) * 1_000_000 / _RATE_OVER_US


def _other_queues(topology: Topology) -> list[str]:
    return [
        *(topology.delay_queue(level) for level in range(topology.levels)),
        topology.done_queue,
        *(topology.dead_queue(error_class) for error_class in DEAD_CLASSES),
    ]


def _held(hold: Hold | None) -> str:
    if hold is None:
        return "not held"
    return (
        f"held for {hold.age_s:.0f} s because of {hold.code}; {hold.probes} probes failed, "
        f"the next in {max(hold.probe_in_s, 0):.0f} s. See: sms-worker codes {hold.code}"
    )
