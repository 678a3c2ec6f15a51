"""One worker under load, with everything around it that a fault test breaks, and the accounts at its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from deploy.local.ports import Ports
from deploy.local.stack import Stack
from tests.brokers import declared
from tests.faults.accounts import Verdict, judge
from tests.faults.publishing import Publishing, publisher
from tests.faults.requests import Mix
from tests.faults.resting import Resting
from tests.faults.settings import WORKER, in_books
from tests.faults.zygote import Zygote, zygote
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from worker.core.message.lane import Lane
from worker.core.topology import Topology
from worker.sandbox import Sandbox, SandboxSettings

#: Calls per second of all workers; little, so that two cores are not the limit.
RATE: Final = 60
#: This share of it is the full rate again.
_FULL: Final = 0.9
#: Seconds between two looks of the load at how much waits.
_POLL_S: Final = 0.1
#: Messages that the load keeps ready; with what is in hand, a second of work.
_READY: Final = RATE // 2
#: Seconds within which the worker has noticed anything.
_TELLS_S: Final = 20
#: Rows of the sandbox's books that hold the last second for sure.
_LATEST: Final = 4 * RATE


#: What differs from the settings of workers that are killed.
_FLAGS: Final[Mapping[str, Any]] = {
    "quota.send_message_to_globe": RATE,
    "http.enabled": True,
    "broker.declare": True,
    **{f"lanes.{lane.value}.prefetch": 12 for lane in Lane},
}


@dataclass
class Scene:
    """What a fault test talks to."""

    stack: Stack
    sandbox: Sandbox
    publishing: Publishing
    resting: Resting
    zygote: Zygote
    mix: Mix
    #: The proxies in front of the broker, Redis and the provider, by name, of those that the test asked for.
    proxies: Mapping[str, TcpProxy]
    #: Where the worker tells its metrics.
    health: str

    async def feed(self, enough: asyncio.Event) -> None:
        """Keep some work in the queues, beside what the worker has in hand, until there is *enough*."""
        while not enough.is_set():
            missing = _READY - (await self.publishing.waiting())
            if missing > 0:
                await self.publishing.publish([self.mix.draw() for _ in range(missing)])
            await asyncio.sleep(_POLL_S)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Work for the length of the block; it begins when the worker calls at its full rate."""
        async with self.feeding():
            await self.full_rate()
            yield

    @asynccontextmanager
    async def feeding(self) -> AsyncIterator[None]:
        """Work for the length of the block; what is being published is published: else the account would not know."""
        enough = asyncio.Event()
        feeding = asyncio.create_task(self.feed(enough), name="load")
        try:
            yield
        finally:
            enough.set()
            await feeding

    async def full_rate(self, timeout: float = 30) -> float:  # noqa: ASYNC109 - a test's deadline
        """Wait for a whole second of the full rate that began after now; seconds from now until it began."""
        asked = time.time()

        def began() -> float:
            account, now = self.sandbox.account, time.time()
            latest = account.entries(max(0, len(account) - _LATEST), len(account))
            arrived = [entry.arrived for entry in latest if entry.arrived >= max(asked, now - 1)]
            return now - 1 - asked if now - 1 > asked and len(arrived) >= RATE * _FULL else 0.0

        return await eventually(began, timeout, f"{RATE} calls a second")

    def told(self, event: str) -> int:
        """How often the worker logged *event*."""
        return len(self.zygote.lines(event))

    async def will_tell(self, event: str, times: int) -> None:
        """Wait until the worker has logged *event* so often."""
        await eventually(lambda: self.told(event) >= times, _TELLS_S, event)

    async def metric(self, name: str) -> float:
        """The sum of a counter of the worker over its labels."""
        async with aiohttp.ClientSession() as client, client.get(f"{self.health}/metrics") as answer:
            samples = [line.rpartition(" ") for line in (await answer.text()).splitlines() if line.startswith(name)]
        return sum(float(value) for _, _, value in samples)

    async def settled(self, timeout: float = 60) -> None:  # noqa: ASYNC109 - a test's deadline
        """Wait until everything has come to rest."""
        await self.resting.settle(self.publishing.published, timeout)

    async def verdict(self) -> Verdict:
        """Wait until everything has come to rest, stop the worker, and compare the accounts."""
        await self.settled()
        await self.zygote.drain()
        return judge(self.publishing.published, in_books(self.sandbox), await self.resting.take_all())


@dataclass
class Stage:
    """Builds scenes on the test's own virtual host and database."""

    stack: Stack
    amqp_url: str
    redis_url: str
    log: Path

    @asynccontextmanager
    async def scene(
        self,
        mix: Mix,
        *proxied: str,
        proxy: Callable[[str], TcpProxy] = TcpProxy,
        order: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> AsyncIterator[Scene]:
        """A worker that consumes, with *settings* (``section__key``) and a proxy before each of *proxied*."""
        await declared(self.amqp_url, Topology())
        async with AsyncExitStack() as closing:
            sandbox = await closing.enter_async_context(Sandbox(SandboxSettings(latency_s=0.01, jitter_s=0.01)))
            urls = {"broker": self.amqp_url, "redis": self.redis_url, "provider": await sandbox.start()}
            proxies = {name: await closing.enter_async_context(proxy(urls[name])) for name in proxied}
            urls |= {name: one.url.replace("//@", "//") for name, one in proxies.items()}
            addresses = {
                "broker.url": urls["broker"],
                "redis.url": urls["redis"],
                "provider.endpoint": urls["provider"],
            }
            given = {name.replace("__", "."): value for name, value in settings.items()}
            port = closing.enter_context(Ports()).take()
            flags = {**WORKER, **_FLAGS, "http.port": port, **addresses, **given}
            publishing = await closing.enter_async_context(publisher(self.amqp_url))
            one = await closing.enter_async_context(zygote(self.log, self.stack.environment, flags))
            await closing.enter_async_context(one.worker(**(order or {})))
            resting, health = Resting(self.amqp_url), f"http://127.0.0.1:{port}"
            yield Scene(self.stack, sandbox, publishing, resting, one, mix, proxies, health)
