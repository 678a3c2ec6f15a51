"""``sms-worker publish``: one request, or a file of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.broker.connection import connected, open_channel
from worker.broker.depths import depth_of
from worker.cli.context import Context
from worker.cli.interrupt import complete
from worker.cli.output import say
from worker.cli.publish_file import publish_file
from worker.cli.requests import Format
from worker.cli.requests.late import LATE, is_late
from worker.client import Publisher
from worker.core.message.lane import Lane, SmsType
from worker.core.topology import Topology
from worker.errors import UsageError
from worker.settings.sections import BrokerSettings


def _type(text: str) -> SmsType:
    try:
        return SmsType(text.upper())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(map(repr, map(str, SmsType)))}") from None


def publish(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A .csv or .jsonl file of requests; - is standard input.", show_default=False)
    ] = None,
    *,
    request_id: Annotated[str | None, typer.Option("--id", help="Your own name of the request.")] = None,
    to: Annotated[str | None, typer.Option(help="E.164 number of the recipient.")] = None,
    sms_type: Annotated[
        SmsType | None,
        typer.Option("--type", metavar="OTP|NOTIFY|MKT", parser=_type, help="Decides the lane.", show_choices=False),
    ] = None,
    text: Annotated[str | None, typer.Option(help="The message.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Sender ID; with a template, its signature.")] = None,
    template: Annotated[str | None, typer.Option(help="Template code (mainland China).")] = None,
    params: Annotated[
        list[str] | None, typer.Option("--param", help="name=value of the template; may be given again.")
    ] = None,
    deadline: Annotated[str | None, typer.Option(help="RFC 3339 instant after which it is useless.")] = None,
    not_before: Annotated[str | None, typer.Option(help="RFC 3339 instant before which it is not sent.")] = None,
    skip: Annotated[int, typer.Option(help="Leave out the first so many requests of the file.", min=0)] = 0,
    written: Annotated[
        Format | None,
        typer.Option("--format", help="How the file is written, whatever its name says.", case_sensitive=False),
    ] = None,
) -> None:
    """Publish one request from options, or every request of a file; each is confirmed by the broker.

    For example:

        sms-worker publish --id code-1 --to +85251234567 --type OTP --text "4711"
        sms-worker publish campaign.csv
        sms-worker publish campaign.jsonl --skip 4000
        zcat campaign.csv.gz | sms-worker publish -

    The header of a CSV names the fields: id, to, type, text, from, template, deadline, not_before, task_id, and any
    number of params.NAME and metadata.NAME; empty cells are not given. A JSONL file has one request a line. A request
    of a file without an id gets one. Files are in UTF-8, or in UTF-16 with a byte order mark.

    Lines at fault are named and left out. When publishing is interrupted, the last line says with which --skip to go
    on. Workers remember ids for 72 hours: a request that is published twice is sent once.
    """
    broker = Context.of(context).settings().broker
    options = {"to": to, "type": sms_type, "text": text, "from": sender, "deadline": deadline, "not_before": not_before}
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if template is not None or params:
        given["template"] = {"code": template, "params": _pairs(params or [])}
    if (file is None) == (not given) or (file is not None and request_id is not None):
        raise UsageError("give a file, or the options of one request")
    if file is not None:
        publish_file(_publisher(broker), file, written, skip)
    elif skip or written:
        raise UsageError("--skip, --format: go with a file")
    elif request_id is None:
        raise UsageError("--id: give the request an id, by which logs, outcomes and dead letters name it")
    elif is_late(given, lambda: datetime.now(UTC)):
        raise UsageError(f"the request is not published: {LATE}")
    else:
        complete(_one(broker, {"id": request_id, **given}))
        say(f"published {request_id}")


async def _one(broker: BrokerSettings, body: dict[str, Any]) -> None:
    async with _publisher(broker) as publisher:
        await publisher.publish(body)


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


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--param {text}: write it as name=value")
        if name in pairs:
            raise UsageError(f"--param {name}: is given twice; give it once")
        pairs[name] = value
    return pairs
