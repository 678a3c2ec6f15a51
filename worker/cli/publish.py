"""``sms-worker publish``: one request, or a file of them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.output import console, errors
from worker.cli.requests import from_file
from worker.client import Publisher
from worker.core.lane import SmsType
from worker.errors import BrokerUnavailable, UsageError, WorkerError
from worker.settings import Settings

#: Publishes that wait for their confirm at once.
_IN_FLIGHT: Final = 200


def publish(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="A .csv or .jsonl file of requests.", show_default=False)] = None,
    *,
    request_id: Annotated[str | None, typer.Option("--id", help="Your own name of the request.")] = None,
    to: Annotated[str | None, typer.Option(help="E.164 number of the recipient.")] = None,
    sms_type: Annotated[SmsType | None, typer.Option("--type", help="Decides the lane.")] = None,
    text: Annotated[str | None, typer.Option(help="The message.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Sender ID; with a template, its signature.")] = None,
    template: Annotated[str | None, typer.Option(help="Template code (mainland China).")] = None,
    params: Annotated[list[str] | None, typer.Option("--param", help="name=value of the template.")] = None,
    deadline: Annotated[str | None, typer.Option(help="RFC 3339 instant after which it is useless.")] = None,
    not_before: Annotated[str | None, typer.Option(help="RFC 3339 instant before which it is not sent.")] = None,
    skip: Annotated[int, typer.Option(help="Leave out the first so many requests of the file.", min=0)] = 0,
) -> None:
    """Publish one request from options, or every request of a file; each is confirmed by the broker.

    Examples:
      sms-worker publish --id order-17 --to +85251234567 --type OTP --text "Your code is 4711"

      sms-worker publish campaign.csv

    A file whose publishing was interrupted goes on with --skip; the message says where. Workers do not remember ids: a
    request that is published twice is sent twice.
    """
    settings = Context.of(context).settings()
    options = {"to": to, "type": sms_type, "text": text, "from": sender, "deadline": deadline, "not_before": not_before}
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if template is not None:
        given["template"] = {"code": template, "params": dict(_pair(pair) for pair in params or ())}
    if (file is None) == (not given):
        raise UsageError("give a file, or the options of one request")
    if file is None:
        if request_id is None:
            raise UsageError("--id: give the request an id, by which logs, outcomes and dead letters name it")
        asyncio.run(_one(settings, {"id": request_id, **given}))
        console.print(f"published {request_id}", markup=False)
        return
    bodies = list(from_file(file))[skip:]
    done, faults = asyncio.run(_all(settings, bodies))
    console.print(f"published {done} of {len(bodies)} requests", markup=False)
    if faults:
        raise typer.Exit(exit_codes.FAILED)


async def _one(settings: Settings, body: dict[str, Any]) -> None:
    async with Publisher(settings.broker.url.get_secret_value(), settings.broker.namespace) as publisher:
        await publisher.publish(body)


async def _all(settings: Settings, bodies: list[tuple[int, dict[str, Any]]]) -> tuple[int, int]:
    """Publish *bodies*; returns how many were confirmed and how many were at fault."""
    done = faults = 0
    columns = (TextColumn("publishing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    waiting = iter(bodies)
    async with Publisher(settings.broker.url.get_secret_value(), settings.broker.namespace) as publisher:
        with Progress(*columns, console=errors, transient=True) as progress:
            bar = progress.add_task("publishing", total=len(bodies))

            async def lane(waiting: Iterator[tuple[int, dict[str, Any]]]) -> None:
                nonlocal done, faults
                for line, body in waiting:
                    try:
                        await publisher.publish(body)
                        done += 1
                    except UsageError as error:
                        faults += 1
                        errors.print(f"line {line}: {error}", markup=False)
                    progress.advance(bar)

            try:
                async with asyncio.TaskGroup() as lanes:
                    for _ in range(_IN_FLIGHT):
                        lanes.create_task(lane(waiting), name="publish")
            except* WorkerError as group:
                first = group.exceptions[0]
                # Those in flight may or may not have arrived: going on a window earlier loses none, and repeats some.
                again = max(done + faults - _IN_FLIGHT, 0)
                text = f"{first}; {done} were confirmed; go on with --skip {again}, which may repeat up to {_IN_FLIGHT}"
                raise (
                    BrokerUnavailable(text) if isinstance(first, BrokerUnavailable) else WorkerError(text)
                ) from group
    return done, faults


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--param {text}: write it as name=value")
    return name, value
