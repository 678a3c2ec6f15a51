"""``sms-worker codes``: the catalogue."""

from typing import Annotated

import typer

from worker.cli.context import Context
from worker.cli.output import listing
from worker.core.catalog import catalog
from worker.core.outcome import ErrorClass, Table
from worker.errors import UsageError


def codes(
    context: typer.Context,
    code: Annotated[str | None, typer.Argument(help="Only this code, as the provider writes it.")] = None,
    *,
    error_class: Annotated[ErrorClass | None, typer.Option("--class", help="Only this class.")] = None,
    table: Annotated[Table | None, typer.Option(help="Only this table.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List every code: what it means, what becomes of a request that meets it, what to do.

    Example: sms-worker codes FREQUENCY_LIMIT_DAY
    """
    known = catalog().overridden(Context.of(context).settings().catalog.classes)
    rows = [
        {
            "code": row.code,
            "table": row.table.value,
            "smpp_code": row.smpp_code,
            "class": row.error_class.value,
            "scope": row.scope.value,
            "description": row.description,
            "remedy": row.remedy,
        }
        for row in known
        if code in {None, row.code} and error_class in {None, row.error_class} and table in {None, row.table}
    ]
    if code is not None and not rows:
        found = known.find(code, Table)
        if found is None:
            raise UsageError(f"the catalogue does not list {code}: a reply with it counts as unknown")
        return codes(context, found.code, error_class=error_class, table=table, as_json=as_json)
    listing("Codes", ("code", "smpp_code", "class", "scope", "description", "remedy"), rows, as_json=as_json)
    return None
