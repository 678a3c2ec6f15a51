"""Whether a simulation tells what a real run does: the same messages, workers and quotas, side by side.

Let it run for a minute at least: of thirty batch calls, one or two are more than what is allowed.
"""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Final

from rich.table import Table

from tests.bench.batches import RATE, SENDERS, Batched
from tests.bench.bed import LATENCY_S
from worker.core.limits.bucket import SECOND_US, silence_us
from worker.core.limits.quota import Quota
from worker.core.message.lane import Lane, SmsType
from worker.settings.load import load
from worker.simulation.plan import Plan
from worker.simulation.report import Report
from worker.simulation.run import simulated

#: The simulation may be so much beside what was measured.
_ALLOWED: Final = 0.05
#: Letters of a text of the bed.
_CHARACTERS: Final = 62


def simulation_of(real: Batched) -> Report:
    """What the simulation says of what *real* did: a backlog that is there at the start, and passwords meanwhile."""
    campaign = {"type": SmsType.MKT, "senders": SENDERS, "count": real.messages, "characters": _CHARACTERS}
    count = len(real.passwords_ms)
    passwords = {"type": SmsType.OTP, "count": count, "rate": count / real.seconds, "characters": _CHARACTERS}
    latency = f"{LATENCY_S}s"
    plan = Plan.model_validate(
        {
            "workers": real.workers,
            "cold": True,
            "provider": {"fastest": latency, "slowest": latency},
            "streams": [campaign, passwords],
        }
    )
    return simulated(plan, load([], {}, {"quota.send_message_to_globe": RATE, "batch.size": real.size}))


def _of_real(real: Batched) -> Mapping[str, float]:
    return {
        "seconds": real.seconds,
        "messages a second": real.messages / real.seconds,
        "single calls": real.messages + len(real.passwords_ms) - sum(real.filled),
        "batch calls": len(real.filled),
        "members of a batch call": fmean(real.filled),
    }


def _of_simulation(report: Report) -> Mapping[str, float]:
    """A real run is measured from the first call for the campaign to the last one."""
    marketing = report.lanes[Lane.MARKETING]
    silence_s = silence_us(Quota(RATE)) / SECOND_US
    seconds = (marketing.waits.most if marketing.waits else 0.0) - silence_s
    return {
        "seconds": seconds,
        "messages a second": marketing.sent / seconds,
        "single calls": report.singles.calls,
        "batch calls": report.batches.calls if report.batches else 0,
        "members of a batch call": report.fill,
    }


def table(runs: Iterable[tuple[Batched, Report]]) -> Table:
    """The runs and their simulations side by side."""
    found = Table(title="A real run and its simulation")
    for column in ("size", "workers", "what"):
        found.add_column(column)
    for column in ("measured", "simulated", "beside it by", "others"):
        found.add_column(column, justify="right")
    for real, report in runs:
        told = _of_simulation(report)
        for what, measured in _of_real(real).items():
            beside = told[what] / measured - 1
            mark = "" if abs(beside) <= _ALLOWED else " !"
            numbers = (f"{measured:.1f}", f"{told[what]:.1f}", f"{beside:+.1%}{mark}", f"{real.others:.0%}")
            found.add_row(str(real.size), str(real.workers), what, *numbers)
    return found
