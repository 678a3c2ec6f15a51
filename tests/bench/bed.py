"""What every measurement stands on: a namespace of its own, a sandbox process, a backlog in the lanes."""

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
from pydantic import SecretStr
from redis.asyncio import Redis

from tests.bench.programs import Program, program
from worker.broker.connection import connected, open_channel
from worker.broker.declare import declare, undeclare
from worker.broker.depths import depths
from worker.client import Publisher
from worker.core.message.lane import Lane
from worker.core.topology import Topology
from worker.settings.load import PREFIX
from worker.settings.sections import BrokerSettings

AMQP_URL: Final = os.environ.get("SMS_WORKER__BROKER__URL", "amqp://guest:guest@127.0.0.1:5672/")
REDIS_URL: Final = os.environ.get("SMS_WORKER__REDIS__URL", "redis://127.0.0.1:6379/0")
#: Seconds that the sandbox takes for an answer.
LATENCY_S: Final = 0.05
#: Publishes that wait for their confirm at once.
_AT_ONCE: Final = 500
#: Numbers whose last six digits lie above are the sandbox's magic ones.
_ORDINARY: Final = 900_000


@dataclass
class Bed:
    """One namespace, empty at the start."""

    topology: Topology
    directory: Path
    sandbox: Program
    endpoint: str
    http: aiohttp.ClientSession
    channel: Any
    _numbers: "count[int]" = field(default_factory=count)

    async def fill(self, each: Mapping[Lane, int]) -> None:
        """Forget earlier runs, and let so many new requests wait in each lane, every one to a number of its own."""
        for queue in self.topology.queues():
            await self.channel.queue_purge(queue.name)
        async with self.http.post(f"{self.endpoint}/sandbox/reset") as response:
            response.raise_for_status()
        async with self.publisher() as publisher:
            await self.add(each, publisher)
        while await self.waiting() < sum(each.values()):
            await asyncio.sleep(0.05)

    def publisher(self) -> Publisher:
        """What publishes into this namespace, once it is entered."""
        return Publisher(AMQP_URL, self.topology.namespace)

    async def add(self, each: Mapping[Lane, int], publisher: Publisher, **fields: Any) -> None:
        """Publish so many more requests to each lane; *fields* are added to every one."""
        lanes = [lane for lane, requests in each.items() for _ in range(requests)]
        for start in range(0, len(lanes), _AT_ONCE):
            requests = (self.request(lane) | fields for lane in lanes[start : start + _AT_ONCE])
            await asyncio.gather(*map(publisher.publish, requests))

    async def publish(
        self, publisher: Publisher, lane: Lane, *, not_before: datetime | None = None
    ) -> dict[str, float]:
        """Publish one request, for *not_before* or for now; returns its id with that instant in Unix seconds."""
        request, instant = self.request(lane), not_before or datetime.now(UTC)
        await publisher.publish(request | ({"not_before": not_before.isoformat()} if not_before else {}))
        return {request["id"]: instant.timestamp()}

    def request(self, lane: Lane) -> dict[str, Any]:
        """A new request, to a number of its own."""
        index = next(self._numbers)
        number = f"852{index // _ORDINARY + 50:02d}{index % _ORDINARY:06d}"
        text = f"Your verification code is {index % 1_000_000:06d}. It is good for five minutes."
        return {
            "id": f"bench-{index}",
            "to": f"+{number}",
            "type": lane.sms_type.value,
            "text": text,
            "from": "Example",
        }

    async def waiting(self) -> int:
        """Requests in the lanes that nobody has taken."""
        found = await depths(self.channel, [queue for lane in Lane for queue in self.topology.queues_of(lane)])
        return sum(depth.messages for depth in found.values())

    async def done(self) -> int:
        """Outcome events so far."""
        return (await depths(self.channel, [self.topology.done_queue]))[self.topology.done_queue].messages

    async def account(self) -> dict[str, Any]:
        """The sandbox's books in short."""
        async with self.http.get(f"{self.endpoint}/sandbox/account") as response:
            found: dict[str, Any] = orjson.loads(await response.read())
            return found

    async def arrivals(self) -> list[float]:
        """Unix seconds of every call, as the sandbox saw them."""
        return [call["arrived"] for call in await self.calls()]

    async def calls(self) -> list[dict[str, Any]]:
        """Every call, in order, as it stands in the sandbox's books."""
        async with self.http.get(f"{self.endpoint}/sandbox/calls") as response:
            return [orjson.loads(line) for line in (await response.read()).splitlines()]

    @asynccontextmanager
    async def worker(
        self,
        name: str = "worker",
        module: Sequence[str] = ("worker", "run"),
        checkout: Path | None = None,
        **flags: object,
    ) -> AsyncIterator[Program]:
        """A worker as the operator runs it; *flags* are settings, with two underscores for the point.

        *checkout* is the folder of another version that is run instead of this one.
        """
        settings = {
            "broker__url": AMQP_URL,
            "broker__namespace": self.topology.namespace,
            "redis__url": REDIS_URL,
            "redis__namespace": self.topology.namespace,
            "provider__endpoint": self.endpoint,
            "provider__access_key_id": "sandbox",
            "provider__access_key_secret": "sandbox-secret",
            "quota__send_message_to_globe": 0,
            "http__port": 0,
            **flags,
        }
        environment = {PREFIX + key.upper(): str(value) for key, value in settings.items()}
        if checkout is not None:
            environment["PYTHONPATH"] = str(checkout)
        log = self.directory / f"{name}.log"
        async with program(log, "-m", *module, environment=environment, directory=checkout) as running:
            yield running


@asynccontextmanager
async def bed(latency_s: float = LATENCY_S) -> AsyncIterator[Bed]:
    """A new namespace, which is gone afterwards, and a sandbox that takes *latency_s* for an answer."""
    topology = Topology(f"bench-{secrets.token_hex(3)}")
    broker = BrokerSettings(url=SecretStr(AMQP_URL), namespace=topology.namespace)
    with tempfile.TemporaryDirectory(prefix="sms-bench-") as name:
        directory = Path(name)
        provider = program(directory / "provider.log", "-m", "tests.bench.provider", str(latency_s))
        async with provider as sandbox, aiohttp.ClientSession() as http, connected(broker, "operate") as connection:
            await declare(connection, topology)
            endpoint = await _first_line(sandbox)
            try:
                yield Bed(topology, directory, sandbox, endpoint, http, await open_channel(connection))
            finally:
                await undeclare(connection, topology)
                await _forget(topology.namespace)


async def _first_line(sandbox: Program) -> str:
    while not (line := sandbox.log.read_text("utf-8").partition("\n")[0]):
        sandbox.cpu()  # raises when it has ended
        await asyncio.sleep(0.02)
    return line


async def _forget(namespace: str) -> None:
    async with Redis.from_url(REDIS_URL) as redis:
        keys = [key async for key in redis.scan_iter(match=f"{{{namespace}}}:*", count=1000)]
        for start in range(0, len(keys), 1000):
            await redis.unlink(*keys[start : start + 1000])
