"""``sms-worker holds``: what sending is stopped for, and how an operator stops and resumes it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import typer
from pydantic import TypeAdapter, ValidationError

from worker.cli.context import Context
from worker.cli.interrupt import complete
from worker.cli.options import JsonOption
from worker.cli.output import json_lines, say
from worker.cli.table import listing
from worker.core.limits.holds import SCOPES, By, HoldName
from worker.core.message.fault import problem
from worker.core.outcome.outcome import Scope
from worker.errors import UsageError, WorkerError
from worker.limiter.operators import OperatorLimiter
from worker.limiter.redis_holds import RedisHolds
from worker.operator.eta import in_words
from worker.operator.holds import rows_of
from worker.settings.sections import Settings
from worker.settings.types import PositiveDuration

T = TypeVar("T")

#: A reason is read in a table.
_LONGEST_REASON: Final = 200
_LENGTH: Final = TypeAdapter(PositiveDuration)

app = typer.Typer(no_args_is_help=True, help="Show what is held, hold and release the account, a sender or a country.")


def _scope(text: str) -> Scope:
    if text not in SCOPES:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(SCOPES)}")
    return Scope(text)


def _length(text: str) -> timedelta:
    try:
        return _LENGTH.validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(problem(error.errors()[0])) from None


ScopeArgument: TypeAlias = Annotated[
    Scope, typer.Argument(metavar="SCOPE", parser=_scope, show_choices=False, help=f"One of {', '.join(SCOPES)}.")
]
SubjectArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="SUBJECT", help="Sender ID, or calling code of a country; nothing for the account."),
]


@app.command("list")
def list_holds(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """List what is held, why and since when, when it is tried again or ends, and what to do about it.

    For example:

        sms-worker holds list
        sms-worker holds list --json
    """
    settings = Context.of(context).settings()
    rows = rows_of(_with_holds(settings, lambda holds: holds.list()), settings)
    if as_json:
        json_lines(rows)
    elif rows:
        show_holds(rows)
    else:
        say("Nothing is held.")


@app.command("set")
def set_hold(
    context: typer.Context,
    scope: ScopeArgument,
    subject: SubjectArgument = None,
    *,
    reason: Annotated[str, typer.Option(help="For whoever finds the hold.")],
    lasts: Annotated[
        timedelta | None,
        typer.Option("--for", metavar="LENGTH", parser=_length, help="End by itself after so long: 30m, 2h, 1d."),
    ] = None,
) -> None:
    """Stop sending for the account, a sender or a country until it is released.

    Requests wait; none is dead-lettered for it, except when its deadline passes. Nothing is probed, and no answer of
    the provider ends it. A hold that is there already gives way to this one.

    For example:

        sms-worker holds set account --reason "invoice is being checked"
        sms-worker holds set sender ACME --reason "waiting for its registration"
        sms-worker holds set country 65 --reason "route changes tonight" --for 2h
    """
    name = _name(scope, subject)
    if not reason.strip() or len(reason) > _LONGEST_REASON:
        raise UsageError(f"--reason: give 1 to {_LONGEST_REASON} characters")
    settings = Context.of(context).settings()
    before = _with_holds(settings, lambda holds: holds.stop(name, reason, lasts))
    end = f"for {in_words(lasts.total_seconds())}" if lasts else "until it is released"
    say(f"{name} is held {end}" + (f"; it was held before because of {before.code}" if before else ""))


@app.command()
def release(context: typer.Context, scope: ScopeArgument, subject: SubjectArgument = None) -> None:
    """Send again for the account, a sender or a country, whoever stopped it. Leaves with 1 when it was not held.

    After a hold of the account the rate climbs to the quota within hold.ramp. Requests that are delayed because of a
    sender or country come back one after the other, the last after about as long again as the hold lasted.

    For example:

        sms-worker holds release account
        sms-worker holds release sender ACME
    """
    name = _name(scope, subject)
    settings = Context.of(context).settings()
    hold = _with_holds(settings, lambda holds: holds.release(name))
    if hold is None:
        raise WorkerError(f"{name} is not held")
    because = hold.reason if hold.by is By.OPERATOR else hold.code
    say(f"{name} is released; it was held for {in_words(hold.age_s)} because of {because}")


def show_holds(rows: Sequence[dict[str, Any]]) -> None:
    """Write *rows* as a table."""
    shown = [row | {"next": _next(row)} for row in rows]
    columns = ("scope", "subject", "code", "since", "next", "failed_probes", "remedy")
    listing("Held", columns, shown, wide=("remedy",), spare=("since", "failed_probes"))


def _next(row: dict[str, Any]) -> str:
    if row["ends_in_s"] is not None:
        return f"ends in {in_words(row['ends_in_s'])}"
    probe_in_s = row["next_probe_in_s"]
    return "waits for release" if probe_in_s is None else f"probe in {in_words(probe_in_s)}"


def _name(scope: Scope, subject: str | None) -> HoldName:
    try:
        return HoldName.parse(scope, subject)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _with_holds(settings: Settings, act: Callable[[RedisHolds], Awaitable[T]]) -> T:
    async def connect() -> T:
        async with OperatorLimiter(settings.redis, settings.hold) as limiter:
            return await act(limiter.holds)

    return complete(connect())
