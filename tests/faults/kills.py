"""The table of a run: per fault point, what was killed there and what became of the requests that were in hand."""

from collections import Counter
from collections.abc import Iterable
from io import StringIO

from rich.console import Console
from rich.table import Table

from tests.faults.accounts import Verdict
from tests.faults.points import POINTS
from tests.faults.zygote import Death

_WIDTH = 110


def table(deaths: Iterable[Death], verdict: Verdict) -> str:
    """A request counts at every point at whose kill it was in hand."""
    kills: Counter[str] = Counter()
    in_hand: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    twice: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for death in deaths:
        point = death.point or "none"
        kills[point] += 1
        in_hand[point] += len(death.in_hand)
        lost[point] += len(set(death.in_hand) & set(verdict.lost))
        twice[point] += len(set(death.in_hand) & verdict.twice.keys())
        outside[point] += len(set(death.in_hand) & set(verdict.outside))
    rows = Table("worker killed at", title=f"{kills.total()} worker kills", caption=str(verdict))
    for title in ("kills", "requests in hand", "lost", "accepted twice", "chosen by policy", "outside of it"):
        rows.add_column(title, justify="right")
    for point in (point for point in (*POINTS, "none") if kills[point]):
        chosen = twice[point] - outside[point]
        columns = (kills[point], in_hand[point], lost[point], twice[point], chosen, outside[point])
        rows.add_row(point, *map(str, columns))
    out = StringIO()
    Console(file=out, width=_WIDTH).print(rows)
    return out.getvalue()
