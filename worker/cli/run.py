"""``sms-worker run``: a worker."""

from typing import Annotated

import typer

from worker.app import run as run_worker
from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.standard import hurry
from worker.core.message.lane import Lane
from worker.errors import UsageError


def run(
    context: typer.Context,
    *,
    lanes: Annotated[
        str | None,
        typer.Option(help=f"Only these lanes, separated by commas: {','.join(Lane)}.", show_default="worker.lanes"),
    ] = None,
) -> None:
    """Take requests from RabbitMQ and send them, until SIGTERM or Ctrl-C.

    The first signal drains: no new messages, what is in hand is finished or requeued. A second one leaves at once.
    RabbitMQ or Redis that is away is waited for; the worker says so in its log and at /readyz.

    For example:

        sms-worker --config config/worker.prod.toml run --lanes otp
    """
    hurry()
    settings = Context.of(context).settings()
    if lanes is not None:
        chosen = settings.worker.model_copy(update={"lanes": _lanes(lanes)})
        settings = settings.model_copy(update={"worker": chosen})
    if not run_worker(settings):
        raise typer.Exit(exit_codes.LEFT_AT_ONCE)


def _lanes(text: str) -> tuple[Lane, ...]:
    try:
        return tuple(dict.fromkeys(Lane(name.strip()) for name in text.split(",")))
    except ValueError as error:
        raise UsageError(f"--lanes {text}: choose among {', '.join(Lane)}, separated by commas") from error
