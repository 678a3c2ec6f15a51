"""The command: options in, exit code out."""

import asyncio
from typing import Annotated

import typer

from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.demo.play import Script, play
from worker.cli.demo.report import report


def demo(
    context: typer.Context,
    *,
    requests: Annotated[int, typer.Option(help="How many requests to publish, about.", min=120, max=100_000)] = 1200,
    workers: Annotated[int, typer.Option(help="Worker processes.", min=1, max=16)] = 2,
    quota: Annotated[int, typer.Option(help="Calls per second, shared by all workers.", min=1, max=2000)] = 60,
    patience: Annotated[int, typer.Option(help="Seconds to wait for the last request.", min=10)] = 90,
) -> None:
    """Show the main job, end to end: publish, limit, send to the sandbox, and settle by error class.

    Needs RabbitMQ and Redis (broker.url, redis.url); make demo brings both. It works in a namespace of its own and
    leaves nothing behind. It leaves with 1 when the sandbox's books and the queues disagree.
    """
    script = Script(requests, workers, quota, patience)
    ended = asyncio.run(play(Context.of(context).settings(), script))
    if not report(ended):
        raise typer.Exit(exit_codes.FAILED)
