"""Commands that take letters out of their queue: ``replay`` and ``discard``. They ask first."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import typer

from worker.broker.dead_letters import DeadLetters
from worker.broker.letter import Letter
from worker.cli import exit_codes
from worker.cli.dlq.options import (
    AllOption,
    ClassArgument,
    CodeOption,
    IdsOption,
    LaneOption,
    LimitOption,
    YesOption,
)
from worker.cli.dlq.session import tell_none, tell_unseen, with_letters
from worker.cli.output import complain, counted, say
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.errors import UsageError
from worker.operator.letters import Agreed, Filter


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
    may have been sent. Leaves with 1 when no letter is as --id, --code and --from-lane ask for it; that --all finds
    none is no failure.

    For example:

        sms-worker dlq replay unknown --id order-17 --id order-18
        sms-worker dlq replay limited --all
    """
    chosen = _chosen(ids, code, from_lane, everything=everything)
    agreed = chosen if yes else _ask(context, "Replay", error_class, chosen, limit)

    async def move(letters: DeadLetters) -> Sequence[Letter]:
        return await letters.replay(error_class, agreed, limit=limit, lane=to_lane)

    _move(context, move, "replayed", error_class, chosen, limit)


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
    """Throw letters away for good. Leaves with 1 as replay does.

    For example:

        sms-worker dlq discard expired --from-lane otp
    """
    chosen = _chosen(ids, code, from_lane, everything=everything)
    agreed = chosen if yes else _ask(context, "Discard for good", error_class, chosen, limit)

    async def move(letters: DeadLetters) -> Sequence[Letter]:
        return await letters.discard(error_class, agreed, limit=limit)

    _move(context, move, "discarded", error_class, chosen, limit)


def _chosen(ids: list[str] | None, code: str | None, lane: Lane | None, *, everything: bool) -> Filter:
    chosen = Filter(frozenset(ids or ()), code, lane)
    if chosen.is_open != everything:
        raise UsageError("choose letters with --id, --code or --from-lane, or say --all")
    return chosen


def _ask(context: typer.Context, what: str, error_class: ErrorClass, chosen: Filter, limit: int) -> Agreed:
    found = with_letters(context, lambda letters: letters.scan(error_class, limit))
    meant = [letter for letter in found if chosen(letter)]
    if not meant:
        return Agreed([])  # there is nothing to agree to, and what follows says so
    question = (
        f"{what} {len(meant)} of {counted(len(found), 'letter')} of class {error_class.value} that were looked at?"
    )
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise UsageError("there is nobody to ask: say --yes") from None
    if not agreed:
        complain("nothing was changed")
        raise typer.Exit(exit_codes.FAILED)
    return Agreed(meant)


def _move(
    context: typer.Context,
    move: Callable[[DeadLetters], Awaitable[Sequence[Letter]]],
    done: str,
    error_class: ErrorClass,
    chosen: Filter,
    limit: int,
) -> None:
    async def act(letters: DeadLetters) -> tuple[int, Sequence[Letter]]:
        return (await letters.groups())[error_class].messages, await move(letters)

    depth, moved = with_letters(context, act)
    say(f"{done} {counted(len(moved), 'letter')} of class {error_class.value}")
    is_missing = not (moved or chosen.is_open)
    if is_missing:
        tell_none(error_class, min(limit, depth), depth)
    else:
        tell_unseen(min(limit, depth), depth)
    missed = chosen.missed(moved)
    if missed:
        complain(f"no letter was found of: {', '.join(missed)}")
    if missed or is_missing:
        raise typer.Exit(exit_codes.FAILED)
