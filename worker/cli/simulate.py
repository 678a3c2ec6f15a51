"""``sms-worker simulate``: what a plan would come to."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from worker.cli.context import Context
from worker.cli.options import JsonOption
from worker.cli.output import json_line, say
from worker.cli.table import listing
from worker.core.message.lane import Lane
from worker.errors import UsageError
from worker.operator.eta import in_words
from worker.simulation.plan import plan_of
from worker.simulation.report import Calls, LaneReport, Report
from worker.simulation.run import simulated
from worker.simulation.svg import svg

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_COLUMNS: Final = 60


def simulate(
    context: typer.Context,
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="A TOML file: streams, the provider, settings.")],
    *,
    as_json: JsonOption = False,
    picture: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Write a plot of backlogs and rates there.")
    ] = None,
) -> None:
    """Reckon what a plan comes to: when all is sent, how long each lane waits, what expires, how full the quotas are.

    The planner, the limits and the decisions are those of a worker, under a virtual clock; no server is needed. The
    plan's [settings] stand after the configuration's files. Holds, windows and caps, and what a machine can do, are not
    simulated.

    For example:

        sms-worker simulate plan.toml
        sms-worker --set batch.size=1000 simulate plan.toml --svg plan.svg
    """
    plan, settings = plan_of(str(plan_file), _text(plan_file))
    report = simulated(plan, Context.of(context).settings((f"{plan_file} [settings]", settings)))
    if picture is not None:
        _write(picture, svg(report))
    if as_json:
        json_line(report.to_json())
    else:
        _tell(report)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{path}: {reason}") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"--svg {path}: {error.strerror}") from error


def _tell(report: Report) -> None:
    lanes = ("lane", "published", "sent", "expired", "dead", "segments", "retries", "wait p50", "p99", "max")
    listing("Lanes", lanes, [_lane(lane, one) for lane, one in report.lanes.items()], wide=("dead",))
    calls = [_calls("single", report.singles, "")]
    if report.batches is not None:
        calls.append(_calls("batch", report.batches, f"{report.fill:.0f} ({report.filled:.0%})"))
    listing("Calls", ("kind", "calls", "refused", "quota used", "unused slots", "mean fill"), calls)
    for lane, one in report.lanes.items():
        say(f"{lane.value:>9} backlog {_sparks(one.curves.backlog)} up to {max(one.curves.backlog):.0f}")
        say(f"{lane.value:>9} per s   {_sparks(one.curves.rate)} up to {max(one.curves.rate):.0f}")
    say(f"All is done after {in_words(report.seconds)}, with {report.messages_per_s:.0f} messages a second.")


def _lane(lane: Lane, report: LaneReport) -> dict[str, Any]:
    waits = report.waits
    return {
        "lane": lane.value,
        "published": report.published,
        "sent": report.sent,
        "expired": report.expired,
        "dead": tuple(f"{error_class.value} {count}" for error_class, count in report.dead.items()),
        "segments": report.segments,
        "retries": report.retries,
        "wait p50": waits and _seconds(waits.p50),
        "p99": waits and _seconds(waits.p99),
        "max": waits and _seconds(waits.most),
    }


def _seconds(seconds: float) -> str:
    """A wait of milliseconds as such."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else in_words(seconds)


def _calls(kind: str, calls: Calls, fill: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "calls": calls.calls,
        "refused": calls.refused,
        "quota used": f"{calls.used:.1%}",
        "unused slots": calls.unused,
        "mean fill": fill,
    }


def _sparks(values: Sequence[float]) -> str:
    """*values* as blocks, as high as the highest in its column."""
    highest = max(values, default=0.0) or 1.0
    width = min(_COLUMNS, len(values))
    edges = [len(values) * column // width for column in range(width + 1)]
    columns = (max(values[start:stop]) for start, stop in pairwise(edges))
    return "".join(_BLOCKS[min(round(value / highest * 8 + 0.49), 8) if value > 0 else 0] for value in columns)
