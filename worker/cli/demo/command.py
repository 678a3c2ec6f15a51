"""The command: options in, exit code out."""

from typing import Annotated

import typer

from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.demo.play import Scenario, play
from worker.cli.demo.report import report
from worker.cli.interrupt import complete


def demo(
    context: typer.Context,
    *,
    requests: Annotated[int, typer.Option(help="How many requests to publish, about.", min=120, max=50_000)] = 1200,
    workers: Annotated[int, typer.Option(help="Worker processes.", min=1, max=16)] = 2,
    quota: Annotated[int, typer.Option(help="Calls per second, shared by all workers.", min=1, max=2000)] = 60,
    patience: Annotated[int, typer.Option(help="Seconds without progress until it gives up.", min=10)] = 60,
) -> None:
    """Show the main job, end to end: publish, limit, send to the sandbox, and settle by error class.

    Needs RabbitMQ and Redis (broker.url, redis.url); `make demo` brings both. Nothing leaves the machine: the sandbox
    plays the provider. It works in a namespace of its own, with settings of its own, and leaves nothing behind. Leaves
    with 1 when the sandbox's books and the queues disagree.

    For example:

        sms-worker demo --requests 3000 --workers 3 --quota 200
    """
    scenario = Scenario(requests, workers, quota, patience)
    if not report(complete(play(Context.of(context).settings(), scenario))):
        raise typer.Exit(exit_codes.FAILED)
