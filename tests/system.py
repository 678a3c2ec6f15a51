"""The whole system in one process, but for the servers: sandbox, worker, and a plain AMQP client as the publisher."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from tests.waiting import eventually
from worker.app import App
from worker.core.message.request import MESSAGE_TYPE
from worker.core.outcome.outcome import DEAD_CLASSES
from worker.core.topology import Topology
from worker.sandbox import Sandbox, SandboxSettings
from worker.settings.load import load
from worker.settings.policy import policy_of
from worker.settings.sections import Settings
from worker.shutdown import Shutdown
from worker.telemetry.open import Observed, open_telemetry

#: Quick enough for tests; each may be overridden.
FLAGS: Final[Mapping[str, Any]] = {
    "http.port": 0,
    "quota.send_message_to_globe": 0,
    "quota.send_message_with_template": 0,
    "retry.first": "500ms",
    "retry.ceiling": "2s",
    "hold.first_probe": "200ms",
    "hold.slowest_probe": "1s",
    "worker.grace": "5s",
    "provider.read_timeout": "1s",
    "provider.access_key_id": "sandbox",
    "provider.access_key_secret": "sandbox-secret",
    "broker.reconnect_pause": "200ms",
}


@dataclass
class System:
    """What a test talks to."""

    settings: Settings
    sandbox: Sandbox
    app: App
    channel: AbstractChannel
    observed: Observed
    log: BytesIO

    @property
    def topology(self) -> Topology:
        return Topology(self.settings.broker.namespace)

    async def publish(self, lane: str, body: dict[str, Any] | bytes, **properties: Any) -> None:
        """Publish *body* as any AMQP client would; *properties* replace the usual ones."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        usual = {"type": MESSAGE_TYPE, "content_type": "application/json", "delivery_mode": 2}
        exchange = await self.channel.get_exchange(f"{self.topology.namespace}.send", ensure=False)
        await exchange.publish(aio_pika.Message(content, **{**usual, **properties}), routing_key=lane)

    async def depth(self, queue: str) -> int:
        """Ready messages in *queue*."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def depths(self) -> dict[str, int]:
        """Ready messages by the part of the queue's name after the namespace; empty queues are left out."""
        depths = {queue.name: await self.depth(queue.name) for queue in self.topology.queues()}
        return {name.split(".", 1)[1]: depth for name, depth in depths.items() if depth}

    async def settled(self, total: int, timeout: float = 30) -> dict[str, int]:  # noqa: ASYNC109 - a test's deadline
        """Wait until *total* messages rest in done and dead-letter queues, and return all depths."""

        async def rest() -> bool:
            ends = [self.topology.done_queue, *(self.topology.dead_queue(dead) for dead in DEAD_CLASSES)]
            return sum([await self.depth(queue) for queue in ends]) >= total

        await eventually(rest, timeout, f"{total} settled messages")
        return await self.depths()

    async def take(self, queue: str) -> AbstractIncomingMessage:
        """Take one message out of *queue*."""
        declared = await self.channel.declare_queue(queue, passive=True)
        message = await declared.get(timeout=5)
        await message.ack()
        return message

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What the worker logged as *event*."""
        return [line for line in map(orjson.loads, self.log.getvalue().splitlines()) if line.get("event") == event]


@asynccontextmanager
async def running_system(
    amqp_url: str,
    redis_url: str,
    *,
    flags: Mapping[str, Any] | None = None,
    sandbox_settings: SandboxSettings | None = None,
    toml: str = "",
) -> AsyncIterator[System]:
    """A sandbox and one worker that consumes; both are gone afterwards."""
    async with Sandbox(sandbox_settings) as sandbox:
        endpoint = await sandbox.start()
        addresses = {"broker.url": amqp_url, "redis.url": redis_url, "provider.endpoint": endpoint}
        settings = load([("test", toml)], {}, {**FLAGS, **addresses, **(flags or {})})
        log = BytesIO()
        catalog = policy_of(settings).catalog
        observed = open_telemetry(settings.log, settings.sentry, catalog, "test", stream=log, strict=True)
        shutdown = Shutdown(observed.events)
        app = App(settings, observed)
        serving = asyncio.create_task(app.serve(shutdown))
        connection = await aio_pika.connect(amqp_url)
        try:
            await eventually(lambda: serving.done() or app.snapshot().consuming, because="the worker consumes")
            if serving.done():
                serving.result()
            yield System(settings, sandbox, app, await connection.channel(), observed, log)
        finally:
            await connection.close()
            shutdown.ask()
            assert await serving, "the worker left with something in hand"
            observed.close()
