"""Plays the demo: sandbox, workers, publishing, waiting for the last request, gathering what there is to tell."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Final

from worker.broker.connection import Connection, connected, open_channel
from worker.broker.dead_letters import MOST, open_dead_letters
from worker.broker.declare import declare, undeclare
from worker.broker.depths import depths
from worker.broker.letter import Letter
from worker.broker.outcomes import take_outcomes
from worker.broker.publisher import BrokerPublisher
from worker.cli.demo.cast import Publication, publications
from worker.cli.demo.crew import Member, crew
from worker.cli.output import console, say
from worker.cli.quiet import Quiet
from worker.core.limits.quota import SINGLES, Operation
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE
from worker.core.outcome.outcome import DEAD_CLASSES, ErrorClass
from worker.core.outgoing.envelope import Outgoing
from worker.core.topology import Route, Topology
from worker.limiter.operators import OperatorLimiter
from worker.limiter.server import forget
from worker.sandbox import Sandbox, SandboxSettings
from worker.sandbox.account import BookEntry, Summary
from worker.settings.sections import Settings

#: Seconds that the sandbox takes for an answer, as the provider would.
_LATENCY_S: Final = 0.05
_POLL_S: Final = 0.5
#: The sandbox's own quota, as a multiple of the workers'.
_HEADROOM: Final = 1.1
#: Messages of a batch call: few enough that the demo shows several.
_BATCH: Final = 100
#: Publishes that wait for their confirm at once.
_AT_ONCE: Final = 200
#: As the default windows, but the first: nobody wants to wait half a minute for the end of a demo.
_WINDOWS: Final = """[
  { limit = 1, period = "8s", lanes = ["otp"] }, { limit = 20, period = "day", lanes = ["otp", "notify", "marketing"] },
]""".replace("\n", " ")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What to play."""

    requests: int
    workers: int
    #: Calls per second.
    quota: int
    #: Seconds to wait for the next request to end.
    patience: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What there is to tell."""

    scenario: Scenario
    published: Sequence[Publication]
    #: Outcome events, as read from the done queue.
    done: Sequence[Mapping[str, object]]
    letters: Mapping[ErrorClass, Sequence[Letter]]
    #: Messages left in lanes and retry-delay queues; none when the demo ended as it should.
    left: Mapping[str, int]
    summary: Summary
    calls: Sequence[BookEntry]
    #: Instants of all granted slots of SendMessageToGlobe, in microseconds.
    slots: Sequence[int]
    seconds: float


async def play(settings: Settings, scenario: Scenario) -> Ended:
    """Play *scenario* on the RabbitMQ and Redis of *settings*.

    Raises:
        BrokerUnavailable: RabbitMQ cannot be reached.
        LimiterUnavailable: Redis cannot be reached.
        WorkerError: a worker failed.
    """
    # The provider's limit is a little above ours: on a busy machine a call may arrive late and meet the next second's.
    limits = {operation.value: ceil(scenario.quota * _HEADROOM) for operation in SINGLES} | {Operation.BATCH.value: 1}
    async with (
        Sandbox(SandboxSettings(qps=limits, latency_s=_LATENCY_S)) as sandbox,
        connected(settings.broker, "operate") as connection,
        _namespace(settings, connection) as (own, topology),
    ):
        endpoint = await sandbox.start()
        say(f"The sandbox, which plays the provider, listens on {endpoint}; starting {scenario.workers} workers ...")
        flags = _flags(own, scenario, endpoint)
        async with crew(scenario.workers, flags) as members, OperatorLimiter(own.redis, own.hold) as limiter:
            published, left, seconds = await _send(own, scenario, topology, connection, members)
            slots, _ = await limiter.recent_slots(Operation.GLOBE)
        letters = await _letters(own, topology)
        done = await take_outcomes(connection, topology)
        account = sandbox.account
        return Ended(scenario, published, done, letters, left, account.summary(), list(account), slots, seconds)


@asynccontextmanager
async def _namespace(settings: Settings, connection: Connection) -> AsyncIterator[tuple[Settings, Topology]]:
    """Queues and keys of the demo's own; there are none afterwards, however the block ends."""
    name = f"demo-{secrets.token_hex(4)}"
    own = settings.model_copy(
        update={
            "broker": settings.broker.model_copy(update={"namespace": name, "declare": False}),
            "redis": settings.redis.model_copy(update={"namespace": name}),
        }
    )
    topology = Topology(name)
    await forget(own.redis)  # finds out early whether Redis is there
    try:
        await declare(connection, topology)
        yield own, topology
    finally:
        say("Cleaning up ...")
        try:
            async with connected(own.broker, "operate") as fresh:  # the other one may be why the block ended
                await undeclare(fresh, topology)
        finally:
            await forget(own.redis)


async def _send(
    settings: Settings, scenario: Scenario, topology: Topology, connection: Connection, members: Sequence[Member]
) -> tuple[Sequence[Publication], Mapping[str, int], float]:
    """Publish everything and wait for the last end: what was published, what is left, how long it took."""
    everything = publications(scenario.requests, datetime.now(UTC), random.Random(4711))  # noqa: S311 - a shuffle
    pids = ", ".join(str(member.process.pid) for member in members)
    say(f"Workers take messages (process ids {pids}); publishing {len(everything)} requests ...")
    began = time.monotonic()

    def check() -> None:
        for member in members:
            member.check()

    await _publish(settings, topology, everything)
    left = await _last(connection, topology, len(everything), scenario.patience, check)
    return everything, left, time.monotonic() - began


def _flags(settings: Settings, scenario: Scenario, endpoint: str) -> dict[str, str]:
    """The settings of the demo's workers."""
    return {
        "broker.url": settings.broker.url.get_secret_value(),
        "redis.url": settings.redis.url.get_secret_value(),
        "broker.namespace": settings.broker.namespace,
        "redis.namespace": settings.redis.namespace,
        "provider.endpoint": endpoint,
        "provider.access_key_id": "sandbox",
        "provider.access_key_secret": "sandbox-secret",
        "provider.read_timeout": "2s",
        "quota.send_message_to_globe": str(scenario.quota),
        "quota.send_message_with_template": str(scenario.quota),
        "batch.size": str(_BATCH),
        "limits.recipient": _WINDOWS,
        "retry.first": "2s",
        "retry.ceiling": "8s",
        "http.enabled": "false",
    }


async def _publish(settings: Settings, topology: Topology, everything: Sequence[Publication]) -> None:
    exchange = topology.to_lane(Lane.OTP).exchange
    async with BrokerPublisher(settings.broker, topology, Quiet()) as publisher:
        await publisher.wait_connected()
        for start in range(0, len(everything), _AT_ONCE):
            messages = [_message(exchange, one) for one in everything[start : start + _AT_ONCE]]
            await asyncio.gather(*map(publisher.publish, messages))


def _message(exchange: str, one: Publication) -> Outgoing:
    route = Route(exchange, one.routing_key)
    return Outgoing(route, one.body, {}, MESSAGE_TYPE, "application/json", one.request_id)


async def _last(
    connection: Connection, topology: Topology, total: int, patience_s: int, check: Callable[[], None]
) -> Mapping[str, int]:
    """Wait until *total* messages have ended, or none did for *patience_s*; returns what has not, by queue."""
    channel = await open_channel(connection)
    ends = [topology.done_queue, *map(topology.dead_queue, DEAD_CLASSES)]
    ways = [queue.name for queue in topology.queues() if queue.name not in ends]
    ended, progressed = -1, time.monotonic()
    with console.status("") as line:
        while True:
            check()
            now = sum(depth.messages for depth in (await depths(channel, ends)).values())
            if now != ended:
                ended, progressed = now, time.monotonic()
            line.update(f"{ended} of {total} requests have ended")
            if ended >= total or time.monotonic() > progressed + patience_s:
                return {name: depth.messages for name, depth in (await depths(channel, ways)).items() if depth.messages}
            await asyncio.sleep(_POLL_S)


async def _letters(settings: Settings, topology: Topology) -> Mapping[ErrorClass, Sequence[Letter]]:
    async with open_dead_letters(settings.broker, topology, Quiet(), now=lambda: datetime.now(UTC)) as letters:
        return {error_class: await letters.scan(error_class, MOST) for error_class in DEAD_CLASSES}
