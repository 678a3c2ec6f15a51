"""Plays the demo: sandbox, workers, publishing, waiting for the last request, and gathering what there is to tell."""

import asyncio
import random
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Final

from worker.broker.connection import Connection, connected, open_channel
from worker.broker.dead_letters import MOST, open_dead_letters
from worker.broker.declare import declare
from worker.broker.depths import depths
from worker.broker.letter import Letter
from worker.broker.outcomes import take_outcomes
from worker.broker.publisher import Publisher
from worker.broker.undeclare import undeclare
from worker.cli.demo.cast import Publication, publications
from worker.cli.demo.crew import crew
from worker.cli.output import console
from worker.cli.quiet import Quiet
from worker.core.envelope import Outgoing
from worker.core.lane import Lane
from worker.core.outcome import DEAD_CLASSES, ErrorClass
from worker.core.quota import Operation
from worker.core.request import MESSAGE_TYPE
from worker.core.topology import Route, Topology
from worker.limiter.limiter import RedisLimiter
from worker.sandbox import Sandbox, SandboxSettings
from worker.sandbox.account import Entry, Summary
from worker.settings import Settings
from worker.terms import caps_of, quotas_of, windows_of

#: Seconds that the sandbox takes for an answer, as the provider would.
_LATENCY_S: Final = 0.05
_LOOK_S: Final = 0.5
#: The sandbox's own quota, as a multiple of the workers'.
_HEADROOM: Final = 1.1
#: Publishes that wait for their confirm at once.
_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Script:
    """What to play."""

    requests: int
    workers: int
    #: Calls per second.
    quota: int
    #: Seconds to wait for the last request.
    patience: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What there is to tell."""

    script: Script
    published: Sequence[Publication]
    #: Outcome events, as read from the done queue.
    done: Sequence[Mapping[str, object]]
    letters: Mapping[ErrorClass, Sequence[Letter]]
    #: Messages left in lanes and retry-delay queues; none when the demo ended as it should.
    left: Mapping[str, int]
    summary: Summary
    calls: Sequence[Entry]
    #: Instants of all granted slots of SendMessageToGlobe, in microseconds.
    slots: Sequence[int]
    seconds: float


async def play(settings: Settings, script: Script) -> Ended:
    """Play *script* on the RabbitMQ and Redis of *settings*."""
    namespace = f"demo-{secrets.token_hex(4)}"
    topology = Topology(namespace)
    # The provider's limit is a little above ours: on a busy machine a call may arrive late and meet the next second's.
    limits = dict.fromkeys((operation.value for operation in Operation), ceil(script.quota * _HEADROOM))
    async with (
        Sandbox(SandboxSettings(qps=limits, latency_s=_LATENCY_S)) as sandbox,
        connected(settings.broker, "operate") as connection,
    ):
        endpoint = await sandbox.start()
        await declare(connection, topology)
        try:
            return await _play(settings, script, topology, sandbox, endpoint, connection)
        finally:
            await undeclare(connection, topology)


async def _play(
    settings: Settings,
    script: Script,
    topology: Topology,
    sandbox: Sandbox,
    endpoint: str,
    connection: Connection,
) -> Ended:
    console.print(f"sandbox listens on {endpoint}; starting {script.workers} workers ...")
    everything = publications(script.requests, datetime.now(UTC), random.Random(4711))  # noqa: S311 - a shuffle
    async with crew(script.workers, _flags(settings, script, topology, endpoint)) as members:
        pids = ", ".join(str(member.process.pid) for member in members)
        console.print(f"workers take messages (process ids {pids}); publishing {len(everything)} requests ...")
        began = time.monotonic()
        await _publish(settings, topology, everything)
        left = await _last(connection, topology, len(everything), script.patience)
        seconds = time.monotonic() - began
        slots = await _slots(settings, topology)
    letters = await _letters(settings, topology)
    done = await take_outcomes(connection, topology)
    account = sandbox.account
    return Ended(script, everything, done, letters, left, account.summary(), list(account), slots, seconds)


def _flags(settings: Settings, script: Script, topology: Topology, endpoint: str) -> dict[str, str]:
    """How the demo's workers differ from the configuration in force."""
    return {
        "broker.url": settings.broker.url.get_secret_value(),
        "redis.url": settings.redis.url.get_secret_value(),
        "broker.namespace": topology.namespace,
        "redis.namespace": topology.namespace,
        "provider.endpoint": endpoint,
        "provider.access_key_id": "sandbox",
        "provider.access_key_secret": "sandbox-secret",
        "provider.read_timeout": "2s",
        "quota.send_message_to_globe": str(script.quota),
        "quota.send_message_with_template": str(script.quota),
        "retry.first": "2s",
        "retry.ceiling": "8s",
        "http.port": "0",
        "log.level": "info",
        "log.format": "json",
    }


async def _publish(settings: Settings, topology: Topology, everything: Sequence[Publication]) -> None:
    quietly = settings.broker.model_copy(update={"declare": False})
    exchange = topology.to_lane(Lane.OTP).exchange
    async with Publisher(quietly, topology, Quiet()) as publisher:
        await publisher.wait_connected()
        for start in range(0, len(everything), _AT_ONCE):
            messages = [_message(exchange, one) for one in everything[start : start + _AT_ONCE]]
            await asyncio.gather(*map(publisher.publish, messages))


def _message(exchange: str, one: Publication) -> Outgoing:
    route = Route(exchange, one.routing_key)
    return Outgoing(route, one.body, {}, MESSAGE_TYPE, "application/json", one.request_id)


async def _last(connection: Connection, topology: Topology, total: int, patience_s: int) -> Mapping[str, int]:
    """Wait until *total* messages have ended; returns what has not, by queue."""
    channel = await open_channel(connection)
    ends = [topology.done_queue, *(topology.dead_queue(dead) for dead in DEAD_CLASSES)]
    ways = [queue.name for queue in topology.queues() if queue.name not in ends]
    deadline = time.monotonic() + patience_s
    with console.status("") as line:
        while True:
            ended = sum(depth.messages for depth in (await depths(channel, ends)).values())
            line.update(f"{ended} of {total} requests have ended")
            if ended >= total or time.monotonic() > deadline:
                return {name: depth.messages for name, depth in (await depths(channel, ways)).items() if depth.messages}
            await asyncio.sleep(_LOOK_S)


async def _letters(settings: Settings, topology: Topology) -> Mapping[ErrorClass, Sequence[Letter]]:
    async with open_dead_letters(settings.broker, topology, Quiet(), now=lambda: datetime.now(UTC)) as letters:
        return {error_class: await letters.scan(error_class, MOST) for error_class in DEAD_CLASSES}


async def _slots(settings: Settings, topology: Topology) -> list[int]:
    redis = settings.redis.model_copy(update={"namespace": topology.namespace})
    quotas = quotas_of(settings)
    limiter = RedisLimiter(
        redis, quotas=quotas, windows=windows_of(settings), caps=caps_of(settings), hold=settings.hold, events=Quiet()
    )
    try:
        return (await limiter.recent_slots(Operation.GLOBE))[0]
    finally:
        await limiter.aclose()
