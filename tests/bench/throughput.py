"""How much a message costs: the worker next to the minimal loop, in turns, on the same backlog."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from rich.table import Table

from tests.bench.bed import AMQP_URL, Bed
from tests.bench.programs import Cpu, Machine, Program, program, servers
from worker.core.message.lane import Lane
from worker.settings.sections import Settings

#: Seconds between two polls: what the wall time can be wrong by.
_POLL_S: Final = 0.02
#: Without a new outcome for so long, it will not come. Seconds.
_STUCK_S: Final = 30

#: Values up to this are shown with two digits more.
_COARSE: Final = 10

#: Starts the process of a number.
Start = Callable[[int], AbstractAsyncContextManager[Program]]


@dataclass(frozen=True)
class Run:
    """One backlog worked off by one process."""

    messages: int
    #: From the first outcome event to the last.
    seconds: float
    #: Of the process, from its first delivery to the last outcome event.
    cpu: Cpu
    #: Of the others meanwhile, by name.
    others: dict[str, float]
    #: Part of the machine that programs of somebody else took.
    foreign: float
    #: The most memory that one of the processes had. MiB.
    peak: float

    @property
    def rate(self) -> float:
        return self.messages / self.seconds

    @property
    def relative(self) -> float:
        """The cost over what the sandbox spent on the same calls: a machine that is busy slows both."""
        return self.cpu.both / self.others["sandbox"]

    @property
    def cost_us(self) -> float:
        return self.cpu.both / self.messages * 1e6


def starts(bed: Bed, before: Path | None = None) -> dict[str, Start]:
    """Those that are compared, with the same prefetch and the same number of calls in flight.

    *before* is the folder of another version of the worker.
    """
    prefetch, concurrency = Settings().lanes.of(Lane.OTP).prefetch, Settings().provider.concurrency
    numbers = (str(prefetch), str(concurrency))
    arguments = ("-m", "tests.bench.minimal", AMQP_URL, bed.topology.namespace, bed.endpoint, *numbers)
    found: dict[str, Start] = {
        "worker": lambda number: bed.worker(f"worker-{number}"),
        "minimal": lambda number: program(bed.directory / f"minimal-{number}.log", *arguments),
    }
    if before is not None:
        found["before"] = lambda number: bed.worker(f"before-{number}", checkout=before)
    return found


async def measured(bed: Bed, start: Start, messages: int, processes: int = 1) -> Run:
    """Let *processes* that *start* starts work off *messages* requests, and check that each was sent exactly once."""
    share = messages // len(Lane)
    await bed.fill({Lane.OTP: messages - 2 * share, Lane.NOTIFY: share, Lane.MARKETING: share})
    async with AsyncExitStack() as running:
        run = await _watched(
            bed, [await running.enter_async_context(start(number)) for number in range(processes)], messages
        )
    account = await bed.account()
    if (account["calls"], account["accepted"], account["duplicates"]) != (messages, messages, []):
        raise RuntimeError(f"{messages} requests, but the sandbox's account says {account}")
    return run


def _cpu(running: Sequence[Program]) -> Cpu:
    """Of all of them; raises when one has ended."""
    each = [one.cpu() for one in running]
    return Cpu(sum(cpu.user for cpu in each), sum(cpu.system for cpu in each))


async def _watched(bed: Bed, running: Sequence[Program], messages: int) -> Run:
    pids = {"sandbox": bed.sandbox.pid, **servers()}
    while await bed.waiting() == messages:
        _cpu(running)
        await asyncio.sleep(_POLL_S / 2)
    before = cpu = _cpu(running)
    machine, others = (
        Machine(*(one.pid for one in running), bed.sandbox.pid),
        {name: Cpu.of(pid) for name, pid in pids.items()},
    )
    began = moved = time.monotonic()
    done = 0
    while done < messages:
        await asyncio.sleep(_POLL_S)
        seen, now, cpu = await bed.done(), time.monotonic(), _cpu(running)
        if seen > done:
            began, moved, done = began if done else now, now, seen
        elif now - moved > _STUCK_S:
            raise RuntimeError(f"stuck at {done} of {messages} outcomes")
    after = {name: Cpu.of(pid).since(others[name]).both for name, pid in pids.items()}
    peak = max(one.peak_mib() for one in running)
    return Run(messages, moved - began, cpu.since(before), after, machine.others(), peak)


@dataclass(frozen=True)
class Trial:
    """What is compared, and how."""

    messages: int
    rounds: int
    processes: int = 1
    #: Folder of another version of the worker.
    before: Path | None = None


async def compare(bed: Bed, trial: Trial, told: Callable[[str], None]) -> dict[str, list[Run]]:
    """Measure all in turns."""
    runs: dict[str, list[Run]] = {name: [] for name in starts(bed, trial.before)}
    for number in range(trial.rounds):
        for name, start in starts(bed, trial.before).items():
            run = await measured(bed, start, trial.messages, trial.processes)
            runs[name].append(run)
            told(
                f"round {number + 1}  {name:8} {run.rate:7.0f}/s  "
                f"{run.cost_us:6.0f} us of CPU per message, {run.relative:.2f} x sandbox's"
            )
    return runs


def table(runs: dict[str, list[Run]], trial: Trial, latency_s: float) -> Table:
    """Medians, and the worker's over those of the minimal loop and of the version before."""
    some = next(iter(runs.values()))
    others = list(some[0].others)
    measured = ("messages/s", "CPU us/message", "of it kernel", "x sandbox's", "peak MiB")
    columns = (*measured, *(f"{name} us" for name in others))
    conditions = f"the API answers after {latency_s * 1000:g} ms, processes: {trial.processes}"
    shown = Table(title=f"Throughput: {trial.messages} messages, {conditions}, medians of {trial.rounds} runs")
    for column in ("", *columns):
        shown.add_column(column, justify="right" if column else "left")
    medians = {name: _medians(of, others) for name, of in runs.items()}
    for name, values in medians.items():
        shown.add_row(name, *(f"{value:.0f}" if value > _COARSE else f"{value:.2f}" for value in values))
    for name, values in medians.items():
        if name != "worker":
            pairs = zip(medians["worker"], values, strict=True)
            ratios = (f"{ours / theirs:.2f}" if theirs > 1 else "" for ours, theirs in pairs)
            shown.add_row(f"worker / {name}", *ratios)
    foreign = max(run.foreign for of in runs.values() for run in of)
    shown.caption = (
        "In every run the sandbox's account equals the number of messages exactly. x sandbox's: CPU over the\n"
        "sandbox's for the same calls, which a busy machine changes least; other programs took up to "
        f"{foreign:.0%} of this one."
    )
    return shown


def _medians(runs: Sequence[Run], others: Sequence[str]) -> list[float]:
    return [
        median(run.rate for run in runs),
        median(run.cost_us for run in runs),
        median(run.cpu.system / run.messages * 1e6 for run in runs),
        median(run.relative for run in runs),
        median(run.peak for run in runs),
        *(median(run.others[name] / run.messages * 1e6 for run in runs) for name in others),
    ]
