"""``sms-worker config``: what is in force, and whether it is right."""

from typing import Annotated, Any

import typer

from worker.cli.context import Context
from worker.cli.output import console, json_line, listing
from worker.configuration import shown

app = typer.Typer(no_args_is_help=True, help="Check and show the configuration.")


@app.command()
def check(context: typer.Context) -> None:
    """Check every source; list all faults together and leave with 2 when there are any.

    Example: sms-worker --config config/worker.prod.toml config check
    """
    Context.of(context).settings()
    console.print("The configuration has no fault.")


@app.command()
def show(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show the values in force, with secrets masked."""
    values = shown(Context.of(context).settings())
    if as_json:
        json_line(values)
        return
    listing("Configuration", ("key", "value"), _flat("", values), as_json=False)


def _flat(prefix: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flat(f"{prefix}{key}.", value)
        else:
            rows.append({"key": prefix + key, "value": value})
    return rows
