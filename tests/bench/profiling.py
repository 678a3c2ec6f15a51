"""Where the worker's CPU goes while it works off a backlog, by samples of its stacks."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from rich.table import Table

from tests.bench.bed import Bed
from tests.bench.throughput import Run, measured

#: The first that fits a frame, from the innermost frame outwards, gets the sample. What fits none (the standard
#: library, mostly) belongs to whoever called it.
_PARTS: Final = (
    ("broker library", ("/aio_pika/", "/aiormq/", "/pamqp/")),
    ("redis library", ("/redis/", "/hiredis/")),
    ("http library", ("/aiohttp/", "/yarl/", "/multidict/", "/async_timeout/")),
    ("json, pydantic", ("/json/", "/orjson/", "/pydantic/")),
    ("log, metrics", ("worker/telemetry/", "/structlog/", "/prometheus_client/")),
    ("ours: broker", ("worker/broker/",)),
    ("ours: limiter", ("worker/limiter/",)),
    ("ours: provider", ("worker/provider/",)),
    ("ours: core", ("worker/core/",)),
    ("ours: dispatch, pipeline", ("worker/delivery/",)),
    ("event loop, system calls", ("asyncio/runners.py", "asyncio/base_events.py", "worker/app.py", "worker/cli/")),
)


@dataclass(frozen=True)
class Stacks:
    """Folded stacks, one a line with the number of its samples, and the run that they come from."""

    text: str
    run: Run


async def sampled(bed: Bed, messages: int) -> Stacks:
    """Sample a run over *messages*."""
    stacks = bed.directory / "stacks"
    run = await measured(bed, lambda _: bed.worker(module=("tests.bench.sampler", str(stacks))), messages)
    return Stacks(stacks.read_text("utf-8"), run)


def table(stacks: Stacks) -> Table:
    """The parts of the worker and their share of its CPU."""
    shown = Table(title=f"Where the worker's CPU goes: {stacks.run.messages} messages")
    for column in ("part", "share", "us/message"):
        shown.add_column(column, justify="right" if column != "part" else "left")
    for part, share in shares(stacks.text):
        shown.add_row(part, f"{share:.1%}", f"{share * stacks.run.cost_us:.0f}")
    kernel = stacks.run.cpu.system / stacks.run.cpu.both
    shown.caption = f"{kernel:.0%} of it in the kernel."
    return shown


def shares(stacks: str) -> list[tuple[str, float]]:
    """The parts of folded *stacks*, the largest first; what comes before the first delivery is left out."""
    counts: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, samples = line.rpartition(" ")
        if "run_forever" in frames or "asyncio/runners.py" in frames:
            counts[_part(frames)] += int(samples)
    total = counts.total()
    return [(part, samples / total) for part, samples in counts.most_common()]


def _part(frames: str) -> str:
    for frame in reversed(frames.split(";")):
        for part, places in _PARTS:
            if any(place in frame for place in places):
                return part
    return "other"
