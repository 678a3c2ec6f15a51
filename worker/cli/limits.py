"""``sms-worker limits``: rates, floors, windows and caps, changed while workers run."""

import getpass
import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias

import typer
from pydantic import Field, TypeAdapter, ValidationError

from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.interrupt import complete
from worker.cli.options import JsonOption
from worker.cli.output import complain, counted, json_lines, say
from worker.cli.table import listing
from worker.core.limits.overrides import Change
from worker.core.message.fault import problem
from worker.errors import UsageError
from worker.operator import limits
from worker.operator.eta import in_words
from worker.settings.shown import inline
from worker.settings.types import Duration

#: A name is read in a table.
_LONGEST_NAME: Final = 64
_LENGTH: Final = TypeAdapter(Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=365))])

app = typer.Typer(no_args_is_help=True, help="Show and change rates, floors, windows and caps while workers run.")


def _length(text: str) -> timedelta:
    try:
        return _LENGTH.validate_python(text)
    except ValidationError as error:
        fault = error.errors()[0]
        raise typer.BadParameter(
            problem(fault) if fault["type"] == "value_error" else "must be at least 1s and at most 365d"
        ) from None


ByOption: TypeAlias = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who changes it, in place of USER@HOST.")
]


@app.command()
def show(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """Show every changeable limit: configured, in force, who set it, when, until when, and what shadows counted.

    Leaves with 1 when what Redis has cannot be applied to this configuration.

    For example:

        sms-worker limits show
        sms-worker limits show --json
    """
    settings = Context.of(context).settings()
    rows, faults = complete(limits.look(settings))
    if as_json:
        json_lines(rows)
    else:
        _table(rows)
    if faults:
        complain(*faults)
        raise typer.Exit(exit_codes.FAILED)


@app.command("set")
def set_limits(
    context: typer.Context,
    assignments: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="As in the configuration: TOML.")],
    *,
    lasts: Annotated[
        timedelta | None,
        typer.Option("--for", metavar="LENGTH", parser=_length, help="End by itself after so long: 30m, 2h, 1d."),
    ] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Only count what it would refuse.")] = False,
    by: ByOption = None,
) -> None:
    """Change limits in all workers, within a second, until they are reset or --for is over.

    All values of a call take force together, or none. They are checked as the configuration is. Each worker puts them
    in the place of its own; what it has booked by then stays: at most a second, with the usual rates. A window or a cap
    that was not there before counts from now on.

    For example:

        sms-worker limits set quota.send_message_to_globe=20 lanes.marketing.floor=0.1 --for 2h
        sms-worker limits set limits.caps='[{limit = 1000, period = "day", prefix = "852"}]'
        sms-worker limits set limits.recipient='[{limit = 3, period = "1h", lanes = ["otp"]}]' --shadow
    """
    wanted = limits.Wanted(_values(assignments), _who(by), lasts, shadow)
    settings = Context.of(context).settings()
    changed = complete(limits.carry_out(settings, limits.planned(settings, wanted)))
    for change in changed:
        _tell(change)


@app.command()
def reset(
    context: typer.Context,
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY...", show_default=False)] = None,
    *,
    is_all: Annotated[bool, typer.Option("--all", help="All that are changed.")] = False,
    shadow: Annotated[bool, typer.Option("--shadow", help="End shadows only.")] = False,
    by: ByOption = None,
) -> None:
    """Put configured values in force again. Leaves with 1 when one of the keys is not changed.

    For example:

        sms-worker limits reset quota.send_message_to_globe
        sms-worker limits reset --all
    """
    if bool(keys) == is_all:
        raise UsageError("give keys, or say --all")
    settings = Context.of(context).settings()
    plan = limits.planned_reset(settings, keys or [], _who(by), shadows_only=shadow)
    changed = complete(limits.carry_out(settings, plan, whatever_is_there=is_all))
    for change in changed:
        _tell(change)
    if not changed:
        say("Nothing is changed.")


@app.command()
def log(
    context: typer.Context,
    *,
    most: Annotated[int, typer.Option("--limit", min=1, max=1000, help="So many of the latest.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show who changed what and when, the newest first. The last 1,000 changes are kept.

    For example:

        sms-worker limits log
        sms-worker limits log --limit 1000 --json
    """
    changed = complete(limits.changes(Context.of(context).settings()))[:most]
    rows = [_logged(change) for change in changed]
    if as_json:
        json_lines(rows)
    elif rows:
        sides = ("from", "to")
        shown = [row | {side: _cell(row[side]) for side in sides} | {"for": _for(row["for_s"])} for row in rows]
        columns = ("at", "by", "key", "from", "to", "for", "shadow")
        listing("Changes, the newest first", columns, shown, wide=sides)
    else:
        say("Nothing was changed.")


def _values(assignments: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals or "." not in key or not text.strip():
            raise UsageError(f"{assignment}: write it as section.key=value")
        if key in values:
            raise UsageError(f"{key}: is given twice; give it once")
        values[key] = limits.value_of(key, text)
    return values


def _who(name: str | None) -> str:
    if name is not None:
        if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
            raise UsageError(f"--by: give 1 to {_LONGEST_NAME} characters that can be printed")
        return name
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _tell(change: Change) -> None:
    before, after = inline(change.before) or "nothing", inline(change.after) or "nothing"
    kind = " (shadow)" if change.shadow else ""
    length = "" if change.lasts_s is None else f", for {in_words(change.lasts_s)}"
    say(f"{change.key}{kind}: from {before} to {after}{length}; in all workers within a second")


def _logged(change: Change) -> dict[str, Any]:
    return {
        "at": limits.instant(change.at_us),
        "by": change.by,
        "key": change.key,
        "from": change.before,
        "to": change.after,
        "for_s": change.lasts_s,
        "shadow": change.shadow,
    }


def _for(lasts_s: float | None) -> str:
    return "" if lasts_s is None else in_words(lasts_s)


def _table(rows: Sequence[dict[str, Any]]) -> None:
    shown = []
    for row in rows:
        in_force = "as configured" if row["by"] is None else _cell(row["value"])
        shown.append(row | {"configured": _cell(row["configured"]), "in_force": in_force, "ends": _end(row)})
        if shadow := row["shadow"]:
            counted_as = f"shadow, would have refused {counted(shadow['refused'], 'message')}"
            shown.append(shadow | {"key": counted_as, "in_force": _cell(shadow["value"]), "ends": _end(shadow)})
    columns = ("key", "configured", "in_force", "by", "since", "ends")
    listing("Limits", columns, shown, wide=("key", "configured", "in_force"), spare=("since",))


def _end(row: dict[str, Any]) -> str:
    return "" if row["ends_in_s"] is None else f"in {in_words(row['ends_in_s'])}"


def _cell(value: Any) -> Any:
    """A list with one entry a line."""
    if isinstance(value, list):
        return tuple(map(inline, value)) or "none"
    return inline(value)
