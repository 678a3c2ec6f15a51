"""A worker whose log nobody reads goes on sending, answers its probes and leaves in time."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE

import aiohttp
import pytest

from tests.brokers import declared, filled, send_to
from tests.system import FLAGS
from tests.waiting import eventually
from worker.core.message.lane import Lane
from worker.core.topology import Topology
from worker.sandbox import Sandbox
from worker.settings.load import PREFIX

#: Seconds that a start, or sending, takes on a machine that is very busy.
PATIENCE_S = 30


def blocked() -> tuple[int, int]:
    """Both ends of a pipe that takes not one byte more."""
    out, into = os.pipe()
    os.set_blocking(into, False)
    try:
        while True:
            os.write(into, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(into, True)
    return out, into


async def told(url: str, path: str) -> tuple[int, str]:
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as client, client.get(url + path) as answer:
            return answer.status, await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        return 0, str(error)


@pytest.mark.parametrize("is_read", [True, False], ids=["stalled", "gone"])
async def test_a_log_that_nobody_reads_stops_nothing(
    amqp_url: str, redis_url: str, unused_tcp_port: int, *, is_read: bool
) -> None:
    await declared(amqp_url, Topology())
    out, into = blocked()
    if not is_read:
        os.close(out)
    async with Sandbox() as sandbox:
        given = {
            **FLAGS,
            "provider.endpoint": await sandbox.start(),
            "broker.url": amqp_url,
            "redis.url": redis_url,
            "http.port": unused_tcp_port,
            "log.level": "debug",
        }
        variables = {PREFIX + key.upper().replace(".", "__"): str(value) for key, value in given.items()}
        url = f"http://127.0.0.1:{unused_tcp_port}"
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "run"), stdout=into, stderr=PIPE, env={**os.environ, **variables}
        )
        os.close(into)
        try:

            async def is_ready() -> bool:
                return (await told(url, "/readyz"))[0] == 200

            await eventually(is_ready, PATIENCE_S, "ready")
            await send_to(amqp_url, Lane.NOTIFY, *(f"r-{number}" for number in range(15)))
            await filled(amqp_url, Topology().done_queue, 15)
            assert (await told(url, "/healthz"))[0] == 200
            if not is_read:
                assert "\nsms_log_lines_dropped_total 0.0" not in (await told(url, "/metrics"))[1]
            worker.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                _, complaints = await worker.communicate()
            assert (worker.returncode, complaints) == (0, b"")
        finally:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
            if is_read:
                os.close(out)
