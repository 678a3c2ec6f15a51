"""How commands speak: tables for people, JSON lines for programs, and sentences.

What comes from outside (ids, headers, bodies) is shown as it is: no markup of its own, no control characters, which
could make a terminal do things.
"""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
#: The width where there is no terminal, unless COLUMNS says another.
_WIDTH: Final = 120
#: Narrower than this, a table goes without its spare columns.
_NARROW: Final = 100
#: A column that is not wide is not broken up to this width, and no wider.
_WHOLE: Final = 28


def _console(*, to_errors: bool) -> Console:
    stream = sys.stderr if to_errors else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _WIDTH
    return Console(stderr=to_errors, highlight=False, width=width)


#: What was asked for.
console: Final = _console(to_errors=False)
#: What must not end up in a pipe.
errors: Final = _console(to_errors=True)


def say(sentence: str) -> None:
    """Write *sentence*, in one line however long it is."""
    console.print(_shown(sentence), markup=False, soft_wrap=True)


def complain(sentence: str) -> None:
    """Write *sentence* to standard error."""
    errors.print(_shown(f"sms-worker: {sentence}"), markup=False, soft_wrap=True)


def listing(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    *,
    wide: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Write *rows* as a table.

    Args:
        title: Says what they are.
        columns: Their keys, in order.
        rows: A row may have more than is shown.
        wide: Columns of whole sentences; they share what the others leave.
        spare: Columns that a narrow terminal does without.
    """
    rows = list(rows)
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    table = Table(header_style="bold")
    is_shown = [console.width >= _NARROW or column not in spare for column in columns]
    for index, column in enumerate(columns):
        if is_shown[index]:
            longest = max((len(line) for row in cells for line in row[index].splitlines()), default=0)
            is_whole = column not in wide and longest <= _WHOLE
            most = None if column in wide or is_whole else _WHOLE
            side: JustifyMethod = "right" if all(isinstance(row.get(column), int | float) for row in rows) else "left"
            table.add_column(column.replace("_", " "), justify=side, overflow="fold", no_wrap=is_whole, max_width=most)
    for row in cells:
        table.add_row(*(Text(cell) for cell, shown in zip(row, is_shown, strict=True) if shown))
    console.print(title, style="bold", markup=False)
    console.print(table)


def counted(count: int, noun: str) -> str:
    """*count* and *noun*, in the plural unless it is one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def json_line(value: Any) -> None:
    """Write *value* as one line of JSON."""
    sys.stdout.buffer.write(dumped(value))
    sys.stdout.buffer.flush()


def json_lines(values: Iterable[Any]) -> None:
    """Write each of *values* as one line of JSON."""
    for value in values:
        json_line(value)


def dumped(value: Any) -> bytes:
    """*value* as one line of JSON; what JSON does not know becomes text."""
    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    try:
        return orjson.dumps(value, default=_text, option=option)
    except TypeError:  # an integer beyond 64 bits, or half a surrogate pair: whole, but as text
        return orjson.dumps(repr(value), option=option)


def _text(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return _shown(value)
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        case float():
            return f"{value:.1f}"
        case int() if not isinstance(value, bool):
            return str(value)
        case _:
            return _shown(dumped(value).decode().rstrip("\n"))


def _shown(text: str) -> str:
    """*text* with control characters as escapes; lines stay lines."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
