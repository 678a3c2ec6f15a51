"""How listings are written: a table for people, JSON lines for programs."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

#: What people read; width follows the terminal, and 120 where there is none.
console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
#: What must not end up in a pipe.
errors = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 120)


def listing(title: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """Write *rows*: as a table with *columns*, or one JSON object a line with every field."""
    if as_json:
        for row in rows:
            json_line(row)
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console.print(table)


def json_line(value: Any) -> None:
    """Write *value* as one line of JSON."""
    sys.stdout.buffer.write(orjson.dumps(value, default=str) + b"\n")
    sys.stdout.buffer.flush()


def _cell(value: Any) -> str:
    """Rich reads square brackets as markup: what comes from outside is shown as it is."""
    text = "" if value is None else str(value)
    return text.replace("[", "\\[")
