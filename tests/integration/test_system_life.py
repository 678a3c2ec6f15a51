"""Workers come and go, and so do their neighbours: nothing is lost, and nothing is sent twice that need not be."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import orjson
import pytest
from aiormq.abc import DeliveredMessage
from redis.asyncio import Redis

from deploy.local.stack import Stack
from tests.brokers import declared, depth, raw_channel, send, take
from tests.makers import make_fields
from tests.system import FLAGS, running_system
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from tests.worker_process import WorkerProcess, worker_process
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE
from worker.core.outcome.outcome import ErrorClass
from worker.core.topology import DELIVERY_LIMIT, Topology
from worker.limiter.keys import Keys
from worker.limiter.ring import recent_slots
from worker.sandbox import Sandbox

TOPOLOGY = Topology()
DONE = TOPOLOGY.done_queue
#: Five calls at a time, each of a twentieth of a second: a hundred a second.
SLOW: Mapping[str, Any] = {"provider.concurrency": 5}
LATENCY_S = 0.05

Start: TypeAlias = Callable[..., AbstractAsyncContextManager[WorkerProcess]]


@pytest.fixture
def start(stack: Stack, tmp_path: Path, amqp_url: str, redis_url: str) -> Start:
    """Start a worker process against a sandbox."""
    addresses = {"broker.url": amqp_url, "redis.url": redis_url}

    def start(endpoint: str, *arguments: str, **settings: Any) -> AbstractAsyncContextManager[WorkerProcess]:
        log = tmp_path / f"{len(list(tmp_path.iterdir()))}.log"
        given = {**FLAGS, **addresses, "provider.endpoint": endpoint, **settings}
        return worker_process(log, stack.environment, given, *arguments)

    return start


async def publish(url: str, lane: Lane, *ids: str) -> None:
    bodies = [orjson.dumps(make_fields(lane, id=one, to=f"8529{number:07}")) for number, one in enumerate(ids, start=1)]
    await send(url, "sms.send", lane.value, *bodies, message_type=MESSAGE_TYPE)


async def done(url: str, ids: Collection[str], timeout: float = 30) -> list[str]:  # noqa: ASYNC109 - a test's deadline
    """Wait until each of *ids* is done; the request ids of all events, of which there may be more."""
    events: list[str] = []

    async def complete() -> bool:
        if waiting := await depth(url, DONE):
            events.extend(orjson.loads(event.body)["id"] for event in await take(url, DONE, waiting))
        return set(ids) <= set(events)

    await eventually(complete, timeout, f"{len(ids)} requests are done")
    return events


async def test_a_worker_that_is_told_to_drain_loses_nothing_and_sends_nothing_twice(
    start: Start, amqp_url: str
) -> None:
    ids = [f"r-{number}" for number in range(300)]
    async with Sandbox() as sandbox:
        sandbox.switch(latency_s=LATENCY_S)
        endpoint = await sandbox.start()
        async with start(endpoint, **SLOW) as leaver, start(endpoint, **SLOW) as stayer:
            await publish(amqp_url, Lane.NOTIFY, *ids)
            await eventually(lambda: leaver.lines("delivery.settled") and sandbox.account.calls > 100)
            leaver.terminate()
            assert await leaver.ended() == 0

            assert sorted(await done(amqp_url, ids)) == sorted(ids)
            assert (sandbox.account.calls, sandbox.account.accepted) == (len(ids), len(ids))
            assert sandbox.account.summary().duplicates == ()
            shares = [len(worker.lines("delivery.settled")) for worker in (leaver, stayer)]
            assert min(shares) > 0
            assert leaver.lines("worker.stopped")[0]["in_hand"] == 0


async def test_a_signal_after_the_goodbye_changes_no_exit_code(start: Start) -> None:
    """A supervisor that sends SIGTERM again just then would read that the worker was killed."""
    async with Sandbox() as sandbox, start(await sandbox.start()) as worker:
        worker.terminate()
        await worker.logged("worker.stopped")
        ending = asyncio.create_task(worker.ended())
        while not ending.done():
            with suppress(ProcessLookupError):
                worker.terminate()
            await asyncio.sleep(0.001)
        assert await ending == 0


async def test_a_second_signal_leaves_at_once_and_the_next_worker_finishes(start: Start, amqp_url: str) -> None:
    """And a worker for one lane leaves the other lanes alone."""
    ids = [f"r-{number}" for number in range(10)]
    async with Sandbox() as sandbox:
        endpoint = await sandbox.start()
        sandbox.switch(latency_s=20)
        patient = {"provider.concurrency": 2, "provider.read_timeout": "5s", "worker.grace": "30s"}
        async with start(endpoint, **patient) as hasty:
            await publish(amqp_url, Lane.NOTIFY, *ids)
            await eventually(lambda: sandbox.account.calls == 2)
            hasty.terminate()
            await hasty.logged("worker.draining")
            began = time.monotonic()
            hasty.terminate()
            assert await hasty.ended() == 4
            assert time.monotonic() - began < 5

        sandbox.switch(latency_s=0)
        await eventually(lambda: has(amqp_url, TOPOLOGY.lane_queue(Lane.NOTIFY), len(ids)), because="all are back")
        async with start(endpoint, "--lanes", "notify") as successor:
            assert (await successor.logged("worker.started"))["lanes"] == "notify"
            await publish(amqp_url, Lane.OTP, "otp")
            # Whoever leaves at once cannot know what became of the two calls in flight, and nobody makes them again.
            await eventually(lambda: has(amqp_url, TOPOLOGY.dead_queue(ErrorClass.UNKNOWN), 2), 30)
            await eventually(lambda: has(amqp_url, DONE, len(ids) - 2), 30)
            assert await depth(amqp_url, TOPOLOGY.lane_queue(Lane.OTP)) == 1
        assert (sandbox.account.accepted, sandbox.account.summary().duplicates) == (len(ids), ())


@pytest.mark.parametrize("comes_back", [True, False])
@pytest.mark.parametrize("lane", [Lane.OTP, Lane.NOTIFY])
async def test_a_drain_tells_redis_what_was_answered_while_it_was_away_or_says_that_it_could_not(
    start: Start, amqp_url: str, redis_url: str, lane: Lane, comes_back: bool
) -> None:
    async with Sandbox() as sandbox, TcpProxy(redis_url) as redis:
        endpoint = await sandbox.start()
        sandbox.switch(latency_s=1)
        settings = {"redis.url": redis.url, "worker.grace": "20s" if comes_back else "3s"}
        async with start(endpoint, **{"provider.read_timeout": "10s", **settings}) as worker:
            await publish(amqp_url, lane, "r-1")
            await eventually(lambda: sandbox.account.calls == 1)
            await redis.refuse()
            await redis.cut()
            assert await done(amqp_url, ["r-1"]) == ["r-1"]
            worker.terminate()
            await worker.logged("worker.draining")
            if comes_back:
                await redis.listen()
            assert await worker.ended() == (0 if comes_back else 4)
            assert [line["calls"] for line in worker.lines("limiter.untold")] == ([] if comes_back else [1])

        if comes_back:
            async with start(endpoint):
                await publish(amqp_url, lane, "r-1")
                assert await done(amqp_url, ["r-1"]) == ["r-1"]
            assert (sandbox.account.calls, sandbox.account.accepted) == (1, 1), "it was sent: nobody calls again"


async def test_a_request_that_was_in_hand_at_many_a_broken_connection_is_no_poison(start: Start, amqp_url: str) -> None:
    """It only waited: RabbitMQ counts each connection that ended with it in hand, and a copy counts from zero."""
    await declared(amqp_url, TOPOLOGY)
    await publish(amqp_url, Lane.NOTIFY, "r-1")
    async with Sandbox() as sandbox:
        endpoint = await sandbox.start()
        for _ in range(2):
            for _ in range(DELIVERY_LIMIT // 2):
                await hold_and_hang_up(amqp_url, *TOPOLOGY.queues_of(Lane.NOTIFY))
            sandbox.switch(account_code="AMOUNT_NOT_ENOUGH")
            async with start(endpoint) as worker:  # nothing can be sent: it waits
                await eventually(lambda: given_back(worker), because="a copy takes its place")
        for _ in range(DELIVERY_LIMIT // 2):
            await hold_and_hang_up(amqp_url, *TOPOLOGY.queues_of(Lane.NOTIFY))
        sandbox.switch(account_code=None)
        async with start(endpoint, **{"hold.first_probe": "200ms"}):
            assert await done(amqp_url, ["r-1"]) == ["r-1"]


def given_back(worker: WorkerProcess) -> bool:
    return any(line["disposition"] == "given_back" for line in worker.lines("delivery.settled"))


async def hold_and_hang_up(url: str, *queues: str) -> None:
    """Have the only message of *queues* in hand, and lose the channel."""
    async with raw_channel(url) as channel:
        arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        for queue in queues:
            await channel.basic_consume(queue, arrived.put)
        async with asyncio.timeout(10):
            await arrived.get()


async def has(url: str, queue: str, count: int) -> bool:
    return await depth(url, queue) == count


async def test_when_rabbitmq_comes_back_consumers_come_back_and_nothing_is_lost(
    start: Start, amqp_url: str, stack: Stack
) -> None:
    ids = [f"r-{number}" for number in range(200)]
    async with Sandbox() as sandbox:
        sandbox.switch(latency_s=LATENCY_S)
        async with start(await sandbox.start(), **SLOW) as worker:
            await publish(amqp_url, Lane.NOTIFY, *ids)
            await eventually(lambda: sandbox.account.calls > 50)
            await asyncio.to_thread(stack.rabbitmq.restart)

            events = await done(amqp_url, ids)
            assert set(events) == set(ids)
            assert (sandbox.account.accepted, sandbox.account.summary().duplicates) == (len(ids), ())
            assert len(worker.lines("broker.connected")) >= 4
            await publish(amqp_url, Lane.OTP, "afterwards")
            assert await done(amqp_url, ["afterwards"]) == ["afterwards"]
            worker.terminate()
            assert await worker.ended() == 0


async def test_while_redis_is_away_nothing_is_sent_and_the_worker_is_not_ready(
    amqp_url: str, redis_url: str, stack: Stack
) -> None:
    flags = {"quota.send_message_to_globe": 50}
    async with running_system(amqp_url, redis_url, flags=flags) as system, aiohttp.ClientSession() as client:

        async def is_ready() -> bool:
            async with client.get(f"{system.app.health.url}/readyz") as answer:
                return answer.status == 200

        account = system.sandbox.account
        await eventually(is_ready)
        for number in range(100):
            await system.publish("notify", make_fields(Lane.NOTIFY, id=f"r-{number}", to=f"8529{number:07}"))
        await eventually(lambda: account.calls > 20)
        await asyncio.to_thread(stack.redis.kill)
        try:
            calls = account.calls
            await eventually(lambda: not_(is_ready), because="the worker is not ready")
            assert account.calls - calls <= 1, "a call was on its way"
            calls = account.calls
            await asyncio.sleep(1)
            assert account.calls == calls
        finally:
            await asyncio.to_thread(stack.redis.start)

        assert await system.settled(100) == {"done": 100}
        assert (account.calls, account.summary().duplicates) == (100, ())
        await eventually(is_ready)


async def not_(condition: Callable[[], Any]) -> bool:
    return not await condition()


async def test_two_workers_share_one_quota_and_no_second_holds_more(
    start: Start, amqp_url: str, redis_url: str
) -> None:
    rate, seconds = 30, 6
    ids = [f"r-{number}" for number in range(rate * seconds)]
    await declared(amqp_url, TOPOLOGY)
    async with Sandbox() as sandbox:
        endpoint, quota = await sandbox.start(), {"quota.send_message_to_globe": rate}
        async with start(endpoint, **quota, **{"lanes.notify.prefetch": 50}) as one, start(endpoint, **quota) as other:
            for worker in (one, other):  # with a head start the first one would have them all
                await eventually(partial(worker.lines, "worker.started"))
            await publish(amqp_url, Lane.NOTIFY, *ids)
            assert sorted(await done(amqp_url, ids)) == sorted(ids)
            assert min(len(worker.lines("delivery.settled")) for worker in (one, other)) > 0
        account = sandbox.account.summary()

    async with Redis.from_url(redis_url) as client:
        slots, _ = await recent_slots(client, Keys("sms"), Operation.GLOBE)
    assert len(slots) >= account.calls == len(ids)
    assert min(late - early for early, late in zip(slots, slots[rate:], strict=False)) >= 1_000_000
    assert account.first_arrival is not None
    assert account.last_arrival is not None
    took_s = account.last_arrival - account.first_arrival
    assert took_s < 1.5 * seconds
    # Calls travel with a jitter of their own, so arrivals are told and not asserted.
    logging.getLogger(__name__).info(
        "%d calls in %.2f s, at most %d arrivals in a second", len(ids), took_s, account.worst_second_of_arrivals
    )
