"""Commands that only look: ``groups``, ``list`` and ``show``."""

from typing import Annotated, Any, Final

import typer

from worker.broker.dead_letters import MOST, DeadLetters
from worker.broker.letter import Letter
from worker.cli import exit_codes
from worker.cli.dlq.options import ClassArgument, CodeOption, IdsOption, LaneOption, LimitOption
from worker.cli.dlq.session import tell_none, tell_unseen, with_letters
from worker.cli.options import JsonOption
from worker.cli.output import complain, json_line, json_lines, say
from worker.cli.table import listing
from worker.errors import InUse, WorkerError
from worker.operator.letters import Filter, detail, grouped, in_use, lines_of, summary

#: A number with more digits is no position.
_LONGEST_POSITION: Final = len(str(MOST))
_SPARE: Final = ("lane", "attempts", "died")


def groups(context: typer.Context, *, limit: LimitOption = 10_000, as_json: JsonOption = False) -> None:
    """Count the letters by class and code, with what to do about each. Leaves with 1 when somebody else looks too.

    For example:

        sms-worker dlq groups
    """

    async def look(letters: DeadLetters) -> tuple[list[dict[str, Any]], list[str]]:
        rows: list[dict[str, Any]] = []
        taken: list[str] = []
        for error_class, depth in (await letters.groups()).items():
            try:
                found = await letters.scan(error_class, limit) if depth.messages or depth.consumers else []
                rows += grouped(error_class, depth.messages, found)
            except InUse as error:
                rows.append(in_use(error_class, depth.messages))
                taken.append(str(error))
        return rows, taken

    rows, taken = with_letters(context, look)
    if as_json:
        json_lines(rows)
    elif rows:
        columns = ("class", "code", "letters", "oldest", "newest", "remedy")
        listing("Dead letters", columns, rows, wide=("remedy",), spare=("oldest", "newest"))
    else:
        say("There are no dead letters.")
    for sentence in taken:
        complain(sentence)
    if taken:
        raise typer.Exit(exit_codes.FAILED)


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

    Leaves with 1 when no letter is as --id, --code and --from-lane ask for it.

    For example:

        sms-worker dlq list recipient --code MOBILE_NUMBER_ILLEGAL --limit 1000
    """
    chosen = Filter(frozenset(ids or ()), code, from_lane)

    async def look(letters: DeadLetters) -> tuple[int, list[Letter]]:
        return (await letters.groups())[error_class].messages, await letters.scan(error_class, limit)

    depth, found = with_letters(context, look)
    rows = [summary(letter) for letter in found if chosen(letter)]
    if as_json:
        json_lines(rows)
    elif rows:
        columns = ("position", "id", "code", "reason", "lane", "attempts", "died")
        listing(f"Dead letters: {error_class.value}", columns, rows, wide=("reason",), spare=_SPARE)
    elif chosen.is_open:
        say(f"There are no letters of class {error_class.value}.")
    if not rows and not chosen.is_open:
        tell_none(error_class, len(found), depth)
        raise typer.Exit(exit_codes.FAILED)
    tell_unseen(len(found), depth)


def show(
    context: typer.Context,
    error_class: ClassArgument,
    letter: Annotated[str, typer.Argument(help="Position as list shows it, or request id.")],
    *,
    body: Annotated[
        bool, typer.Option("--body", help="Show its publisher's body and headers too: they hold number and text.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one letter whole: reason, remedy, history, headers.

    For example:

        sms-worker dlq show unknown order-17 --body
    """

    async def look(letters: DeadLetters) -> tuple[int, Letter | None]:
        depth, found = (await letters.groups())[error_class].messages, None
        if letter.isascii() and letter.isdecimal() and len(letter) <= _LONGEST_POSITION and int(letter):
            found = await letters.show(error_class, int(letter))
        return depth, found or await letters.show(error_class, letter)

    depth, found = with_letters(context, look)
    if found is None:
        some = f"the oldest {MOST} of {depth}" if depth > MOST else f"the {depth}"
        raise WorkerError(f"there is no letter {letter} among {some} of class {error_class.value}")
    shown = detail(found, body=body)
    if as_json:
        json_line(shown)
    else:
        listing(f"Dead letter {letter}", ("field", "value"), lines_of(shown), wide=("value",))
