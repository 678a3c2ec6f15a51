"""``sms-worker publish``: one request, or a file of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from worker.broker.connection import connected, open_channel
from worker.broker.depths import depth_of
from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.interrupt import complete
from worker.cli.output import complain, counted, errors, say
from worker.cli.requests import Line, count, read
from worker.cli.sending import Sending
from worker.client import Publisher
from worker.core.lane import Lane, SmsType
from worker.core.topology import Topology
from worker.errors import UsageError, WorkerError
from worker.settings import BrokerSettings

#: Lines at fault that are named; a file of another format has a fault in every line.
_MOST_TOLD: Final = 50
_COLUMNS: Final = (TextColumn("publishing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


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
    params: Annotated[
        list[str] | None, typer.Option("--param", help="name=value of the template; may be given again.")
    ] = None,
    deadline: Annotated[str | None, typer.Option(help="RFC 3339 instant after which it is useless.")] = None,
    not_before: Annotated[str | None, typer.Option(help="RFC 3339 instant before which it is not sent.")] = None,
    skip: Annotated[int, typer.Option(help="Leave out the first so many requests of the file.", min=0)] = 0,
) -> None:
    """Publish one request from options, or every request of a file; each is confirmed by the broker.

    For example:

        sms-worker publish --id code-1 --to +85251234567 --type OTP --text "4711"
        sms-worker publish campaign.csv
        sms-worker publish campaign.jsonl --skip 4000

    The header of a CSV names the fields: id, to, type, text, from, template, deadline, not_before, task_id, and any
    number of params.NAME and metadata.NAME; empty cells are not given. A JSONL file has one request a line. A request
    of a file without an id gets one.

    Lines at fault are named and left out. When publishing is interrupted, the last line says with which --skip to go
    on. Workers remember ids for 72 hours: a request that is published twice is sent once.
    """
    broker = Context.of(context).settings().broker
    options = {"to": to, "type": sms_type, "text": text, "from": sender, "deadline": deadline, "not_before": not_before}
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if template is not None or params:
        given["template"] = {"code": template, "params": dict(map(_pair, params or ()))}
    if (file is None) == (not given) or (file is not None and request_id is not None):
        raise UsageError("give a file, or the options of one request")
    if file is not None:
        _file(broker, file, skip)
    elif request_id is None:
        raise UsageError("--id: give the request an id, by which logs, outcomes and dead letters name it")
    else:
        complete(_one(broker, {"id": request_id, **given}))
        say(f"published {request_id}")


def _file(broker: BrokerSettings, file: Path, skip: int) -> None:
    total = max(count(file) - skip, 0)
    sending = Sending(read(file), skip, _Faults())
    try:
        complete(_all(broker, sending, total))
    except WorkerError as error:
        raise type(error)(f"{error}; {_where(sending)}") from error
    except KeyboardInterrupt:
        complain(f"interrupted; {_where(sending)}")
        raise typer.Exit(exit_codes.INTERRUPTED) from None
    say(f"published {sending.confirmed} of {counted(total, 'request')}")
    if sending.faults:
        complain(f"{counted(sending.faults, 'line')} at fault")
        raise typer.Exit(exit_codes.FAILED)


def _where(sending: Sending) -> str:
    """How far *sending* came, and how to go on."""
    if not sending.ended and not sending.repeated:
        return "nothing was published"
    again = f", after which up to {sending.repeated} may be published already" if sending.repeated else ""
    return f"{counted(sending.confirmed, 'request')} confirmed; go on with --skip {sending.resume_at}{again}"


async def _one(broker: BrokerSettings, body: dict[str, Any]) -> None:
    async with _publisher(broker) as publisher:
        await publisher.publish(body)


async def _all(broker: BrokerSettings, sending: Sending, total: int) -> None:
    async with _publisher(broker) as publisher:
        with Progress(*_COLUMNS, console=errors, transient=True, disable=not errors.is_terminal) as progress:
            bar = progress.add_task("publishing", total=total)
            await sending.run(publisher, lambda: progress.advance(bar))


@asynccontextmanager
async def _publisher(broker: BrokerSettings) -> AsyncIterator[Publisher]:
    """Connect; a broker that refuses is told at once, where a program that runs for days would go on trying."""
    topology = Topology(broker.namespace)
    async with connected(broker, "operate") as connection:
        await depth_of(await open_channel(connection), topology.lane_queue(Lane.OTP))  # raises when nothing is declared
    async with Publisher(
        broker.url.get_secret_value(),
        broker.namespace,
        timeout=broker.publish_timeout,
        connect_timeout=broker.connect_timeout,
    ) as publisher:
        yield publisher


class _Faults:
    """Names the first lines at fault."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, line: Line) -> None:
        self._told += 1
        if self._told <= _MOST_TOLD:
            complain(f"line {line.number}: {line.fault}")
        elif self._told == _MOST_TOLD + 1:
            complain("more lines are at fault; they are only counted")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--param {text}: write it as name=value")
    return name, value
