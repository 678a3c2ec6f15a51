"""``sms-worker dlq``: the dead letters. Looking never changes them; replay and discard say what they will do first."""

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeAlias, TypeVar

import typer

from worker.broker.dead_letters import MOST, DeadLetters, open_dead_letters
from worker.broker.letter import Letter
from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.interrupt import complete
from worker.cli.letters import Filter, detail, grouped, lines_of, summary
from worker.cli.options import JsonOption
from worker.cli.output import complain, dumped, json_line, json_lines, listing, say
from worker.cli.quiet import Quiet
from worker.core.lane import Lane
from worker.core.outcome import DEAD_CLASSES, ErrorClass
from worker.errors import UsageError, WorkerError
from worker.terms import topology_of

app = typer.Typer(no_args_is_help=True, help="Look into the dead-letter queues, replay, discard and export.")
T = TypeVar("T")

#: Positions have no more digits.
_LONGEST_POSITION = len(str(MOST))


def _dead_class(text: str) -> ErrorClass:
    if text not in DEAD_CLASSES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(DEAD_CLASSES)}")
    return ErrorClass(text)


ClassArgument: TypeAlias = Annotated[
    ErrorClass, typer.Argument(metavar="CLASS", parser=_dead_class, help=f"One of {', '.join(DEAD_CLASSES)}.")
]
LimitOption: TypeAlias = Annotated[int, typer.Option(help="Look at the oldest so many letters.", min=1, max=MOST)]
IdsOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--id", help="Letters of this request id; may be given again.")
]
CodeOption: TypeAlias = Annotated[str | None, typer.Option(help="Letters with this code.")]
LaneOption: TypeAlias = Annotated[Lane | None, typer.Option("--from-lane", help="Letters that came from this lane.")]
AllOption: TypeAlias = Annotated[bool, typer.Option("--all", help="Every letter that is looked at.")]
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def groups(context: typer.Context, *, limit: LimitOption = 10_000, as_json: JsonOption = False) -> None:
    """Count the letters by class and code, with what to do about each.

    For example:

        sms-worker dlq groups
    """

    async def look(letters: DeadLetters) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for error_class, depth in (await letters.groups()).items():
            rows += grouped(error_class, depth, await letters.scan(error_class, limit) if depth else [])
        return rows

    rows = _with_letters(context, look)
    if as_json:
        json_lines(rows)
    elif rows:
        columns = ("class", "code", "letters", "oldest", "newest", "remedy")
        listing("Dead letters", columns, rows, wide=("remedy",), spare=("oldest", "newest"))
    else:
        say("There are no dead letters.")


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

    For example:

        sms-worker dlq list recipient --code MOBILE_NUMBER_ILLEGAL --limit 1000
    """
    chosen = Filter(frozenset(ids or ()), code, from_lane)

    async def look(letters: DeadLetters) -> tuple[list[Letter], int]:
        return await letters.scan(error_class, limit), (await letters.groups())[error_class]

    found, depth = _with_letters(context, look)
    rows = [summary(letter) for letter in found if chosen(letter)]
    if as_json:
        json_lines(rows)
    elif rows:
        columns = ("position", "id", "code", "reason", "lane", "attempts", "died")
        listing(f"Dead letters: {error_class.value}", columns, rows, wide=("reason",), spare=("lane", "attempts"))
    else:
        say(f"There are no such letters of class {error_class.value}.")
    _tell_unseen(len(found), depth)


@app.command()
def show(
    context: typer.Context,
    error_class: ClassArgument,
    letter: Annotated[str, typer.Argument(help="Position as list shows it, or request id.")],
    *,
    body: Annotated[
        bool, typer.Option("--body", help="Show body and headers of its publisher: they hold number and text.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one letter whole: reason, remedy, history, headers.

    For example:

        sms-worker dlq show unknown order-17 --body
    """

    async def look(letters: DeadLetters) -> Letter | None:
        found = None
        if letter.isascii() and letter.isdecimal() and len(letter) <= _LONGEST_POSITION and int(letter):
            found = await letters.show(error_class, int(letter))
        return found or await letters.show(error_class, letter)

    found = _with_letters(context, look)
    if found is None:
        raise WorkerError(f"there is no letter {letter} among the {MOST} oldest of class {error_class.value}")
    shown = detail(found, body=body)
    if as_json:
        json_line(shown)
    else:
        listing(f"Dead letter {letter}", ("field", "value"), lines_of(shown), wide=("value",))


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

    Each is published and confirmed before it leaves the dead-letter queue. Check letters of class unknown first: they
    may have been sent.

    For example:

        sms-worker dlq replay unknown --id order-17 --id order-18

        sms-worker dlq replay limited --all
    """
    chosen = _chosen(ids, code, from_lane, everything=everything)
    _ask(context, "Replay", error_class, chosen, limit, yes=yes)
    _move(
        context,
        "replayed",
        error_class,
        chosen,
        limit,
        lambda letters: letters.replay(error_class, chosen, limit=limit, lane=to_lane),
    )


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

    For example:

        sms-worker dlq discard expired --from-lane otp
    """
    chosen = _chosen(ids, code, from_lane, everything=everything)
    _ask(context, "Discard for good", error_class, chosen, limit, yes=yes)
    _move(
        context,
        "discarded",
        error_class,
        chosen,
        limit,
        lambda letters: letters.discard(error_class, chosen, limit=limit),
    )


@app.command()
def export(
    context: typer.Context,
    error_class: ClassArgument,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file, for you only; standard output if not given.")
    ] = None,
    limit: LimitOption = MOST,
) -> None:
    """Write letters as JSON lines, bodies included: they hold numbers and texts. The letters stay.

    For example:

        sms-worker dlq export malformed --output malformed.jsonl
    """
    file = sys.stdout.buffer if output is None else _new_file(output)

    async def write(letters: DeadLetters) -> tuple[int, int]:
        written = 0
        async with aclosing(letters.export(error_class, limit)) as found:
            async for letter in found:
                file.write(dumped(detail(letter, body=True)))
                written += 1
        file.flush()
        return written, (await letters.groups())[error_class]

    written, depth = _with_letters(context, write)
    if output is not None:
        file.close()
        say(f"exported {written} letters to {output}")
    _tell_unseen(written, depth)


def _with_letters(context: typer.Context, act: Callable[[DeadLetters], Awaitable[T]]) -> T:
    settings = Context.of(context).settings()

    async def run() -> T:
        topology = topology_of(settings)
        async with open_dead_letters(settings.broker, topology, Quiet(), now=lambda: datetime.now(UTC)) as letters:
            return await act(letters)

    return complete(run())


def _chosen(ids: list[str] | None, code: str | None, lane: Lane | None, *, everything: bool) -> Filter:
    chosen = Filter(frozenset(ids or ()), code, lane)
    if chosen.is_open != everything:
        raise UsageError("choose letters with --id, --code or --from-lane, or say --all")
    return chosen


def _ask(context: typer.Context, what: str, error_class: ErrorClass, chosen: Filter, limit: int, *, yes: bool) -> None:
    if yes:
        return
    found = _with_letters(context, lambda letters: letters.scan(error_class, limit))
    count = sum(map(chosen, found))
    if not count:
        return  # there is nothing to agree to, and what follows says so
    question = f"{what} {count} of the {len(found)} letters of class {error_class.value} that were looked at?"
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise UsageError("there is nobody to ask: say --yes") from None
    if not agreed:
        complain("nothing was changed")
        raise typer.Exit(exit_codes.FAILED)


def _move(
    context: typer.Context,
    done: str,
    error_class: ErrorClass,
    chosen: Filter,
    limit: int,
    move: Callable[[DeadLetters], Awaitable[Sequence[Letter]]],
) -> None:
    async def act(letters: DeadLetters) -> tuple[Sequence[Letter], int]:
        depth = (await letters.groups())[error_class]
        return await move(letters), depth

    moved, depth = _with_letters(context, act)
    say(f"{done} {len(moved)} letters of class {error_class.value}")
    _tell_unseen(min(limit, depth), depth)
    missed = chosen.missed(moved)
    if missed:
        complain(f"no letter was found of: {', '.join(missed)}")
    if missed or not (moved or chosen.is_open):
        raise typer.Exit(exit_codes.FAILED)


def _tell_unseen(seen: int, depth: int) -> None:
    if seen < depth:
        complain(f"the oldest {seen} of {depth} letters were looked at; see more with --limit")


def _new_file(path: Path) -> BinaryIO:
    """For the owner only, because of the numbers in it; never over an older one, whose letters may be gone."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError:
        raise UsageError(f"--output {path}: there is such a file already") from None
    except OSError as error:
        raise UsageError(f"--output {path}: {error.strerror}") from error
