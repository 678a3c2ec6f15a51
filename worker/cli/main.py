"""``sms-worker``: the parser, the exit codes, and one sentence on standard error for what went wrong."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from worker import __version__
from worker.cli import (
    cancel,
    codes,
    config,
    demo,
    dlq,
    exit_codes,
    holds,
    limits,
    publish,
    run,
    sandbox,
    simulate,
    status,
    topology,
)
from worker.cli.context import Context, flags_of
from worker.cli.once import each_option_once
from worker.cli.output import complain
from worker.cli.standard import guard
from worker.errors import (
    BrokerUnavailable,
    LimiterUnavailable,
    SettingsError,
    TopologyMismatch,
    UsageError,
    WorkerError,
)
from worker.telemetry.trace import trace

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
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done; 1 something failed; 2 wrong usage or configuration; 3 RabbitMQ or Redis cannot be "
    "reached, or queues differ; 4 a worker left with something in hand; 130 interrupted.",
)
app.command()(run.run)
app.command()(publish.publish)
app.command()(cancel.cancel)
app.command()(status.status)
app.command()(codes.codes)
app.command()(sandbox.sandbox)
app.command()(simulate.simulate)
app.command()(demo.demo)
app.add_typer(dlq.app, name="dlq")
app.add_typer(holds.app, name="holds")
app.add_typer(limits.app, name="limits")
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

    Without --config, the files named in SMS_WORKER_CONFIG are read, separated by colons. The next sources are
    variables, SMS_WORKER__BROKER__URL for broker.url, and --set.

    To see it work with everything it needs, from a checkout: `make demo`
    """
    named = [Path(name) for name in os.environ.get("SMS_WORKER_CONFIG", "").split(":") if name]
    context.obj = Context(tuple(files or named), flags_of(assignments or []))


def main() -> None:
    """Run the command line and leave with its exit code."""
    guard()
    logging.getLogger().addHandler(logging.NullHandler())  # what libraries have to say comes as our own sentence
    try:
        command = get_command(app)
        each_option_once(command)
        code = command(standalone_mode=False, prog_name="sms-worker")
        sys.stdout.flush()
    except TyperException as error:
        code = _wrong_usage(error)
    except typer.Abort:
        code = exit_codes.INTERRUPTED
    except WorkerError as error:
        # Only these have lines of their own; another's line end comes from what it quotes.
        lines = str(error).split("\n") if isinstance(error, (SettingsError, TopologyMismatch)) else [str(error)]
        complain(*lines)
        code = next((code for kind, code in _CODES if isinstance(error, kind)), exit_codes.FAILED)
    except Exception as error:  # noqa: BLE001 - the last place where a bug can become a sentence
        complain(
            "an error of this program; please report it with these lines:", *(f"  {line}" for line in trace(error))
        )
        code = exit_codes.FAILED
    sys.exit(code)


def _wrong_usage(error: TyperException) -> int:
    """Say what the command line has wrong; without a text its help was shown, because it was empty."""
    sentence = error.format_message().partition(" Choose from:")[0].replace("Value error, ", "").rstrip(".")
    if sentence:
        place = getattr(getattr(error, "ctx", None), "command_path", "sms-worker")
        complain(f"{sentence}; see: {place} --help")
    return exit_codes.USAGE
