"""Many one-time passwords to one number at once: how often each is delivered, and how late those are that are sent.

Two workers. Counted in their logs: the closing lines of all deliveries, and with each delay the levels of the ladder
that it takes.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import orjson
from rich.table import Table

from tests.bench.bed import AMQP_URL, Bed, bed
from tests.bench.programs import Program
from worker.broker.depths import depths
from worker.client import Publisher
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES
from worker.core.topology import Topology

_WORKERS: Final = 2
_NUMBER: Final = "+85250000001"
#: Seconds without an outcome after which the rest is given up.
_PATIENCE_S: Final = 240


@dataclass(frozen=True)
class Windows:
    """What the number is limited by, as the operator writes it."""

    name: str
    toml: str
    #: One window that decides when each may be sent at the earliest.
    limit: int
    period_s: float


SHORT: Final = Windows(
    "5 per 10 s",
    '[lanes.otp]\nlifetime = "1h"\n[[limits.recipient]]\nlimit = 5\nperiod = "10s"\nlanes = ["otp"]\n',
    5,
    10,
)
DEFAULT: Final = Windows("as shipped", "", 1, 30)


@dataclass(frozen=True)
class Burst:
    """What became of one burst."""

    windows: Windows
    requests: int
    sent: int
    dead: int
    #: Deliveries of each request.
    trips: Sequence[int]
    hops: int
    #: Seconds after the instant at which each call could have been made.
    late_s: Sequence[float]
    #: Most calls in a period, wherever it begins.
    most: int
    seconds: float


async def compare(show: Callable[[Table], None], requests: int, before: Path | None) -> None:
    """Show one burst for each choice of windows, with this version and the one in the folder *before*."""
    bursts: list[tuple[str, Burst]] = []
    for windows in (DEFAULT, SHORT):
        for name, checkout in (("now", None), ("before", before)):
            if name == "now" or before is not None:
                async with bed() as ground:
                    bursts.append((name, await burst(ground, windows, requests, checkout)))
    show(table(bursts))


async def burst(ground: Bed, windows: Windows, requests: int, checkout: Path | None = None) -> Burst:
    """Publish *requests* passwords to one number, and wait until each has its outcome."""
    await ground.fill({})
    config = ground.directory / "burst.toml"
    config.write_text(windows.toml, "utf-8")
    module = ("worker", "--config", str(config), "run")
    async with AsyncExitStack() as stack:
        running = [ground.worker(f"worker-{n}", module, checkout) for n in range(_WORKERS)]
        workers = [await stack.enter_async_context(worker) for worker in running]
        await asyncio.sleep(3)  # they consume
        async with Publisher(AMQP_URL, ground.topology.namespace) as publisher:
            await asyncio.gather(*(publisher.publish(_request(number)) for number in range(requests)))
        await _settled(ground, requests, workers)
    arrived = sorted(await ground.arrivals())
    lines = [line for worker in workers for line in _lines(worker)]
    trips = Counter(line["request_id"] for line in lines)
    could = [arrived[0] + index // windows.limit * windows.period_s for index in range(len(arrived))]
    return Burst(
        windows,
        requests,
        len(arrived),
        await _dead(ground),
        sorted(trips.values()),
        sum(_levels(line["delay_s"]) for line in lines if line.get("delay_s")),
        [at - soonest for at, soonest in zip(arrived, could, strict=True)],
        max(sum(begin <= at < begin + windows.period_s for at in arrived) for begin in arrived),
        arrived[-1] - arrived[0],
    )


def _levels(delay_s: float) -> int:
    """How many levels of this version's ladder a delay passes."""
    return Topology().to_lane_after(timedelta(seconds=delay_s), Lane.OTP).key.split(".").count("1")


def _request(number: int) -> dict[str, Any]:
    return {"id": f"burst-{number}", "to": _NUMBER, "type": "OTP", "text": f"Your code is {number:06d}."}


async def _settled(ground: Bed, requests: int, workers: Sequence[Program]) -> None:
    quiet, before = 0, -1
    while (settled := await ground.done() + await _dead(ground)) < requests and quiet < _PATIENCE_S:
        quiet, before = (quiet + 1, before) if settled == before else (0, settled)
        await asyncio.sleep(1)
        for worker in workers:
            worker.cpu()


async def _dead(ground: Bed) -> int:
    found = await depths(ground.channel, [ground.topology.dead_queue(one) for one in DEAD_CLASSES])
    return sum(depth.messages for depth in found.values())


def _lines(worker: Program) -> list[dict[str, Any]]:
    lines = [line for line in worker.log.read_text("utf-8").splitlines() if line.startswith("{")]
    return [read for read in map(orjson.loads, lines) if read.get("event") == "delivery.settled"]


def table(rows: Sequence[tuple[str, Burst]]) -> Table:
    """One column for each burst."""
    shown = Table(title="Passwords to one number at once")
    for column in ("", *(f"{name}: {row.windows.name}" for name, row in rows)):
        shown.add_column(column, justify="right" if column else "left")
    for words, values in (
        ("requests", [row.requests for _, row in rows]),
        ("sent", [row.sent for _, row in rows]),
        ("dead-lettered", [row.dead for _, row in rows]),
        ("deliveries", [sum(row.trips) for _, row in rows]),
        ("deliveries of one request at most", [max(row.trips) for _, row in rows]),
        ("requests delivered more than twice", [sum(trips > 2 for trips in row.trips) for _, row in rows]),
        ("passes of a level of the ladder", [row.hops for _, row in rows]),
        ("most calls in a period", [row.most for _, row in rows]),
        ("late at most, s", [f"{max(row.late_s):.2f}" for _, row in rows]),
        ("late in the middle, s", [f"{sorted(row.late_s)[len(row.late_s) // 2]:.2f}" for _, row in rows]),
        ("from the first call to the last, s", [f"{row.seconds:.1f}" for _, row in rows]),
    ):
        shown.add_row(words, *map(str, values))
    return shown
