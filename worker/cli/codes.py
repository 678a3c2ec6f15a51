"""``sms-worker codes``: the catalogue."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from worker.cli.context import Context
from worker.cli.options import JsonOption
from worker.cli.output import json_lines
from worker.cli.table import listing
from worker.core.outcome.catalog import Catalog, catalog
from worker.core.outcome.outcome import ErrorClass, Row, Table
from worker.errors import WorkerError


def codes(
    context: typer.Context,
    code: Annotated[str | None, typer.Argument(help="Only this code, or the one with this SMPP code.")] = None,
    *,
    error_class: Annotated[
        ErrorClass | None, typer.Option("--class", metavar="CLASS", help=f"Only this class: {', '.join(ErrorClass)}.")
    ] = None,
    table: Annotated[Table | None, typer.Option(metavar="TABLE", help=f"Only this table: {', '.join(Table)}.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List codes with their class, which decides what becomes of a request, and what to do about each.

    A class that the configuration gives a code (catalog.classes) is shown in place of the catalogue's. Leaves with 1
    when there is no such code.

    For example:

        sms-worker codes FREQUENCY_LIMIT_DAY
        sms-worker codes 33
        sms-worker codes --class account
    """
    known = catalog().overridden(Context.of(context).settings().catalog.classes)
    chosen = known if code is None else _of(code, known)
    rows = [_shown(row) for row in chosen if error_class in {None, row.error_class} and table in {None, row.table}]
    if not rows:
        raise WorkerError("the catalogue lists no such code")
    if as_json:
        json_lines(rows)
    else:
        columns = ("code", "smpp_code", "class", "scope", "description", "remedy")
        listing("Codes", columns, rows, wide=("description", "remedy"), spare=("smpp_code", "scope"))


def _of(code: str, known: Catalog) -> Iterable[Row]:
    """The rows of *code*, of which each table may have one, or those of the SMPP code, or that whose pattern it fits.

    Where nothing is written exactly so, upper and lower case are the same.
    """
    rows = [row for row in known if row.code == code]
    rows = rows or [row for row in known if code and code.lower() in {row.code.lower(), (row.smpp_code or "").lower()}]
    pattern = None if rows else known.find(code, Table)
    if not rows and pattern is None:
        raise WorkerError(f"the catalogue does not list {code}: an answer with it counts as unknown")
    return rows if pattern is None else [pattern]


def _shown(row: Row) -> dict[str, Any]:
    return {
        "code": row.code,
        "table": row.table.value,
        "smpp_code": row.smpp_code,
        "class": row.error_class.value,
        "scope": row.scope.value,
        "description": row.description,
        "remedy": row.remedy,
    }
