"""How exactly the quota is kept and used: two workers under backlog, seen from Redis and from the provider."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from rich.table import Table

from tests.bench.bed import REDIS_URL, Bed
from tests.bench.programs import Machine, Program
from worker.core.limits.bucket import CELLS
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.limiter.keys import Keys

_WORKERS: Final = 2
#: Between the first call and the steady part: both workers take part by then. Seconds.
_SETTLING_S: Final = 2.0
_CELL: Final = struct.Struct("<d")
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True)
class Accuracy:
    """What was granted and what arrived."""

    rate: int
    seconds: int
    #: Instants of the steady part, Unix microseconds.
    granted: Sequence[int]
    arrived: Sequence[int]
    most_granted: int
    most_arrived: int
    #: Slots of all workers from start to end, by what became of them.
    slots: dict[str, int]
    #: Part of the machine that other programs took.
    others: float

    @property
    def used(self) -> float:
        """The part of the quota that arrived at the provider."""
        return len(self.arrived) / (self.rate * self.seconds)


async def accuracy(bed: Bed, rate: int, seconds: int) -> Accuracy:
    """Let two workers use a quota of *rate* for *seconds* from a backlog in every lane."""
    await bed.fill(dict.fromkeys(Lane, rate * (seconds + 5) + 1000))
    grants = Grants(Keys(bed.topology.namespace))
    async with AsyncExitStack() as stack, Redis.from_url(REDIS_URL) as redis:
        ports = [free_port() for _ in range(_WORKERS)]
        workers = [
            await stack.enter_async_context(
                bed.worker(f"worker-{port}", quota__send_message_to_globe=rate, http__port=port)
            )
            for port in ports
        ]
        while not (first := (await bed.account())["first_arrival"]):
            await _alive(workers)
        machine, until = Machine(bed.sandbox.pid, *(worker.pid for worker in workers)), first + _SETTLING_S + seconds
        while (await bed.account())["last_arrival"] < until + 0.1:
            await grants.look(redis)
            await _alive(workers)
        await grants.look(redis)
        slots, others = await slots_of(bed, ports), machine.others()
    begin, end = round((first + _SETTLING_S) * _SECOND_US), round(until * _SECOND_US)
    arrived = [round(each * _SECOND_US) for each in await bed.arrivals()]
    return Accuracy(
        rate,
        seconds,
        [slot for slot in grants.instants if begin <= slot < end],
        [each for each in arrived if begin <= each < end],
        most_in_a_second(grants.instants),
        most_in_a_second(arrived),
        slots,
        others,
    )


async def _alive(workers: Sequence[Program]) -> None:
    """Wait a moment; raises RuntimeError when a worker has ended."""
    await asyncio.sleep(0.5)
    for worker in workers:
        worker.cpu()


class Grants:
    """Every slot that was booked; the ring in Redis remembers the last 4,096, so it is read again and again."""

    def __init__(self, keys: Keys) -> None:
        self._rate, self._ring = keys.rate(Operation.GLOBE), keys.ring(Operation.GLOBE)
        self._slots: dict[int, int] = {}

    @property
    def instants(self) -> list[int]:
        """Unix microseconds, in order."""
        return sorted(self._slots.values())

    async def look(self, redis: Redis) -> None:
        async with redis.pipeline(transaction=True) as pipeline:
            pipeline.hget(self._rate.decode(), "seq")
            pipeline.get(self._ring.decode())
            booked, ring = await pipeline.execute()
        for number in range(max(0, int(booked) - CELLS), int(booked)):
            self._slots[number] = round(_CELL.unpack_from(ring, number % CELLS * _CELL.size)[0])


def most_in_a_second(instants: Sequence[int]) -> int:
    """The most of *instants* (microseconds, in order) in any second, wherever it begins."""
    most = start = 0
    for end, instant in enumerate(instants):
        while instant - instants[start] >= _SECOND_US:
            start += 1
        most = max(most, end - start + 1)
    return most


async def slots_of(bed: Bed, ports: Sequence[int]) -> dict[str, int]:
    """What the workers count themselves."""
    counts: dict[str, int] = {"used": 0, "burnt": 0, "unused": 0}
    for port in ports:
        async with bed.http.get(f"http://127.0.0.1:{port}/metrics") as response:
            families = text_string_to_metric_families(await response.text())
        for family in families:
            for sample in family.samples:
                if sample.name == "sms_slots_total" and sample.labels["operation"] == Operation.GLOBE.value:
                    counts[sample.labels["result"]] += int(sample.value)
    return counts


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def table(rows: Sequence[Accuracy]) -> Table:
    """One row per quota."""
    shown = Table(title=f"Accuracy: {_WORKERS} workers under backlog in every lane")
    columns = ("quota", "most granted\nin a second", "most arrived\nin a second", "granted", "arrived", "quota used")
    for column in (*columns, "slots\nused", "burnt", "unused", "others'\nCPU"):
        shown.add_column(column, justify="right")
    for row in rows:
        shown.add_row(
            f"{row.rate}/s, {row.seconds} s",
            *(str(value) for value in (row.most_granted, row.most_arrived, len(row.granted), len(row.arrived))),
            f"{row.used:.1%}",
            *(str(row.slots[result]) for result in ("used", "burnt", "unused")),
            f"{row.others:.0%}",
        )
    shown.caption = (
        "Granted: slots in Redis. Arrived: calls as the sandbox saw them. A guard of 10 ms allows 99.0%.\n"
        "Slots: from start to end, as the workers count them. Others' CPU: what else kept this machine busy."
    )
    return shown
