"""Both quotas to the full: messages a second with batch calls beside single ones, and one-time passwords meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean, quantiles
from typing import Any, Final

import orjson
from rich.table import Table

from tests.bench.accuracy import most_in_a_second
from tests.bench.bed import Bed
from tests.bench.programs import Machine, Program
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane

#: Calls a second, single and batch.
RATE: Final = 30
_BATCHES: Final = 1
SENDERS: Final = ("Shop", "Parcel", "Club")
#: Between two passwords, of which there are five a second. Seconds.
_PASSWORD_S: Final = 0.2
_LOOK_S: Final = 1.0
_SECOND_US: Final = 1_000_000
_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Batched:
    """What the sandbox saw."""

    size: int
    workers: int
    messages: int
    #: From the first arrival to the last. Seconds.
    seconds: float
    #: Members of each batch call.
    filled: Sequence[int]
    most_singles: int
    most_batches: int
    #: Numbers for which more than one message was accepted, and refused calls.
    twice: int
    refused: int
    cpu_us: float
    peak_mib: float
    #: From the publication of each password to its arrival, in milliseconds.
    passwords_ms: Sequence[float]
    others: float


async def batched(bed: Bed, size: int, messages: int, workers: int) -> Batched:
    """Let *workers* send *messages* of three senders in calls of up to *size*, and passwords meanwhile."""
    quotas = {Operation.GLOBE.value: RATE, Operation.BATCH.value: _BATCHES}
    await bed.fill({})
    async with bed.http.put(f"{bed.endpoint}/sandbox/settings", json={"qps": quotas}) as response:
        response.raise_for_status()
    flags: dict[str, Any] = {"quota__send_message_to_globe": RATE, "batch__size": size}
    async with AsyncExitStack() as stack, bed.publisher() as publisher:
        requests = [bed.request(Lane.MARKETING) | {"from": SENDERS[index % 3]} for index in range(messages)]
        for start in range(0, messages, _AT_ONCE):
            await asyncio.gather(*map(publisher.publish, requests[start : start + _AT_ONCE]))
        crew = [await stack.enter_async_context(bed.worker(f"worker-{one}", **flags)) for one in range(workers)]
        machine, asked = Machine(bed.sandbox.pid, *(worker.pid for worker in crew)), dict[str, float]()
        before = [worker.cpu() for worker in crew]
        while not await bed.done():  # nothing is granted for some seconds after Redis was emptied
            await asyncio.sleep(_PASSWORD_S)
        while await bed.done() < messages + len(asked):
            asked |= await _passwords(bed, publisher, round(_LOOK_S / _PASSWORD_S))
        calls = await _calls(bed)
        cpu = sum(worker.cpu().since(one).both for worker, one in zip(crew, before, strict=True))
        return _read(size, messages, calls, asked, crew, cpu, machine.others())


async def _passwords(bed: Bed, publisher: Any, count: int) -> Mapping[str, float]:
    asked = dict[str, float]()
    for _ in range(count):
        request = bed.request(Lane.OTP)
        asked[request["id"]] = datetime.now(UTC).timestamp()
        await publisher.publish(request)
        await asyncio.sleep(_PASSWORD_S)
    return asked


async def _calls(bed: Bed) -> Sequence[Mapping[str, Any]]:
    async with bed.http.get(f"{bed.endpoint}/sandbox/calls") as response:
        return [orjson.loads(line) for line in (await response.read()).splitlines()]


def _read(
    size: int,
    messages: int,
    calls: Sequence[Mapping[str, Any]],
    asked: Mapping[str, float],
    crew: Sequence[Program],
    cpu: float,
    others: float,
) -> Batched:
    arrived = {one["call"]: one["arrived"] for one in calls if one["action"] == Operation.BATCH}
    singles = [one["arrived"] for one in calls if one["action"] == Operation.GLOBE]
    first = {one["task_id"]: one["arrived"] for one in reversed(calls)}
    every = [one["arrived"] for one in calls if one["task_id"] not in asked]
    return Batched(
        size,
        len(crew),
        messages,
        max(every) - min(every),
        list(Counter(one["call"] for one in calls if one["action"] == Operation.BATCH).values()),
        most_in_a_second([round(one * _SECOND_US) for one in singles]),
        most_in_a_second([round(one * _SECOND_US) for one in arrived.values()]),
        sum(times > 1 for times in Counter(one["number"] for one in calls if one["accepted"]).values()),
        sum(not one["accepted"] for one in calls),
        cpu / (messages + len(asked)) * 1e6,
        max(worker.peak_mib() for worker in crew),
        sorted((first[one] - instant) * 1000 for one, instant in asked.items()),
        others,
    )


def table(runs: Sequence[Batched]) -> Table:
    """The runs side by side."""
    found = Table(title=f"Batch calls beside {RATE} single calls a second")
    for column in (
        *("size", "workers", "messages/s", "bound", "mean fill", "most singles in a second", "most batch calls"),
        *("twice", "refused", "CPU us/message", "MiB", "passwords p50/p99 ms", "others"),
    ):
        found.add_column(column, justify="right")
    for run in runs:
        cuts = quantiles(run.passwords_ms, n=100, method="inclusive")
        found.add_row(
            *(str(run.size), str(run.workers), f"{run.messages / run.seconds:.0f}", str(RATE + run.size * _BATCHES)),
            *(f"{fmean(run.filled):.0f}", str(run.most_singles), str(run.most_batches)),
            *(str(run.twice), str(run.refused), f"{run.cpu_us:.0f}", f"{run.peak_mib:.0f}"),
            *(f"{cuts[49]:.0f} / {cuts[98]:.0f}", f"{run.others:.0%}"),
        )
    return found
