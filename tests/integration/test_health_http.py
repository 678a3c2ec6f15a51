"""The operator's probes over real HTTP on a loopback port."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from worker.core.limits.holds import ACCOUNT, Hold, HoldName
from worker.core.outcome.outcome import Scope
from worker.errors import WorkerError
from worker.settings.sections import HttpSettings
from worker.telemetry.gauges import Snapshot
from worker.telemetry.health import Conditions, Health

ABLE = Snapshot(consuming=True, publishing=True, limiter=True)
HOLDS = (Hold(ACCOUNT, "AMOUNT_NOT_ENOUGH", 60.0), Hold(HoldName(Scope.SENDER, "ACME"), "INVALID_SENDERID", 60.0))


class Served:
    """A running server and the state that it tells."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self.client, self.now = client, ABLE
        self.health = Health(HttpSettings(port=0), self.conditions, lambda: (b"sms 1\n", "text/plain; version=1.0.0"))

    def conditions(self) -> Conditions:
        return self.now.conditions()

    async def get(self, path: str) -> tuple[int, aiohttp.ClientResponse]:
        response = await self.client.get(self.health.url + path)
        await response.read()
        return response.status, response


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with aiohttp.ClientSession() as client:
        served = Served(client)
        await served.health.start()
        yield served
        await served.health.aclose()


async def test_a_worker_that_can_take_and_settle_is_ready(served: Served) -> None:
    status, response = await served.get("/readyz")

    assert status == 200
    assert await response.json() == {
        "ready": True,
        "conditions": {
            "broker_consuming": True,
            "broker_publishing": True,
            "broker_not_blocked": True,
            "outcomes_told": True,
            "limiter_available": True,
            "not_draining": True,
            "not_braked": True,
            "brake": "released",
            "intake_paused": "no",
            "account_held": "no",
            "held": "nothing",
        },
    }


@pytest.mark.parametrize(
    ("state", "condition"),
    [
        (replace(ABLE, consuming=False), "broker_consuming"),
        (replace(ABLE, publishing=False), "broker_publishing"),
        (replace(ABLE, blocked=True), "broker_not_blocked"),
        (replace(ABLE, telling=False), "outcomes_told"),
        (replace(ABLE, limiter=False), "limiter_available"),
        (replace(ABLE, draining=True), "not_draining"),
        (replace(ABLE, braked="60 of 100 dead, mostly invalid INVALID_PARAMETERS"), "not_braked"),
    ],
)
async def test_a_worker_that_cannot_is_not_ready_and_says_why(served: Served, state: Snapshot, condition: str) -> None:
    served.now = state
    status, response = await served.get("/readyz")
    answer = await response.json()

    assert (status, answer["ready"]) == (503, False)
    assert [condition] == [name for name, holds in answer["conditions"].items() if holds is False]


async def test_a_held_account_is_shown_and_stays_ready(served: Served) -> None:
    served.now = replace(ABLE, holds=HOLDS, standstill="held")
    status, response = await served.get("/readyz")
    conditions = (await response.json())["conditions"]

    assert (status, conditions["account_held"], conditions["intake_paused"]) == (200, "AMOUNT_NOT_ENOUGH", "held")
    assert conditions["held"] == "account, sender ACME"


async def test_a_turning_loop_is_alive_and_one_that_was_stuck_is_not(served: Served) -> None:
    alive, _ = await served.get("/healthz")
    served.health._ticked -= 60  # as if the loop had not turned for a minute
    stuck, _ = await served.get("/healthz")

    assert (alive, stuck) == (200, 503)


async def test_metrics_are_served_in_prometheus_words(served: Served) -> None:
    status, response = await served.get("/metrics")

    assert (status, await response.read()) == (200, b"sms 1\n")
    assert response.headers["Content-Type"] == "text/plain; version=1.0.0"


async def test_a_taken_port_is_said_and_a_closed_server_is_gone(served: Served) -> None:
    port = int(served.health.url.rpartition(":")[2])
    with pytest.raises(WorkerError, match=rf"cannot listen on 127.0.0.1 port {port}: Address already in use"):
        await Health(HttpSettings(port=port), dict, lambda: (b"", "text/plain")).start()

    await served.health.aclose()
    await served.health.aclose()

    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)
