"""``sms-worker cancel``: requests, or a campaign, for which no call begins any more."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import TypeAdapter, ValidationError

from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.interrupt import complete
from worker.cli.options import JsonOption
from worker.cli.output import complain, counted, json_lines, say
from worker.cli.requests.ids import read_ids
from worker.core.limits.cancels import Cancel, until_certain
from worker.core.message.fault import problem
from worker.core.message.request import REQUEST_ID
from worker.errors import LimiterUnavailable, UsageError, WorkerError
from worker.limiter.operators import OperatorLimiter
from worker.operator.eta import in_words
from worker.settings.sections import Settings
from worker.settings.types import PositiveDuration

#: Ids that Redis is asked about at once.
_AT_ONCE: Final = 1_000
#: Up to so many ids each is told; of more, those for which a call may have been made, up to the second number.
_FEW: Final = 20
_MOST_TOLD: Final = 50
#: A value of a request's metadata is no longer.
_LONGEST_CAMPAIGN: Final = 256
_LONGEST: Final = timedelta(days=366)
_LENGTH: Final = TypeAdapter(PositiveDuration)
_RESTORED, _NOT_CANCELLED = "taken back", "was not cancelled"


def _length(text: str) -> timedelta:
    try:
        length = _LENGTH.validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(problem(error.errors()[0])) from None
    if length > _LONGEST:
        raise typer.BadParameter(f"is longer than {_LONGEST.days} days")
    return length


def cancel(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of requests.")] = None,
    *,
    campaign: Annotated[
        str | None, typer.Option(metavar="NAME", help="All requests whose metadata.campaign is this.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="A .csv or .jsonl file as publish takes it, or one id a line; - is standard input."),
    ] = None,
    lasts: Annotated[
        timedelta | None,
        typer.Option("--for", metavar="LENGTH", parser=_length, help="Remember it for so long: 2h, 31d."),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take a cancel back.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send nothing more for these requests, wherever they wait. Once it has answered, no call for them begins.

    A request that is cancelled in time ends with the outcome `cancelled`. Each id is answered: cancelled; already sent;
    call under way, which cannot be called back; outcome unknown, so that it may have been sent. Whether there is a
    request of that id nobody knows beforehand. Leaves with 1 unless every one was cancelled, or with --undo taken back.

    A cancel is remembered for ledger.memory (72 h): for what is scheduled later, say --for. A campaign's takes effect
    at once and is answered some seconds later, when calls that were about to begin have left.

    For example:

        sms-worker cancel order-17 order-18
        sms-worker cancel --campaign spring
        sms-worker cancel --file campaign.csv
        sms-worker cancel --undo --campaign spring
    """
    if sum(map(bool, (ids, campaign is not None, file))) != 1:
        raise UsageError("give ids, --campaign, or --file: one of the three")
    if undo and lasts is not None:
        raise UsageError("--for: does not go with --undo")
    settings = Context.of(context).settings()
    lasts = lasts or settings.ledger.memory
    if campaign is not None:
        _campaign(settings, campaign, None if undo else lasts, as_json=as_json)
        return
    chosen, faults = _read(file) if file else (_checked(ids or []), 0)
    _requests(settings, chosen, None if undo else lasts, faults, as_json=as_json)


def _checked(ids: Sequence[str]) -> list[str]:
    for each in ids:
        if not REQUEST_ID.fullmatch(each):
            raise UsageError(f"{each}: is no request id, which has 1 to 128 letters, digits, dots, _ : or hyphens")
    return list(dict.fromkeys(ids))


def _read(file: Path) -> tuple[list[str], int]:
    """The ids of *file*, and how many of its lines are at fault, which are told."""
    ids, faults = dict[str, None](), 0
    for named in read_ids(file):
        if named.request_id:
            ids[named.request_id] = None
            continue
        faults += 1
        if faults <= _MOST_TOLD:
            complain(f"line {named.number}: {named.fault}")
    return list(ids), faults


# -- a campaign -------------------------------------------------------------------------------------------------------


def _campaign(settings: Settings, name: str, lasts: timedelta | None, *, as_json: bool) -> None:
    if not 0 < len(name) <= _LONGEST_CAMPAIGN:
        raise UsageError(f"--campaign: give 1 to {_LONGEST_CAMPAIGN} characters")
    if lasts is None:
        was_there = complete(_restored_campaign(settings, name))
        word = _RESTORED if was_there else _NOT_CANCELLED
    else:
        wait = until_certain(settings.provider.connect_timeout)
        complain(f"{name}: waiting {in_words(wait.total_seconds())} for calls that are about to begin")
        try:
            complete(_cancelled_campaign(settings, name, lasts))
        except KeyboardInterrupt:
            complain("interrupted; it may be cancelled, and calls that were about to begin may still be made")
            raise typer.Exit(exit_codes.INTERRUPTED) from None
        was_there, word = True, Cancel.CANCELLED.value
    if as_json:
        json_lines([{"campaign": name, "result": word}])
    else:
        say(f"campaign {name}: {word}")
    if not was_there:
        raise typer.Exit(exit_codes.FAILED)


async def _cancelled_campaign(settings: Settings, name: str, lasts: timedelta) -> None:
    async with OperatorLimiter(settings.redis, settings.hold) as limiter:
        await limiter.cancels.cancel_campaign(name, lasts, settings.provider.connect_timeout)


async def _restored_campaign(settings: Settings, name: str) -> bool:
    async with OperatorLimiter(settings.redis, settings.hold) as limiter:
        return await limiter.cancels.restore_campaign(name)


# -- requests ---------------------------------------------------------------------------------------------------------


def _requests(settings: Settings, ids: Sequence[str], lasts: timedelta | None, faults: int, *, as_json: bool) -> None:
    answers: list[tuple[str, str]] = []
    try:
        complete(_asked(settings, ids, lasts, answers))
    except LimiterUnavailable as error:
        _tell(answers, is_undo=lasts is None, as_json=as_json)
        done = f"{len(answers)} of {counted(len(ids), 'id')} answered"
        raise LimiterUnavailable(f"{error}; {done}. Run it again: what is done stays so") from error
    except KeyboardInterrupt:
        _tell(answers, is_undo=lasts is None, as_json=as_json)
        complain(f"interrupted; {len(answers)} of {counted(len(ids), 'id')} answered")
        raise typer.Exit(exit_codes.INTERRUPTED) from None
    _tell(answers, is_undo=lasts is None, as_json=as_json)
    if faults:
        raise WorkerError(f"{counted(faults, 'line')} at fault")
    wanted = Cancel.CANCELLED.value if lasts is not None else _RESTORED
    if any(word != wanted for _, word in answers):
        raise typer.Exit(exit_codes.FAILED)


async def _asked(
    settings: Settings, ids: Sequence[str], lasts: timedelta | None, answers: list[tuple[str, str]]
) -> None:
    """Add the answer for each of *ids* to *answers*, as they come."""
    async with OperatorLimiter(settings.redis, settings.hold) as limiter:
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            if lasts is None:
                found = await limiter.cancels.restore(part)
                words = [_RESTORED if was_there else _NOT_CANCELLED for was_there in found]
            else:
                words = [each.value for each in await limiter.cancels.cancel(part, lasts)]
            answers += zip(part, words, strict=True)


def _tell(answers: Sequence[tuple[str, str]], *, is_undo: bool, as_json: bool) -> None:
    if as_json:
        rows: list[dict[str, Any]] = [{"id": name, "result": word} for name, word in answers]
        json_lines(rows)
        return
    wanted = _RESTORED if is_undo else Cancel.CANCELLED.value
    named = [each for each in answers if len(answers) <= _FEW or each[1] != wanted]
    for name, word in named[:_MOST_TOLD]:
        say(f"{name}: {word}")
    if len(named) > _MOST_TOLD:
        say(f"and {len(named) - _MOST_TOLD} more; --json names all")
    if len(answers) != 1:
        counts = Counter(word for _, word in answers)
        words = [f"{word}: {counts[word]}" for word in (*Cancel, _RESTORED, _NOT_CANCELLED) if counts[word]]
        say(f"{counted(len(answers), 'id')}" + (f"; {', '.join(words)}" if words else ""))
