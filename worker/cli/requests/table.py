"""CSV: the header names the fields, and each record is a request.

``params.<name>`` and ``metadata.<name>`` are nested, ``template`` is the template's code, an empty cell is not given.
What cannot be meant otherwise is read as it is meant: names of fields in another case, ``sep=;`` as Excel writes it,
cells separated by semicolons, tabs or bars, a type in small letters, and blanks or invisible marks around every cell
but texts, parameters and metadata. Everything else is a fault: nobody can be certain what a spoiled number was.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from worker.cli.requests.line import Line, line_of
from worker.cli.requests.records import Record, cells_of, records
from worker.cli.requests.text import Texts
from worker.core.message import request
from worker.core.message.lane import SmsType
from worker.core.message.visible import shows_nothing, without_unseen_ends
from worker.errors import UsageError

_COLUMNS: Final = tuple(
    field.alias or name for name, field in request.SmsRequest.model_fields.items() if name != "metadata"
)
#: In the order in which they are tried.
_SEPARATORS: Final = (",", ";", "\t", "|")
_SEP: Final = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_TYPES: Final = frozenset(SmsType)
#: Digits in a cell by which it may be a number.
_FEWEST_DIGITS: Final = 7


def read_table(name: str, shown: str, texts: Texts) -> Iterator[Line]:
    """The requests of the file *name*, which is *shown* so.

    Raises:
        UsageError: its header names no field, or one that no request has.
    """
    columns, separator = _header(shown, texts)

    def doubt(record: Record, lines: Sequence[Sequence[str]]) -> str:
        """Why a record that spans lines is none: it holds another one, or has not the cells of one."""
        for offset, cells in enumerate(lines, start=1):
            if _is_whole(columns, cells):
                return f"has a quote that is not closed: line {record.number + offset} would be part of its text"
        return "" if _is_blank(record.cells) else _cells_fault(columns, record.cells)

    for record in records(texts, separator, doubt):
        if record.fault:
            yield Line(record.number, fault=record.fault)
        elif not _is_blank(record.cells):
            if fault := _cells_fault(columns, record.cells):
                yield Line(record.number, fault=fault)
            else:
                yield line_of(name, record.number, _body(columns, record.cells), record.span)


def _header(shown: str, texts: Texts) -> tuple[Sequence[str], str]:
    """The columns, and the separator of cells."""
    first = next(texts, None)
    told = _SEP.fullmatch(first.text) if first else None
    if told:
        first = next(texts, None)
        if told[1] not in _SEPARATORS:
            raise UsageError(f"{shown} line 1: separate the cells by commas, semicolons, tabs or bars")
    number = first.number if first else 1
    if first and first.fault:
        raise UsageError(f"{shown} line {number}: {first.fault}")
    text = first.text if first else ""
    separator = told[1] if told else max(_SEPARATORS, key=lambda each: _fit(text, each))
    try:
        columns = [_column(cell) for cell in next(csv.reader([text], delimiter=separator, strict=True), [])]
    except csv.Error as error:
        raise UsageError(f"{shown} line {number}: is no CSV: {error}") from error
    for column in filter(None, columns):
        if not _is_column(column):
            allowed = ", ".join((*_COLUMNS, "params.<name>", "metadata.<name>"))
            quoted = "like the one of a cell with digits" if re.search(r"\d{5}", column) else repr(column)
            raise UsageError(
                f"{shown} line {number}: there is no field {quoted}; the first line names the fields, separated by "
                f"commas: {allowed}"
            )
    named = [column for column in columns if column]
    if not named or len(set(named)) < len(named):
        raise UsageError(f"{shown} line {number}: must name each column once")
    return columns, separator


def _fit(text: str, separator: str) -> tuple[int, int]:
    """How well *separator* parts the header *text*: fields that it then names, and cells that it then has."""
    cells = cells_of(text, separator)
    return sum(_is_column(_column(cell)) for cell in cells), len(cells)


def _column(cell: str) -> str:
    """The field that a cell of the header names; the names of parameters and of metadata are the publisher's own."""
    name, dot, inner = without_unseen_ends(cell).partition(".")
    return f"{name.lower()}{dot}{inner}"


def _is_column(column: str) -> bool:
    name, dot, inner = column.partition(".")
    return column in _COLUMNS or bool(dot and inner and name in {"params", "metadata"})


def _is_whole(columns: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether *cells*, of one line, are a record by themselves: as many as there are columns, to a number."""
    if len(cells) != len(columns):
        return False
    named = dict(zip(columns, cells, strict=True))
    is_number = sum(map(str.isdigit, named.get("to", ""))) >= _FEWEST_DIGITS
    return is_number or without_unseen_ends(named.get("type", "")).upper() in _TYPES


def _is_blank(cells: Sequence[str]) -> bool:
    return not any(cells) or all(map(shows_nothing, cells))


def _cells_fault(columns: Sequence[str], cells: Sequence[str]) -> str:
    if len(cells) != len(columns):
        return f"has {len(cells)} cells, the header has {len(columns)}"
    if "" in columns and any(not (column or shows_nothing(cell)) for column, cell in zip(columns, cells, strict=True)):
        return "has something in a column without a name"
    return ""


def _body(columns: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=True):
        if not cell:
            continue
        if column == "text" or "." in column:
            _put(body, column, cell)
        elif column and (cut := without_unseen_ends(cell)):
            _put(body, column, cut)
    return body


def _put(body: dict[str, Any], column: str, cell: str) -> None:
    name, dot, inner = column.partition(".")
    if dot:
        parent = body.setdefault("template", {}) if name == "params" else body
        parent.setdefault(name, {})[inner] = cell
    elif name == "template":
        body.setdefault(name, {})["code"] = cell
    else:
        body[name] = cell.upper() if name == "type" else cell
