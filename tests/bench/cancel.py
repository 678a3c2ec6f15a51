"""What a cancel costs, and that it holds: many wait, and a part of them is cancelled while others are sent.

Two questions. Was anything called for after its cancel was answered, as the sandbox saw it? And how much of the quota
do the requests that are refused at their turn use up, until the last of them is gone?
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import time
from typing import Any, Final

import orjson
from rich.table import Table

from tests.bench.accuracy import free_port, slots_of
from tests.bench.bed import REDIS_URL, Bed, bed
from tests.bench.programs import Machine, Program
from worker.core.limits.cancels import Cancel
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.settings.load import PREFIX

_WORKERS: Final = 2
_RATE: Final = 200
_WAITING: Final = 50_000
_CANCELLED: Final = 10_000
#: Sent before the first that is cancelled: both workers are at their quota.
_BEFORE: Final = 1_400
#: When both workers are at it, and when the command runs: the first of those that it cancels are being sent. Seconds
#: after the first call; what is burnt in between is for comparison.
_STEADY_S: Final = 2.0
_COMMAND_S: Final = 8.0
_CAMPAIGN: Final = "spring"
#: Until all that is cancelled is gone, at the most. Seconds.
_PATIENCE_S: Final = 300.0


@dataclass(frozen=True)
class Case:
    """Which requests are cancelled, and how."""

    name: str
    #: One of so many from the first on.
    every: int
    by_campaign: bool = False


CASES: Final = (
    Case("ids in a row", 1),
    Case("every second id", 2),
    Case("a campaign in a row", 1, by_campaign=True),
)


@dataclass(frozen=True)
class Result:
    """What was seen."""

    case: Case
    #: Seconds that the command took, from its start to its answer.
    took_s: float
    #: What was answered for how many ids; of a campaign, how many of it ended so.
    answers: Counter[str]
    #: Calls for what was answered to be cancelled: of an id at any time, of a campaign after the answer.
    sent: int
    #: From the first outcome of one that was cancelled until the last of them had its own. Seconds.
    gone_s: float
    #: Slots in that time, by what became of them; and in some seconds before.
    slots: dict[str, int]
    slots_before: dict[str, int]
    #: Calls in that time.
    calls: int
    #: Part of the machine that other programs took.
    others: float

    @property
    def used(self) -> float:
        return self.calls / (_RATE * self.gone_s)


async def compare(show: Callable[[object], None], before: Path | None) -> None:
    """Each case on a bed of its own, with workers of *before*, another version's folder, as well."""
    results = []
    for case, (name, checkout) in product(CASES, (("before", before), ("now", None))):
        if name == "now" or before is not None:
            async with bed() as ground:
                results.append((name, await run(ground, case, checkout)))
    show(table(results))


async def run(ground: Bed, case: Case, checkout: Path | None = None) -> Result:
    """Let requests wait, send, cancel, and look on until everything that was cancelled is gone."""
    await ground.fill({})
    chosen = [f"bench-{_BEFORE + number * case.every}" for number in range(_CANCELLED)]
    async with ground.publisher() as publisher:
        await ground.add({Lane.MARKETING: _BEFORE}, publisher)
        await ground.add({Lane.MARKETING: _CANCELLED * case.every}, publisher, metadata={"campaign": _CAMPAIGN})
        await ground.add({Lane.MARKETING: _WAITING - _BEFORE - _CANCELLED * case.every}, publisher)
    while await ground.waiting() < _WAITING:
        await asyncio.sleep(0.1)
    ids = ground.directory / "ids.txt"
    ids.write_text("\n".join(chosen), "utf-8")
    async with AsyncExitStack() as stack:
        ports = [free_port() for _ in range(_WORKERS)]
        flags: dict[str, Any] = {"quota__send_message_to_globe": _RATE}
        running = [ground.worker(f"worker-{port}", checkout=checkout, http__port=port, **flags) for port in ports]
        workers = [await stack.enter_async_context(each) for each in running]
        while not (first := (await ground.account())["first_arrival"]):
            await asyncio.sleep(0.1)
        await asyncio.sleep(max(0.0, first + _STEADY_S - time()))
        machine = Machine(ground.sandbox.pid, *(worker.pid for worker in workers))
        steady = await slots_of(ground, ports)
        await asyncio.sleep(max(0.0, first + _COMMAND_S - time()))
        quiet, began = await slots_of(ground, ports), time()
        wanted = ("--campaign", _CAMPAIGN) if case.by_campaign else ("--file", str(ids))
        command = asyncio.create_task(_command(ground, *wanted))
        ends = _Ends(workers)
        await ends.wait(lambda: ErrorClass.CANCELLED in ends.of.values(), began + _PATIENCE_S)
        before, met = await slots_of(ground, ports), time()
        answered, rows = await command
        await ends.wait(lambda: all(name in ends.of for name in chosen), began + _PATIENCE_S)
        ended, after, others = time(), await slots_of(ground, ports), machine.others()
        await asyncio.sleep(2.0)
        calls = await ground.calls()
    arrived = {call["task_id"]: call["arrived"] for call in calls}
    if case.by_campaign:
        answers = Counter(ends.of.get(name, "not settled") for name in chosen)
        sent = sum(arrived.get(name, 0.0) > answered for name in chosen)
    else:
        answers = Counter(row["result"] for row in rows)
        sent = sum(row["result"] == Cancel.CANCELLED and row["id"] in arrived for row in rows)
    return Result(
        case,
        answered - began,
        answers,
        sent,
        ended - met,
        {name: after[name] - before[name] for name in after},
        {name: quiet[name] - steady[name] for name in quiet},
        sum(met <= call["arrived"] < ended for call in calls),
        others,
    )


async def _command(ground: Bed, *wanted: str) -> tuple[float, list[dict[str, Any]]]:
    """Run ``sms-worker cancel``; returns when it began to answer, and its answers."""
    settings = {"redis__url": REDIS_URL, "redis__namespace": ground.topology.namespace}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "cancel", *wanted, "--json"),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {PREFIX + key.upper(): value for key, value in settings.items()},
    )
    if process.stdout is None:
        raise RuntimeError("it has no output")
    first = await process.stdout.readline()
    answered = time()
    lines = [first, *(await process.stdout.read()).splitlines()]
    await process.wait()
    return answered, [orjson.loads(line) for line in lines]


class _Ends:
    """What became of requests, as the workers' logs tell; they are read on from where they were read to."""

    def __init__(self, workers: Sequence[Program]) -> None:
        self._read = dict.fromkeys((worker.log for worker in workers), 0)
        #: The class of each request that is done, by its id.
        self.of: dict[str, str] = {}

    def look(self) -> None:
        """Read on."""
        for log, start in self._read.items():
            with log.open("rb") as file:
                file.seek(start)
                lines = file.read()
            whole = lines[: lines.rfind(b"\n") + 1]
            self._read[log] = start + len(whole)
            for line in whole.splitlines():
                if b'"delivery.settled"' in line and (fields := orjson.loads(line)).get("disposition") == "done":
                    self.of[fields["request_id"]] = fields["error_class"]

    async def wait(self, condition: Callable[[], bool], until: float) -> None:
        """Read on until *condition* holds, or the instant *until*."""
        self.look()
        while time() < until and not condition():
            await asyncio.sleep(0.05)
            self.look()


def _burnt(slots: Mapping[str, int]) -> str:
    return f"{slots['burnt']} of {sum(slots.values())}, {slots['burnt'] / max(1, sum(slots.values())):.1%}"


def table(results: Sequence[tuple[str, Result]]) -> Table:
    """One column for each case."""
    rows = [row for _, row in results]
    shown = Table(title=f"{_CANCELLED} of {_WAITING} that wait are cancelled, {_WORKERS} workers, {_RATE} a second")
    for column in ("", *(f"{name}: {row.case.name}" for name, row in results)):
        shown.add_column(column, justify="right" if column else "left")
    for words, values in (
        ("the command took, s", [f"{row.took_s:.1f}" for row in rows]),
        *((word, [str(row.answers[word]) for row in rows]) for word in sorted({w for r in rows for w in r.answers})),
        ("called for after the answer", [str(row.sent) for row in rows]),
        ("from the first of them gone to the last, s", [f"{row.gone_s:.1f}" for row in rows]),
        ("slots burnt meanwhile", [_burnt(row.slots) for row in rows]),
        ("slots burnt before the command", [_burnt(row.slots_before) for row in rows]),
        ("quota used meanwhile", [f"{row.used:.1%}" for row in rows]),
        ("others' CPU", [f"{row.others:.0%}" for row in rows]),
    ):
        shown.add_row(words, *values)
    shown.caption = "Of ids: called for at any time although it was answered that they are cancelled."
    return shown
