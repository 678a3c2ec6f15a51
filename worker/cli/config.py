"""``sms-worker config``: what is in force, whether it is right, and what it means for publishers."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from worker import __version__
from worker.cli.context import Context
from worker.cli.options import JsonOption
from worker.cli.output import json_line, say
from worker.cli.table import listing
from worker.core.outgoing.contract import files
from worker.errors import UsageError
from worker.limiter.rights import acl_command
from worker.settings.policy import topology_of
from worker.settings.shown import shown
from worker.settings.weaknesses import weaknesses

_WEAK: Final = "anybody on the way could read and answer in its place; a worker warns at each start"

app = typer.Typer(no_args_is_help=True, help="Check and show the configuration; write the publishers' contract.")


@app.command()
def check(context: typer.Context) -> None:
    """Check every source; list all faults together and leave with 2 when there are any. Nothing is connected.

    For example:

        sms-worker --config config/worker.prod.toml config check
    """
    settings = Context.of(context).settings()
    for key, option in weaknesses(settings):
        say(f"Warning: {key} has {option}: {_WEAK}")
    say("The configuration has no fault.")


@app.command()
def show(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """Show the values that the sources give, with secrets masked; sms-worker limits show has what was changed since.

    For example:

        sms-worker --set quota.send_message_to_globe=200 config show
    """
    values = shown(Context.of(context).settings())
    if as_json:
        json_line(values)
    else:
        listing("Configuration", ("key", "value"), _flat("", values), wide=("key", "value"))


@app.command("redis-acl")
def redis_acl(context: typer.Context) -> None:
    """Print the Redis command that gives the user of redis.url all rights that it needs, and no others.

    The user is sms-worker when redis.url names none. The command has no password and changes none: a new user gets one
    with ACL SETUSER sms-worker >PASSWORD

    For example:

        sms-worker --config config/worker.prod.toml config redis-acl
    """
    say(acl_command(Context.of(context).settings().redis))


@app.command()
def contract(
    context: typer.Context,
    *,
    directory: Annotated[Path, typer.Option("--output", "-o", help="An existing directory.")] = Path("config"),
) -> None:
    """Write what publishers need to know: a JSON Schema of requests and an AsyncAPI document.

    Names are those of the configured namespace. With the default one they are the files of a checkout, which are
    renewed so after a change.

    For example:

        sms-worker config contract --output config
    """
    written = files(topology_of(Context.of(context).settings()), __version__)
    for name, content in written.items():
        try:
            (directory / name).write_bytes(content)
        except OSError as error:
            raise UsageError(f"--output {directory / name}: {error.strerror}") from error
        say(f"wrote {directory / name}")


def _flat(prefix: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            rows += _flat(f"{prefix}{key}.", value)
        else:
            rows.append({"key": prefix + key, "value": _written(value)})
    return rows


def _written(value: Any) -> Any:
    """A list with one entry a line: a line of several windows cannot be read."""
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return tuple(", ".join(f"{key}: {_plain(part)}" for key, part in each.items()) for each in value)
    return _plain(value)


def _plain(value: Any) -> Any:
    match value:
        case None:
            return "(not given)"
        case bool():
            return str(value).lower()
        case list() | dict():
            return ", ".join(map(str, value)) or "(none)"
        case _:
            return str(value)
