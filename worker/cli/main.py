"""``sms-worker``: the parser, the exit codes, and one line on standard error for what went wrong."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from worker import __version__
from worker.cli import codes, config, demo, dlq, exit_codes, publish, run, sandbox, status, topology
from worker.cli.context import Context, flags_of
from worker.cli.output import errors
from worker.errors import (
    BrokerUnavailable,
    LimiterUnavailable,
    SettingsError,
    TopologyMismatch,
    UsageError,
    WorkerError,
)

_CODES: Final = (
    (SettingsError, exit_codes.USAGE),
    (UsageError, exit_codes.USAGE),
    (BrokerUnavailable, exit_codes.UNAVAILABLE),
    (LimiterUnavailable, exit_codes.UNAVAILABLE),
    (TopologyMismatch, exit_codes.UNAVAILABLE),
)

app = typer.Typer(
    name="sms-worker",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 something failed, 2 wrong usage or configuration, 3 RabbitMQ or Redis unavailable, "
    "4 left at once on a second signal.",
)
app.command()(run.run)
app.command()(publish.publish)
app.command()(status.status)
app.command()(codes.codes)
app.command()(sandbox.sandbox)
app.command()(demo.demo)
app.add_typer(dlq.app, name="dlq")
app.add_typer(topology.app, name="topology")
app.add_typer(config.app, name="config")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    *,
    files: Annotated[
        list[Path] | None,
        typer.Option("--config", "-c", help="A TOML file; may be given again, later ones win.", show_default=False),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="section.key=value; wins over files and environment.", show_default=False),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does all there is to do
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Send SMS through Alibaba Cloud from RabbitMQ, within its limits, without losing a message.

    Files may also be named in SMS_WORKER_CONFIG, separated by colons.
    """
    named = [Path(name) for name in os.environ.get("SMS_WORKER_CONFIG", "").split(":") if name]
    context.obj = Context(tuple(files or named), flags_of(assignments or []))


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        app()
    except WorkerError as error:
        errors.print(f"sms-worker: {error}", markup=False)
        sys.exit(next((code for kind, code in _CODES if isinstance(error, kind)), exit_codes.FAILED))
