"""``sms-worker topology``: the broker's exchanges and queues."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import typer

from worker.broker.connection import Connection, connected
from worker.broker.declare import declare as declare_topology
from worker.broker.declare import verify as verify_topology
from worker.broker.difference import Difference
from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.interrupt import complete
from worker.cli.options import JsonOption
from worker.cli.output import json_lines, say
from worker.cli.table import listing
from worker.core.topology import Topology
from worker.settings.policy import topology_of

app = typer.Typer(no_args_is_help=True, help="Declare, verify and show RabbitMQ's exchanges and queues.")
_Ask: TypeAlias = Callable[[Connection, Topology], Awaitable[Sequence[Difference]]]


@app.command()
def declare(context: typer.Context) -> None:
    """Declare everything that is missing; what is there and fits is left as it is.

    Leaves with 3 when something that is there differs so that messages can be lost. Workers declare at their start too,
    unless broker.declare is false.

    For example:

        sms-worker topology declare
    """
    differences = _asked(context, declare_topology)
    for difference in differences:
        say(f"- {difference.sentence}")
    say("The topology is declared.")


@app.command()
def verify(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """Say what is missing or differs from the design; nothing is changed. Leaves with 1 when messages can be lost.

    Queues and exchanges are compared. Bindings and policies cannot be seen from here.

    For example:

        sms-worker topology verify
    """
    differences = _asked(context, verify_topology)
    if as_json:
        json_lines(_row(difference) for difference in differences)
    elif differences and all(difference.argument is None for difference in differences):
        say(f"{_missing(differences)}; run: sms-worker topology declare")
    else:
        for difference in differences:
            say(f"- {difference.sentence}")
        if not differences:
            say("The topology is as designed.")
    if any(difference.is_fatal for difference in differences):
        raise typer.Exit(exit_codes.FAILED)


@app.command()
def show(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """List the queues and exchanges as designed; RabbitMQ is not asked.

    For example:

        sms-worker --set broker.namespace=sms2 topology show
    """
    topology = topology_of(Context.of(context).settings())
    designed = [
        *(("queue", queue.name, queue.arguments) for queue in topology.queues()),
        *((f"{exchange.kind} exchange", exchange.name, exchange.arguments) for exchange in topology.exchanges()),
    ]
    rows = [{"kind": kind, "name": name, "arguments": dict(arguments)} for kind, name, arguments in designed]
    if as_json:
        json_lines(rows)
    else:
        shown = [{"kind": kind, "name": name, "arguments": _words(arguments)} for kind, name, arguments in designed]
        listing("Topology", ("kind", "name", "arguments"), shown, wide=("arguments",))


def _asked(context: typer.Context, ask: _Ask) -> Sequence[Difference]:
    settings = Context.of(context).settings()

    async def connect() -> Sequence[Difference]:
        async with connected(settings.broker, "operate") as connection:
            return await ask(connection, topology_of(settings))

    return complete(connect())


def _missing(differences: Sequence[Difference]) -> str:
    """What does not exist: in a namespace where nothing was declared that is all of some sixty."""
    names = [f"{difference.kind} {difference.name}" for difference in differences]
    return f"{len(names)} queues and exchanges do not exist, for example {names[-1]}" if len(names) > 1 else names[0]


def _row(difference: Difference) -> dict[str, Any]:
    return {
        "kind": difference.kind,
        "name": difference.name,
        "argument": difference.argument,
        "expected": difference.expected,
        "actual": difference.actual,
        "can_lose_messages": difference.is_fatal,
    }


def _words(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{key}={value}" for key, value in arguments.items() if key != "x-queue-type")
