"""A worker's start and end: neighbours that are away, a port that is taken, a part that fails."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import aiohttp
import orjson
import pytest

from tests.cli import sms_worker
from tests.makers import make_fields
from tests.system import FLAGS, running_system
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from worker.app import App
from worker.core.message.lane import Lane
from worker.settings.load import load
from worker.settings.policy import policy_of
from worker.shutdown import Shutdown
from worker.telemetry.open import open_telemetry


class Started:
    """An app that was told to serve; nothing is waited for."""

    def __init__(self, amqp_url: str, redis_url: str) -> None:
        settings = load([], {}, {**FLAGS, "broker.url": amqp_url, "redis.url": redis_url})
        self.log = BytesIO()
        self.observed = open_telemetry(
            settings.log, settings.sentry, policy_of(settings).catalog, "test", stream=self.log, strict=True
        )
        self.shutdown = Shutdown(self.observed.events)
        self.app = App(settings, self.observed)
        self.serving = asyncio.create_task(self.app.serve(self.shutdown))

    def told(self, event: str) -> list[dict[str, Any]]:
        return [line for line in map(orjson.loads, self.log.getvalue().splitlines()) if line["event"] == event]


@asynccontextmanager
async def started(amqp_url: str, redis_url: str) -> AsyncIterator[Started]:
    one = Started(amqp_url, redis_url)
    try:
        yield one
    finally:
        one.serving.cancel()
        await asyncio.wait([one.serving])
        one.observed.close()


async def readiness(app: App) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as client, client.get(f"{app.health.url}/readyz") as answer:
        return answer.status, (await answer.json())["conditions"]


def test_a_fault_of_the_configuration_ends_a_worker_before_anything_is_connected() -> None:
    ran = sms_worker("--set", "broker.url=http://x", "--set", "http.port=none", "run")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("sms-worker: the configuration has 2 faults:")


def test_a_port_that_is_taken_is_one_sentence(amqp_url: str, redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = {"broker.url": amqp_url, "redis.url": redis_url, "http.port": str(port)}
        ran = sms_worker(*(part for flag in flags.items() for part in ("--set", "=".join(flag))), "run")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"sms-worker: health and metrics cannot listen on 127.0.0.1 port {port}: Address already in use; "
        "give this worker another http.port, or 0 for a free one\n"
    )


async def test_a_worker_waits_for_a_rabbitmq_that_is_away_and_starts_when_it_comes(
    amqp_url: str, redis_url: str
) -> None:
    async with TcpProxy(amqp_url) as proxy:
        await proxy.refuse()
        async with started(proxy.url, redis_url) as one:
            await eventually(lambda: len(one.told("broker.lost")) >= 2, because="it tries again")
            status, conditions = await readiness(one.app)
            assert (status, conditions["broker_consuming"], conditions["limiter_available"]) == (503, False, True)
            assert not one.told("worker.started")

            await proxy.listen()
            await eventually(lambda: one.told("worker.started"), because="it starts")
            assert (await readiness(one.app))[0] == 200
            one.shutdown.ask()
            assert await one.serving


async def test_a_worker_that_waits_for_rabbitmq_leaves_when_told(unused_tcp_port: int, redis_url: str) -> None:
    async with started(f"amqp://127.0.0.1:{unused_tcp_port}", redis_url) as one:
        await eventually(lambda: one.told("broker.lost"))
        one.shutdown.ask()
        assert await asyncio.wait_for(one.serving, 3)
        assert one.told("worker.stopped")[0]["exit_code"] == 0


async def test_a_worker_says_that_redis_is_away_and_is_ready_when_it_comes(amqp_url: str, redis_url: str) -> None:
    async with TcpProxy(redis_url) as proxy:
        await proxy.refuse()
        async with started(amqp_url, proxy.url) as one:
            await eventually(lambda: one.told("worker.started"))
            assert one.told("limiter.unavailable")
            status, conditions = await readiness(one.app)
            assert (status, conditions["limiter_available"]) == (503, False)

            await proxy.listen()
            await eventually(lambda: one.told("limiter.available"))
            assert (await readiness(one.app))[0] == 200


async def test_a_part_that_fails_ends_the_worker_and_what_is_in_hand_is_finished(
    amqp_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would go on half alive: consuming, say, with nobody who watches the account."""

    async def fail() -> None:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):  # noqa: PT012 - it is raised when the worker has left
        async with running_system(amqp_url, redis_url) as system:
            system.sandbox.switch(latency_s=0.8)
            await system.publish("notify", make_fields(Lane.NOTIFY, id="r-1"))
            await eventually(lambda: system.sandbox.account.calls == 1, because="a call is in flight")
            monkeypatch.setattr(system.app.limiter.holds, "list", fail)
            await eventually(lambda: system.lines("worker.stopped"), because="it leaves by itself")
            assert await system.depths() == {"done": 1}
            assert (system.sandbox.account.calls, system.lines("worker.stopped")[0]["in_hand"]) == (1, 0)


async def test_a_cancelled_worker_leaves_no_task_behind(amqp_url: str, redis_url: str) -> None:
    before = asyncio.all_tasks()
    async with started(amqp_url, redis_url) as one:
        await eventually(lambda: one.told("worker.started"))
        one.serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one.serving
        left = {task.get_name() for task in asyncio.all_tasks() - before if not task.done()}
        assert left == set()
