"""The account can send nothing for a while, with a great backlog: what it costs, and how it comes back.

Four workers under a backlog. The sandbox answers every call with one code of class account, for a minute; then it is
well again. Counted at the sandbox: the calls that were wasted. Read from the broker: what was dead-lettered.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any, Final

import orjson
from rich.table import Table

from tests.bench.bed import Bed
from tests.bench.programs import Program
from worker.broker.depths import depths
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES

_WORKERS: Final = 4
#: Full rate: so much of the quota within one second.
_FULL: Final = 0.95
#: Seconds before the account fails, and at most until it is at full rate again.
_BEFORE_S: Final = 10
_AFTER_S: Final = 90
_KIB: Final = 1024


@dataclass(frozen=True)
class Standstill:
    """One standstill."""

    code: str
    rate: int
    backlog: int
    seconds: float
    #: Calls that arrived while nothing could succeed.
    wasted: int
    dead: int
    #: Deliveries that were in the workers' hands in the middle of it, and requests that lay ready in the lanes.
    in_hand: int
    ready: int
    #: Seconds from the account's recovery to the first acceptance, and to the full rate.
    first_s: float
    full_s: float
    #: MiB of the largest worker: before, and the most during the standstill.
    before_mib: float
    most_mib: float


async def standstill(bed: Bed, *, backlog: int, rate: int, code: str, seconds: float) -> Standstill:
    """Let *code* answer every call for *seconds*."""
    await bed.fill({Lane.NOTIFY: backlog // 2, Lane.MARKETING: backlog - backlog // 2})
    async with AsyncExitStack() as stack:
        running = [bed.worker(f"worker-{n}", quota__send_message_to_globe=rate) for n in range(_WORKERS)]
        workers = [await stack.enter_async_context(worker) for worker in running]
        while (await bed.account())["accepted"] < rate * _BEFORE_S:
            await _alive(workers)
        before = _largest(workers)
        failed = await _switch(bed, code)
        most, in_hand, ready = before, 0, 0
        while (left := failed + seconds - time()) > 0:
            await _alive(workers)
            most = max(most, _largest(workers))
            if left > seconds / 2:
                ready = await bed.waiting()
                in_hand = backlog - ready - (await bed.account())["accepted"]
        well = await _switch(bed, None)
        full_s = None
        while full_s is None and time() < well + _AFTER_S:
            await _alive(workers)
            full_s = _full_rate(await _calls(bed), rate, well)
        calls = await _calls(bed)
        dead = await depths(bed.channel, [bed.topology.dead_queue(one) for one in DEAD_CLASSES])
    after = [call["arrived"] for call in calls if call["arrived"] >= well]
    return Standstill(
        code,
        rate,
        backlog,
        well - failed,
        sum(failed <= call["arrived"] < well for call in calls),
        sum(depth.messages for depth in dead.values()),
        in_hand,
        ready,
        min(after) - well if after else float("nan"),
        float("nan") if full_s is None else full_s,
        before,
        most,
    )


def _full_rate(calls: Sequence[dict[str, Any]], rate: int, since: float) -> float | None:
    """Seconds from *since* to the end of the first second with nearly *rate* arrivals."""
    wanted = int(rate * _FULL)
    after = [call["arrived"] for call in calls if call["arrived"] >= since]
    return next((end - since for begin, end in zip(after, after[wanted - 1 :], strict=False) if end - begin <= 1), None)


async def _switch(bed: Bed, code: str | None) -> float:
    body = orjson.dumps({"account_code": code})
    async with bed.http.put(f"{bed.endpoint}/sandbox/settings", data=body) as response:
        response.raise_for_status()
    return time()


async def _calls(bed: Bed) -> list[dict[str, Any]]:
    async with bed.http.get(f"{bed.endpoint}/sandbox/calls") as response:
        return [orjson.loads(line) for line in (await response.read()).splitlines()]


async def _alive(workers: Sequence[Program]) -> None:
    await asyncio.sleep(0.5)
    for worker in workers:
        worker.cpu()


def _largest(workers: Sequence[Program]) -> float:
    return max(_resident_mib(worker.pid) for worker in workers)


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / _KIB


def table(rows: Sequence[Standstill]) -> Table:
    """One column for each standstill."""
    shown = Table(title=f"{_WORKERS} workers while the account can send nothing")
    for column in ("", *(row.code for row in rows)):
        shown.add_column(column, justify="right" if column else "left")
    for name, values in (
        ("calls per second", [f"{row.rate}" for row in rows]),
        ("requests waiting at the start", [f"{row.backlog}" for row in rows]),
        ("seconds", [f"{row.seconds:.0f}" for row in rows]),
        ("calls wasted", [f"{row.wasted}" for row in rows]),
        ("dead-lettered", [f"{row.dead}" for row in rows]),
        ("in the workers' hands meanwhile", [f"{row.in_hand}" for row in rows]),
        ("ready in the lanes meanwhile", [f"{row.ready}" for row in rows]),
        ("seconds to the first acceptance", [f"{row.first_s:.1f}" for row in rows]),
        ("seconds to the full rate", [f"{row.full_s:.1f}" for row in rows]),
        ("MiB of the largest worker before", [f"{row.before_mib:.0f}" for row in rows]),
        ("MiB of it at most", [f"{row.most_mib:.0f}" for row in rows]),
    ):
        shown.add_row(name, *values)
    return shown
