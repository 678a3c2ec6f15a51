"""An address that accepts a connection and closes it at once, as any balancer does whose backend is away."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop

from deploy.local.stack import Stack
from tests.balancer import Balancer
from tests.brokers import TOPOLOGY, Recorder, declared, outgoing, settings_for
from tests.fakes import RecordingEvents
from tests.foul_proxy import Blow, Foul, FoulProxy
from tests.system import FLAGS
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from tests.worker_process import worker_process
from worker.broker.connection import connected
from worker.broker.consumer import Intake
from worker.broker.publisher import BrokerPublisher
from worker.core.message.lane import Lane
from worker.errors import BrokerUnavailable

#: Connections that are closed before the broker is back.
MOST = 5


def at(url: str, port: int) -> str:
    """The address of *url* on another port."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"guest:guest@127.0.0.1:{port}").geturl()


def test_connecting_fails_by_an_error_of_ours_each_time() -> None:
    async def connect(port: int) -> None:
        for _ in range(20):
            with pytest.raises(BrokerUnavailable):
                async with connected(settings_for(f"amqp://127.0.0.1:{port}/"), "operate"):
                    pass

    with Balancer() as balancer, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(connect(balancer.port))


def test_both_connections_are_tried_until_the_broker_is_back(amqp_url: str) -> None:
    async def live(balancer: Balancer) -> None:
        settings, events = settings_for(at(amqp_url, balancer.port)), RecordingEvents()
        await declared(amqp_url)
        publisher = BrokerPublisher(settings, TOPOLOGY, events)
        intake = Intake(settings, TOPOLOGY, dict.fromkeys(Lane, 1), Recorder(), events)
        parts = [asyncio.create_task(publisher.run()), asyncio.create_task(intake.run())]
        await eventually(lambda: balancer.accepted >= 2 * MOST, 60)
        balancer.close()
        async with TcpProxy(amqp_url, balancer.port):
            await eventually(lambda: intake.is_consuming and publisher.is_connected, 60)
            await publisher.publish(outgoing(TOPOLOGY.to_done(Lane.OTP)))
            assert not any(part.done() for part in parts)
            for part in parts:
                part.cancel()
            await asyncio.wait(parts)
        assert {fields["role"] for fields in events.named("broker.lost")} == {"consume", "publish"}

    with Balancer() as balancer, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(live(balancer))


@pytest.mark.slow
async def test_a_worker_waits_behind_a_balancer_and_starts_when_the_broker_is_back(
    stack: Stack, tmp_path: Path, amqp_url: str, redis_url: str
) -> None:
    log = tmp_path / "worker.log"

    async def come_back(balancer: Balancer, proxy: TcpProxy) -> None:
        await eventually(lambda: balancer.accepted >= MOST, 60)
        balancer.close()
        await proxy.listen()

    with Balancer() as balancer:
        proxy = TcpProxy(amqp_url, balancer.port)
        coming = asyncio.create_task(come_back(balancer, proxy))
        given: Mapping[str, Any] = {
            **FLAGS,
            "broker.url": at(amqp_url, balancer.port),
            "redis.url": redis_url,
            "broker.reconnect_pause": "20ms",
        }
        try:
            async with worker_process(log, stack.environment, given) as worker:
                worker.terminate()
                assert await worker.ended() == 0
                assert len(worker.lines("broker.lost")) >= MOST - 1
        finally:
            await coming
            await proxy.__aexit__()


@pytest.mark.slow
@pytest.mark.parametrize(
    "blow",
    [Blow(Foul.RESET, 2), Blow(Foul.NOISE, 40), Blow(Foul.STALL, 70), Blow(Foul.WRONG, 30), Blow(Foul.CLOSE, 3)],
    ids=str,
)
async def test_a_worker_starts_however_its_first_connections_end_and_leaves_in_good_order(
    stack: Stack, tmp_path: Path, amqp_url: str, redis_url: str, blow: Blow
) -> None:
    async with FoulProxy(amqp_url, blow, most=2) as proxy:
        given = {**FLAGS, "broker.url": proxy.url, "redis.url": redis_url, "broker.reconnect_pause": "20ms"}
        given |= {"broker.heartbeat": "1s", "broker.connect_timeout": "1s"}
        async with worker_process(tmp_path / "worker.log", stack.environment, given) as worker:
            await eventually(proxy.struck.is_set, 60)
            worker.terminate()
            assert await worker.ended() == 0


@pytest.mark.slow
async def test_a_worker_whose_heartbeats_expire_in_its_drain_leaves_in_good_order(
    stack: Stack, tmp_path: Path, amqp_url: str, redis_url: str
) -> None:
    """The library then cancels whoever waits for an answer."""
    async with TcpProxy(amqp_url) as proxy:
        given = {**FLAGS, "broker.url": proxy.url, "redis.url": redis_url, "broker.heartbeat": "1s"}
        async with worker_process(tmp_path / "worker.log", stack.environment, given) as worker:
            proxy.pause()
            await asyncio.sleep(4)  # of the six seconds after which the silence is noticed
            worker.terminate()
            assert await worker.ended() == 0
            assert not worker.lines("broker.failed")
