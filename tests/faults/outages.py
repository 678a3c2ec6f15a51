"""The table of a run with outages: how long each lasted, and how soon the worker was back at its full rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from tests.faults.accounts import Verdict

_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Outage:
    """One."""

    #: From the kill until the server took connections again, in seconds.
    lasted_s: float
    #: From then until the first whole second of the full rate began.
    recovered_s: float


def table(title: str, outages: Mapping[str, Sequence[Outage]], verdict: Verdict) -> str:
    """One row per kind of outage."""
    rows = Table("outage", title=title, caption=str(verdict))
    for heading in ("times", "lasted, median", "full rate after: median", "95%", "longest"):
        rows.add_column(heading, justify="right")
    for name, some in ((name, some) for name, some in outages.items() if some):
        recovered = [one.recovered_s for one in some]
        late = quantiles(recovered, n=20, method="inclusive")[-1] if len(some) > 1 else recovered[0]
        seconds = (median(one.lasted_s for one in some), median(recovered), late, max(recovered))
        rows.add_row(name, str(len(some)), *(f"{each:.1f} s" for each in seconds))
    out = StringIO()
    Console(file=out, width=_WIDTH).print(rows)
    return out.getvalue()
