"""How late a request comes whose time has come: when nothing else waits, and behind a backlog of its own lane.

Late is what lies between `not_before`, or the publication of a request without one, and the arrival of the call at the
sandbox.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from time import time
from typing import Any, Final

import orjson
from rich.table import Table

from tests.bench.bed import Bed
from tests.bench.programs import Machine
from worker.client import Publisher
from worker.core.message.lane import Lane

#: Schedules lie so far ahead when nothing else waits. Seconds.
_AHEAD_S: Final = (0.1, 5.0)
#: So many come first and are not counted: the worker starts, and every queue of the ladder is used for the first time.
_WARMING: Final = 100
#: Between two of them: the worker is idle. Seconds.
_APART_S: Final = 0.05
#: Between two passwords that are alone. Seconds.
_LONELY_S: Final = 0.2
#: And so far behind a backlog, from its last request on: by then the worker is at its quota.
_BEHIND_S: Final = (3.0, 8.0)
#: From the schedules to the backlog's first request: they have left their lane by then. Seconds.
_PARTING_S: Final = 3.0
#: What a backlog takes to be published, at the most. Seconds.
_FILLING_S: Final = 30.0
#: Beyond this nobody waits for the last of them. Seconds.
_PATIENCE_S: Final = 300.0
#: Between two looks at the sandbox's books, whose length costs the sandbox time. Seconds.
_LOOK_S: Final = 5.0
_SEED: Final = 8


@dataclass(frozen=True)
class Lateness:
    """What became of schedules."""

    name: str
    #: Milliseconds, in order; negative is too early.
    late_ms: Sequence[float]
    #: Part of the machine that other programs took.
    others: float

    @property
    def median(self) -> float:
        return quantiles(self.late_ms, n=100, method="inclusive")[49]

    @property
    def p99(self) -> float:
        return quantiles(self.late_ms, n=100, method="inclusive")[98]


async def idle(bed: Bed, schedules: int) -> Lateness:
    """Nothing waits but *schedules* whose times lie some seconds ahead."""
    dice = random.Random(_SEED)
    await bed.fill({})
    async with bed.worker() as worker, bed.publisher() as publisher:
        await _schedule(bed, publisher, _WARMING, dice)
        machine = Machine(bed.sandbox.pid, worker.pid)
        due = await _schedule(bed, publisher, schedules, dice)
        return await _late(bed, "nothing else waits", due, machine)


async def lone(bed: Bed, passwords: int) -> Lateness:
    """One password after the other, five a second, each to be sent at once."""
    await bed.fill({})
    async with bed.worker() as worker, bed.publisher() as publisher:
        await _send(bed, publisher, _WARMING)
        machine = Machine(bed.sandbox.pid, worker.pid)
        return await _late(bed, "passwords, 5/s, for now", await _send(bed, publisher, passwords), machine)


async def _send(bed: Bed, publisher: Publisher, passwords: int) -> dict[str, float]:
    sent = dict[str, float]()
    for _ in range(passwords):
        sent |= await bed.publish(publisher, Lane.OTP)
        await asyncio.sleep(_LONELY_S)
    return sent


async def behind(bed: Bed, schedules: int, *, backlog: int, rate: int) -> Lateness:
    """The times of *schedules* come while *backlog* requests of the same lane wait for a quota of *rate*."""
    dice = random.Random(_SEED)
    await bed.fill({})
    async with bed.worker(quota__send_message_to_globe=rate) as worker, bed.publisher() as publisher:
        machine, due = Machine(bed.sandbox.pid, worker.pid), dict[str, float]()
        first = time() + _PARTING_S + _FILLING_S
        for _ in range(schedules):
            instant = first + dice.uniform(*_BEHIND_S)
            due |= await bed.publish(publisher, Lane.MARKETING, not_before=datetime.fromtimestamp(instant, UTC))
        await asyncio.sleep(_PARTING_S)
        await bed.add({Lane.MARKETING: backlog + round(rate * _FILLING_S)}, publisher)
        return await _late(bed, f"{backlog} of the same lane, {rate}/s", due, machine)


async def _schedule(bed: Bed, publisher: Publisher, schedules: int, dice: random.Random) -> dict[str, float]:
    """Publish so many, one after the other; returns when the last of them should have come."""
    due = dict[str, float]()
    for _ in range(schedules):
        due |= await bed.publish(publisher, Lane.NOTIFY, not_before=_in(dice.uniform(*_AHEAD_S)))
        await asyncio.sleep(_APART_S)
    await asyncio.sleep(_AHEAD_S[1])
    return due


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def _late(bed: Bed, name: str, due: dict[str, float], machine: Machine) -> Lateness:
    """Wait until all of *due* have arrived; raises TimeoutError when they do not."""
    last = max(due.values())
    await asyncio.sleep(max(last - time(), 0) + _LOOK_S)
    async with asyncio.timeout(_PATIENCE_S):
        while len(found := await _arrived(bed, due)) < len(due):
            await asyncio.sleep(_LOOK_S)
    late = sorted((found[one] - instant) * 1000 for one, instant in due.items())
    return Lateness(name, late, machine.others())


async def _arrived(bed: Bed, due: dict[str, float]) -> dict[str, float]:
    async with bed.http.get(f"{bed.endpoint}/sandbox/calls") as response:
        calls: list[dict[str, Any]] = [orjson.loads(line) for line in (await response.read()).splitlines()]
    return {call["task_id"]: call["arrived"] for call in calls if call["task_id"] in due}


def table(rows: Sequence[Lateness]) -> Table:
    """One row for each situation."""
    shown = Table(title="Lateness of what is due, ms after not_before or the publication")
    for column in ("while", "requests", "first", "p50", "p99", "last", "others'\nCPU"):
        shown.add_column(column, justify="left" if column == "while" else "right")
    for row in rows:
        figures = (row.late_ms[0], row.median, row.p99, row.late_ms[-1])
        shown.add_row(row.name, str(len(row.late_ms)), *(f"{figure:.0f}" for figure in figures), f"{row.others:.0%}")
    return shown
