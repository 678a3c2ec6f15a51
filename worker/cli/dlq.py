"""``sms-worker dlq``: the dead letters. Looking never changes them; replay and discard say what they will do first."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import orjson
import typer

from worker.broker.dead_letters import MOST, DeadLetters, open_dead_letters
from worker.broker.letter import Letter
from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.letters import Filter, detail, exported, grouped, summary
from worker.cli.output import console, json_line, listing
from worker.cli.quiet import Quiet
from worker.core.lane import Lane
from worker.core.outcome import DEAD_CLASSES, ErrorClass
from worker.errors import UsageError
from worker.terms import topology_of

app = typer.Typer(no_args_is_help=True, help="Look into the dead-letter queues, replay, discard and export.")
T = TypeVar("T")

ClassArgument: TypeAlias = Annotated[
    ErrorClass, typer.Argument(metavar="CLASS", help=f"One of {', '.join(DEAD_CLASSES)}.", show_default=False)
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
LimitOption: TypeAlias = Annotated[int, typer.Option(help="Look at the oldest so many letters.", min=1, max=MOST)]
IdsOption: TypeAlias = Annotated[list[str] | None, typer.Option("--id", help="Letters of this request id.")]
CodeOption: TypeAlias = Annotated[str | None, typer.Option(help="Letters with this code.")]
LaneOption: TypeAlias = Annotated[Lane | None, typer.Option("--from-lane", help="Letters that came from this lane.")]
AllOption: TypeAlias = Annotated[bool, typer.Option("--all", help="Every letter looked at.")]
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def groups(context: typer.Context, *, limit: LimitOption = 10_000, as_json: JsonOption = False) -> None:
    """Count the letters by class and code, with what to do about each.

    Example: sms-worker dlq groups
    """

    async def look(letters: DeadLetters) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for error_class, depth in (await letters.groups()).items():
            rows += grouped(error_class, depth, await letters.scan(error_class, limit) if depth else [])
        return rows

    rows = _with_letters(context, look)
    if not rows and not as_json:
        console.print("There are no dead letters.")
        return
    listing("Dead letters", ("class", "code", "letters", "oldest", "newest", "remedy"), rows, as_json=as_json)


@app.command("list")
def list_letters(
    context: typer.Context,
    error_class: ClassArgument,
    *,
    ids: IdsOption = None,
    code: CodeOption = None,
    from_lane: LaneOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List the letters of a class, the oldest first. Numbers and texts are not shown.

    Example: sms-worker dlq list recipient --code MOBILE_NUMBER_ILLEGAL
    """
    chosen = Filter(frozenset(ids or ()), code, from_lane)
    found = _with_letters(context, lambda letters: letters.scan(_dead(error_class), limit))
    rows = [summary(letter) for letter in found if chosen(letter)]
    columns = ("position", "id", "code", "reason", "lane", "attempts", "died")
    listing(f"Dead letters: {error_class.value}", columns, rows, as_json=as_json)


@app.command()
def show(
    context: typer.Context,
    error_class: ClassArgument,
    letter: Annotated[str, typer.Argument(help="Request id, or position as list shows it.")],
    *,
    body: Annotated[bool, typer.Option("--body", help="Show the body too: it holds the number and the text.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one letter whole: reason, remedy, history, headers.

    Example: sms-worker dlq show unknown order-17 --body
    """
    wanted = int(letter) if letter.isdecimal() and len(letter) <= 6 else letter  # noqa: PLR2004 - positions are short
    found = _with_letters(context, lambda letters: letters.show(_dead(error_class), wanted))
    if found is None:
        raise UsageError(f"there is no letter {letter} among the {MOST} oldest of class {error_class.value}")
    if as_json:
        json_line(detail(found, body=body))
        return
    rows = [{"field": key, "value": value} for key, value in detail(found, body=body).items()]
    listing(f"Dead letter {letter}", ("field", "value"), rows, as_json=False)


@app.command()
def replay(
    context: typer.Context,
    error_class: ClassArgument,
    *,
    ids: IdsOption = None,
    code: CodeOption = None,
    from_lane: LaneOption = None,
    everything: AllOption = False,
    to_lane: Annotated[Lane | None, typer.Option(help="Publish to this lane, whatever they came from.")] = None,
    limit: LimitOption = 1000,
    yes: YesOption = False,
) -> None:
    """Bring letters back to their lane with fresh counters; their history stays.

    Each is published and confirmed before it leaves the dead-letter queue.

    Example: sms-worker dlq replay unknown --id order-17
    """
    chosen = _chosen(ids, code, from_lane, everything=everything)
    _ask(context, "Replay", error_class, chosen, limit, yes=yes)
    moved = _with_letters(
        context, lambda letters: letters.replay(_dead(error_class), chosen, limit=limit, lane=to_lane)
    )
    console.print(f"replayed {len(moved)} letters")


@app.command()
def discard(
    context: typer.Context,
    error_class: ClassArgument,
    *,
    ids: IdsOption = None,
    code: CodeOption = None,
    from_lane: LaneOption = None,
    everything: AllOption = False,
    limit: LimitOption = 1000,
    yes: YesOption = False,
) -> None:
    """Throw letters away for good.

    Example: sms-worker dlq discard expired --all
    """
    chosen = _chosen(ids, code, from_lane, everything=everything)
    _ask(context, "Discard for good", error_class, chosen, limit, yes=yes)
    gone = _with_letters(context, lambda letters: letters.discard(_dead(error_class), chosen, limit=limit))
    console.print(f"discarded {len(gone)} letters")


@app.command()
def export(
    context: typer.Context,
    error_class: ClassArgument,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; standard output if not given.")] = None,
    limit: LimitOption = MOST,
) -> None:
    """Write letters as JSON lines, bodies included: they hold numbers and texts. The letters stay.

    Example: sms-worker dlq export malformed -o malformed.jsonl
    """
    found = _with_letters(context, lambda letters: letters.scan(_dead(error_class), limit))
    if output is None:
        for letter in found:
            json_line(exported(letter))
        return
    with output.open("wb") as file:
        file.writelines(orjson.dumps(exported(letter)) + b"\n" for letter in found)
    console.print(f"exported {len(found)} letters", markup=False)


def _with_letters(context: typer.Context, act: Callable[[DeadLetters], Awaitable[T]]) -> T:
    settings = Context.of(context).settings()

    async def run() -> T:
        topology = topology_of(settings)
        async with open_dead_letters(settings.broker, topology, Quiet(), now=lambda: datetime.now(UTC)) as letters:
            return await act(letters)

    return asyncio.run(run())


def _dead(error_class: ErrorClass) -> ErrorClass:
    if error_class not in DEAD_CLASSES:
        raise UsageError(f"class {error_class.value} has no dead letters; those have: {', '.join(DEAD_CLASSES)}")
    return error_class


def _chosen(ids: list[str] | None, code: str | None, lane: Lane | None, *, everything: bool) -> Filter:
    chosen = Filter(frozenset(ids or ()), code, lane)
    if chosen.is_open != everything:
        raise UsageError("choose letters with --id, --code or --from-lane, or say --all")
    return chosen


def _ask(context: typer.Context, what: str, error_class: ErrorClass, chosen: Filter, limit: int, *, yes: bool) -> None:
    if yes:
        return
    found: list[Letter] = _with_letters(context, lambda letters: letters.scan(_dead(error_class), limit))
    count = sum(map(chosen, found))
    if not count:
        console.print("No letter is chosen.")
        raise typer.Exit(exit_codes.FAILED)
    typer.confirm(f"{what} {count} of the {len(found)} letters of class {error_class.value}?", abort=True)
