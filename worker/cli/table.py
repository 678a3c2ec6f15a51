"""Tables for people: fitted to the terminal so that words stay whole, as blocks where it is too narrow for a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.cells import cell_len
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from worker.cli.output import console, dumped
from worker.core.escaping import one_line

#: Narrower than this, a table goes without its spare columns.
_NARROW: Final = 100
#: A column that is not wide is not broken up to this width, and no wider; a longer word is broken everywhere.
_WHOLE: Final = 28
#: What a border and the space beside a cell take of each column.
_BORDER: Final = 3


@dataclass(frozen=True, slots=True)
class _Column:
    """One column, as far as its layout is concerned."""

    title: str
    cells: Sequence[str]
    side: JustifyMethod
    is_wide: bool

    @property
    def wanted(self) -> int:
        """The width in which nothing is folded, as far as that is granted."""
        longest = max(map(cell_len, (self.title, *(line for cell in self.cells for line in cell.splitlines()))))
        return longest if self.is_wide else min(longest, _WHOLE)

    @property
    def least(self) -> int:
        """The width in which words stay whole; what is not wide and short enough is not folded at all."""
        if not self.is_wide and all(cell_len(line) <= _WHOLE for cell in self.cells for line in cell.splitlines()):
            return self.wanted
        return max(min(cell_len(word), _WHOLE) for text in (self.title, *self.cells) for word in (text.split() or [""]))


def listing(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    *,
    wide: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Write *rows* as a table, or as one block each where the terminal is too narrow.

    Args:
        title: Says what they are.
        columns: Their keys, in order.
        rows: A row may have more than is shown. A tuple is a cell of several lines.
        wide: Columns of whole sentences; they share what the others leave.
        spare: Columns that a narrow terminal does without.
    """
    rows, width = list(rows), console.width
    shown = {column: _column(column, rows, is_wide=column in wide) for column in columns}
    every, fewer = list(shown.values()), [column for name, column in shown.items() if name not in spare]
    console.print(one_line(title), style="bold", markup=False)
    for chosen in (fewer,) if width < _NARROW else (every, fewer):
        widths = _widths(chosen, width)
        if widths is not None:
            _table(chosen, widths)
            return
    _stacked(fewer if width < _NARROW else every, len(rows))


def _table(columns: Sequence[_Column], widths: Sequence[int]) -> None:
    table = Table(header_style="bold")
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column.title, justify=column.side, overflow="fold", width=width)
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    console.print(table)


def _column(name: str, rows: Sequence[Mapping[str, Any]], *, is_wide: bool) -> _Column:
    values = [row.get(name) for row in rows]
    is_number = all(isinstance(value, int | float) for value in values)
    return _Column(name.replace("_", " "), [*map(_cell, values)], "right" if is_number else "left", is_wide)


def _widths(columns: Sequence[_Column], width: int) -> list[int] | None:
    """The width of each of *columns*, together no wider than *width*; None when words would break."""
    room = width - _BORDER * len(columns) - 1
    wanted, least = [column.wanted for column in columns], [column.least for column in columns]
    if sum(wanted) <= room:
        return wanted
    rest, missing = room - sum(least), sum(wanted) - sum(least)
    if rest < 0:
        return None
    return [each + rest * (most - each) // missing for each, most in zip(least, wanted, strict=True)]


def _stacked(columns: Sequence[_Column], rows: int) -> None:
    """Each row as lines of a title and its value; what is empty is left out."""
    for index in range(rows):
        block = Table.grid(padding=(0, 2, 0, 0))
        block.add_column(no_wrap=True, style="bold")
        block.add_column(overflow="fold")
        for column in columns:
            if column.cells[index]:
                block.add_row(column.title, Text(column.cells[index]))
        console.print(block)
        if index + 1 < rows:
            console.print()


def _cell(value: Any) -> str:
    match value:
        case None | str():
            return one_line(value or "")
        case tuple():
            return "\n".join(map(_cell, value))
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        case float():
            return f"{value:.1f}"
        case int() if not isinstance(value, bool):
            return str(value)
        case _:
            return one_line(dumped(value).decode().rstrip("\n"))
