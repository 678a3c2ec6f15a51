"""``python -m tests.bench``: throughput, accuracy, profile and single steps of the worker on this machine.

Needs RabbitMQ and Redis (``make bench`` starts private ones). Trust the ratios: whatever else runs on the machine
changes the absolute numbers.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvloop
from rich.console import Console

from tests.bench import (
    accuracy,
    batches,
    burst,
    calls,
    cancel,
    delays,
    learning,
    micro,
    profiling,
    scripts,
    simulated,
    standstill,
    throughput,
)
from tests.bench.bed import bed

_PARTS: Final = ("throughput", "accuracy", "profile", "micro", "scripts", "calls")
#: They take minutes, so they run only when they are named.
_STANDSTILL: Final = "standstill"
_DELAYS: Final = "delays"
_BURST: Final = "burst"
_BATCHES: Final = "batches"
_LEARNING: Final = "learning"
#: Messages of a batch call at the most.
_SIZES: Final = (1000, 200)
_CANCEL: Final = "cancel"
_SIMULATE: Final = "simulate"
_SLOW: Final = (_STANDSTILL, _DELAYS, _BURST, _BATCHES, _CANCEL, _LEARNING, _SIMULATE)
#: Passwords to one number.
_BURST_SIZE: Final = 200
#: Schedules whose lateness is measured: when nothing else waits, and behind so many of their lane at so many a second.
_SCHEDULES: Final = 300
_BEHIND: Final = (50, 20_000, 200)
#: Calls per second, and seconds.
_QUOTAS: Final = ((30, 20), (500, 10), (1000, 10))


async def _main(arguments: argparse.Namespace) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    chosen = arguments.parts or _PARTS
    if "throughput" in chosen:
        for processes, latency_ms in product(arguments.processes, arguments.latency):
            trial = throughput.Trial(arguments.messages, arguments.rounds, processes, arguments.before)
            async with bed(latency_ms / 1000) as ground:
                runs = await throughput.compare(ground, trial, console.print)
            console.print(throughput.table(runs, trial, latency_ms / 1000))
    if "accuracy" in chosen:
        rows = []
        for rate, seconds in _QUOTAS:
            async with bed() as ground:
                rows.append(await accuracy.accuracy(ground, rate, seconds))
        console.print(accuracy.table(rows))
    if "profile" in chosen:
        async with bed() as ground:
            stacks = await profiling.sampled(ground, arguments.messages)
        if arguments.stacks:
            arguments.stacks.write_text(stacks.text, "utf-8")
        console.print(profiling.table(stacks))
    await _slow(chosen, arguments, console)
    await _single(chosen, arguments, console)


async def _single(chosen: Sequence[str], arguments: argparse.Namespace, console: Console) -> None:
    if "micro" in chosen:
        console.print(micro.table())
    if "scripts" in chosen:
        console.print(await scripts.table())
    if "calls" in chosen:
        with TemporaryDirectory() as folder:
            console.print(await calls.table(Path(folder), arguments.rounds))


async def _slow(chosen: Sequence[str], arguments: argparse.Namespace, console: Console) -> None:
    if _STANDSTILL in chosen:
        async with bed() as ground:
            stopped = await standstill.standstill(
                ground, backlog=arguments.backlog, rate=arguments.rate, code=arguments.code, seconds=arguments.seconds
            )
        console.print(standstill.table([stopped]))
    if _DELAYS in chosen:
        schedules, backlog, rate = _BEHIND
        async with bed() as ground:
            idle = await delays.idle(ground, _SCHEDULES)
        async with bed() as ground:
            lone = await delays.lone(ground, _SCHEDULES)
        async with bed() as ground:
            behind = await delays.behind(ground, schedules, backlog=backlog, rate=rate)
        console.print(delays.table([idle, lone, behind]))
    if _BATCHES in chosen:
        found = []
        for size in _SIZES:
            async with bed() as ground:
                found.append(await batches.batched(ground, size, arguments.messages, max(arguments.processes)))
        console.print(batches.table(found))
    if _SIMULATE in chosen:
        both = []
        for size in _SIZES:
            async with bed() as ground:
                real = await batches.batched(ground, size, arguments.messages, max(arguments.processes))
            both.append((real, simulated.simulation_of(real)))
        console.print(simulated.table(both))
    if _LEARNING in chosen:
        console.print(learning.table())
    if _BURST in chosen:
        await burst.compare(console.print, _BURST_SIZE, arguments.before)
    if _CANCEL in chosen:
        await cancel.compare(console.print, arguments.before)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        choices=[*_PARTS, *_SLOW, []],
        metavar="PART",
        help=f"of {', '.join(_PARTS)} (all when none is named), {', '.join(_SLOW)}",
    )
    parser.add_argument("--messages", type=int, default=20_000, help="requests of each run (20000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each program (3)")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="of each program at once (1 2)")
    parser.add_argument("--latency", type=float, nargs="+", default=[0, 50], help="the API's, in ms (0 50)")
    parser.add_argument("--before", type=Path, help="folder of another version of the worker, to compare with")
    parser.add_argument("--stacks", type=Path, help="keep the profile's stacks in this file")
    parser.add_argument("--code", default="AMOUNT_NOT_ENOUGH", help="the standstill's reason (AMOUNT_NOT_ENOUGH)")
    parser.add_argument("--backlog", type=int, default=100_000, help="requests that wait then (100000)")
    parser.add_argument("--rate", type=int, default=100, help="the quota then (100)")
    parser.add_argument("--seconds", type=float, default=60, help="how long it lasts (60)")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(_main(_arguments()))  # as the worker: what is measured in this process is then measured there
