"""Each of the worker's three connections is cut, delayed and half-closed under load; it recovers by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import pytest

from tests.faults.outages import Outage, table
from tests.faults.requests import Mix
from tests.faults.scene import Scene, Stage
from tests.faults.size import SEED, SIZE
from tests.tcp_proxy import TcpProxy

#: Seconds: shorter than every timeout, and longer than those of Redis and the provider.
DELAY_S, STALL_S = 0.2, 1.2
#: Seconds within which the worker is at its full rate again, however often something broke before.
RECOVERY_S = 15


async def cut(proxy: TcpProxy) -> None:
    """Every connection is reset."""
    await proxy.cut()


async def refuse(proxy: TcpProxy) -> None:
    """Every connection is reset, and for a while nobody listens."""
    await proxy.refuse()
    await proxy.cut()
    await asyncio.sleep(STALL_S)
    await proxy.listen()


async def delay(proxy: TcpProxy) -> None:
    """Nothing comes through for a moment."""
    proxy.pause()
    await asyncio.sleep(DELAY_S)
    proxy.resume()


async def stall(proxy: TcpProxy) -> None:
    """Nothing comes through for longer than anybody waits, and then all of it."""
    proxy.pause()
    await asyncio.sleep(STALL_S)
    proxy.resume()


async def half_close(proxy: TcpProxy) -> None:
    """Both sides are told that the other one has said everything."""
    proxy.half_close()


FAULTS: Final[Mapping[str, Callable[[TcpProxy], Awaitable[None]]]] = {
    "cut": cut,
    "refused": refuse,
    "delayed": delay,
    "stalled": stall,
    "half-closed": half_close,
}


@pytest.mark.timeout(120 + 2 * RECOVERY_S * SIZE.rounds * len(FAULTS))
@pytest.mark.parametrize("neighbour", ["broker", "redis"])
async def test_whatever_happens_to_the_connection_to_a_server_nothing_is_lost_or_sent_twice(
    stage: Stage, show: Callable[[str], None], neighbour: str
) -> None:
    """Every call is answered, so none is unknown; what the publisher published twice is sent once, too."""
    async with stage.scene(Mix(SEED, faults=False), neighbour) as scene:
        outages = await _broken(scene, neighbour)
        verdict = await scene.verdict()

    show(table(f"The connection to {neighbour}", outages, verdict))
    assert verdict.agrees, str(verdict)
    assert (verdict.twice, verdict.resends) == ({}, 0)
    assert scene.proxies[neighbour].accepted >= 2 * SIZE.rounds * 3, "it did not connect again"


@pytest.mark.timeout(120 + 2 * RECOVERY_S * SIZE.rounds * len(FAULTS))
async def test_whatever_happens_to_the_connection_to_the_provider_what_is_sent_twice_is_what_the_metric_counts(
    stage: Stage, show: Callable[[str], None]
) -> None:
    """No id is published twice here: each copy would tell of the same unknown call, and be counted."""
    async with stage.scene(Mix(SEED, faults=False, repeats=False), "provider") as scene:
        outages = await _broken(scene, "provider")
        await scene.settled()
        resent = await scene.metric("sms_unknown_resent_total")
        verdict = await scene.verdict()

    show(table("The connection to the provider", outages, verdict))
    assert verdict.agrees, str(verdict)
    assert verdict.resends == resent > 0
    assert len(verdict.twice) <= resent
    assert verdict.depths["dead.unknown"] > 0


async def _broken(scene: Scene, neighbour: str) -> dict[str, list[Outage]]:
    """Break the connection to *neighbour* in every way under load."""
    outages: dict[str, list[Outage]] = {name: [] for name in FAULTS}
    async with scene.load():
        for _ in range(SIZE.rounds):
            for name, fault in FAULTS.items():
                began = time.monotonic()
                await fault(scene.proxies[neighbour])
                lasted_s = time.monotonic() - began
                outages[name].append(Outage(lasted_s, await scene.full_rate(RECOVERY_S)))
    assert len(scene.zygote.lines("worker.started")) == 1
    return outages
