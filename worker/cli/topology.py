"""``sms-worker topology``: the broker's exchanges and queues."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from worker.broker.connection import connected
from worker.broker.declare import declare as declare_topology
from worker.broker.declare import verify as verify_topology
from worker.broker.difference import Difference
from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.output import console, listing
from worker.settings import Settings
from worker.terms import topology_of

app = typer.Typer(no_args_is_help=True, help="Declare, verify and show RabbitMQ's exchanges and queues.")


@app.command()
def declare(context: typer.Context) -> None:
    """Declare everything that is missing; what is there and fits is left as it is.

    Workers do this at their start, unless broker.declare is false.
    """
    differences = asyncio.run(_declare(Context.of(context).settings()))
    _tell(differences, "The topology is declared.")


@app.command()
def verify(context: typer.Context) -> None:
    """Say what is missing or differs from the design; nothing is changed. Leaves with 1 when messages can be lost."""
    differences = asyncio.run(_verify(Context.of(context).settings()))
    _tell(differences, "The topology is as designed.")
    if any(difference.is_fatal for difference in differences):
        raise typer.Exit(exit_codes.FAILED)


@app.command()
def show(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the queues and exchanges as designed; RabbitMQ is not asked."""
    topology = topology_of(Context.of(context).settings())
    designed = [
        *(("queue", queue.name, queue.arguments) for queue in topology.queues()),
        *((f"{exchange.kind} exchange", exchange.name, exchange.arguments) for exchange in topology.exchanges()),
    ]
    rows = [
        {"kind": kind, "name": name, "arguments": arguments if as_json else _words(arguments)}
        for kind, name, arguments in designed
    ]
    listing("Topology", ("kind", "name", "arguments"), rows, as_json=as_json)


def _words(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in arguments.items())


async def _declare(settings: Settings) -> list[Difference]:
    async with connected(settings.broker, "operate") as connection:
        return await declare_topology(connection, topology_of(settings))


async def _verify(settings: Settings) -> list[Difference]:
    async with connected(settings.broker, "operate") as connection:
        return await verify_topology(connection, topology_of(settings))


def _tell(differences: list[Difference], otherwise: str) -> None:
    for difference in differences:
        console.print(f"- {difference.sentence}", markup=False)
    if not differences:
        console.print(otherwise)
