"""Limits that an operator changes while workers run: what every surface for people does and shows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from worker.core.limits.bucket import SECOND_US
from worker.core.limits.overrides import Change, Override, Overrides
from worker.errors import SettingsError, UsageError, WorkerError
from worker.limiter.operators import OperatorLimiter
from worker.limiter.overrides import LONGEST, Seen, read, shadow_field, written
from worker.settings.changeable import CHANGEABLE, changeable_values, overridden
from worker.settings.load import parsed, toml
from worker.settings.sections import Settings

_SOURCE: Final = "given"
#: How often a change is tried again because somebody else changed another limit meanwhile.
_TRIES: Final = 20
_REPAIR: Final = "to put the configured values in force again: sms-worker limits reset --all"
_MICROSECOND: Final = timedelta(microseconds=1)

#: From what there is, and the time, to what shall be, and what that changes.
Plan: TypeAlias = Callable[[Overrides, int], tuple[Overrides, list[Change]]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to be in force."""

    #: By key; as the configuration writes them.
    values: Mapping[str, Any]
    by: str
    #: None is until it is changed again.
    lasts: timedelta | None = None
    shadow: bool = False


def value_of(key: str, text: str) -> Any:
    """What *text* means as the value of *key*: TOML, as in the configuration's own flags.

    Raises:
        UsageError: it begins as a list or a table does, and is none.
    """
    value = parsed(key, text)
    if isinstance(value, str) and text.lstrip().startswith(("[", "{")):
        try:
            toml(f"value = {text}")
        except ValueError as error:
            raise UsageError(f"{key}: is not TOML: {error}") from None
    return value


def planned(settings: Settings, wanted: Wanted) -> Plan:
    """The plan to put what is *wanted* in force.

    Raises:
        UsageError: that cannot be a shadow, or (when it is carried out) the overrides would be too long.
        SettingsError: when it is carried out: the configuration would have faults with it, now or when one ends.
    """
    if wanted.shadow and (solid := [key for key in wanted.values if not CHANGEABLE.get(key, True)]):
        raise UsageError(
            f"--shadow: {solid[0]} refuses nobody, so there is nothing to count: with a lower rate or floor requests "
            "only wait longer; compare what you think of with the calls per second that sms-worker status shows"
        )

    def plan(overrides: Overrides, now_us: int) -> tuple[Overrides, list[Change]]:
        now = overrides.at(now_us)
        in_force = _applied(settings, now.known(CHANGEABLE).values())
        before = now.values(shadow=True) if wanted.shadow else changeable_values(in_force)
        values = _normal(in_force, wanted.values)
        lasts_us = wanted.lasts // _MICROSECOND if wanted.lasts else None
        until_us = None if lasts_us is None else now_us + lasts_us
        new = [Override(key, value, wanted.by, now_us, until_us, wanted.shadow) for key, value in values.items()]
        lasts_s = wanted.lasts.total_seconds() if wanted.lasts else None
        changes = [
            Change(now_us, wanted.by, key, before.get(key), value, lasts_s, wanted.shadow)
            for key, value in values.items()
        ]
        after = now.set(new, now_us)
        _check(settings, after, now_us)
        return after, changes

    return plan


def planned_reset(settings: Settings, keys: Sequence[str], by: str, *, shadows_only: bool = False) -> Plan:
    """The plan to put the configured values of *keys* in force again, or of all when there are none.

    Raises:
        UsageError: when it is carried out: one of *keys* is none.
        WorkerError: when it is carried out: one of *keys* is not changed.
        SettingsError: when it is carried out: the configuration would have faults without them.
    """

    def plan(overrides: Overrides, now_us: int) -> tuple[Overrides, list[Change]]:
        now = overrides.at(now_us)
        gone = [each for each in now.every if (not keys or each.key in keys) and (each.shadow or not shadows_only)]
        for key in keys:
            if key not in {each.key for each in gone}:
                overridden(settings, {key: None} if key not in CHANGEABLE else {}, _SOURCE)  # raises for what is none
                raise WorkerError(f"{key} {'has no shadow' if shadows_only else 'is not changed'}")
        configured = changeable_values(settings)
        changes = [
            Change(
                now_us, by, each.key, each.value, None if each.shadow else configured.get(each.key), None, each.shadow
            )
            for each in gone
        ]
        after = now.reset([each.key for each in gone], now_us, shadows_only=shadows_only)
        if keys:
            _check(settings, after, now_us)
        return after, changes

    return plan


async def carry_out(settings: Settings, plan: Plan, *, whatever_is_there: bool = False) -> list[Change]:
    """Carry *plan* out, and return what it changed.

    Two people may change limits at once: what somebody else changed meanwhile is looked at again, and stays, unless it
    is the same limit. *whatever_is_there* takes what cannot be read for nothing.

    Raises:
        WorkerError: somebody else changed the same limit meanwhile; or what there is cannot be read.
        LimiterUnavailable: Redis cannot be reached or refuses.
    """
    async with OperatorLimiter(settings.redis, settings.hold) as limiter:
        first: Overrides | None = None
        for _ in range(_TRIES):
            seen = await limiter.overrides.look()
            overrides = _read(seen, whatever_is_there=whatever_is_there)
            first = first or overrides
            after, changes = plan(overrides, seen.now_us)
            for change in changes:
                found = overrides.find(change.key, shadow=change.shadow)
                if found != first.find(change.key, shadow=change.shadow):
                    by = f" by {found.by}" if found else ""
                    raise WorkerError(f"{change.key} was changed meanwhile{by}; look at it: sms-worker limits show")
            if not changes and not (whatever_is_there and seen.stored):
                return []
            if await limiter.overrides.change(seen, after, changes):
                return changes
    raise WorkerError("others change limits all the time; try again")


async def look(settings: Settings) -> tuple[list[dict[str, Any]], list[str]]:
    """Every changeable key as all surfaces show it, and what is wrong.

    Raises:
        LimiterUnavailable: Redis cannot be reached or refuses.
    """
    async with OperatorLimiter(settings.redis, settings.hold) as limiter:
        seen = await limiter.overrides.look()
    return rows_of(settings, seen)


def rows_of(settings: Settings, seen: Seen) -> tuple[list[dict[str, Any]], list[str]]:
    """What `look` returns, of what was *seen*."""
    faults: list[str] = []
    overrides = Overrides()
    try:
        overrides = _read(seen).at(seen.now_us)
        _check(settings, overrides, seen.now_us)
    except SettingsError as error:
        faults.append(f"workers with this configuration keep what they have: {error}")
    except WorkerError as error:
        faults.append(str(error))
    configured = changeable_values(settings)
    keys = [*CHANGEABLE, *sorted({each.key for each in overrides.every} - CHANGEABLE.keys())]
    return [_row(key, configured.get(key), overrides, seen) for key in keys], faults


async def changes(settings: Settings) -> list[Change]:
    """What was changed, the newest first; raises LimiterUnavailable when Redis cannot be reached or refuses."""
    async with OperatorLimiter(settings.redis, settings.hold) as limiter:
        return await limiter.overrides.changes()


def instant(us: int) -> datetime:
    """The instant of Redis' clock."""
    return datetime.fromtimestamp(us // SECOND_US, UTC)


def _row(key: str, configured: Any, overrides: Overrides, seen: Seen) -> dict[str, Any]:
    override, shadow = overrides.find(key), overrides.find(key, shadow=True)
    row = {"key": key, "configured": configured, "value": configured if override is None else override.value}
    return row | _set(override, seen) | {"shadow": shadow and _shadow(shadow, seen)}


def _set(override: Override | None, seen: Seen) -> dict[str, Any]:
    if override is None:
        return {"by": None, "since": None, "until": None, "ends_in_s": None}
    until_us = override.until_us
    return {
        "by": override.by,
        "since": instant(override.since_us),
        "until": None if until_us is None else instant(until_us),
        "ends_in_s": None if until_us is None else (until_us - seen.now_us) / SECOND_US,
    }


def _shadow(shadow: Override, seen: Seen) -> dict[str, Any]:
    total = shadow_field(shadow)
    by_limit = {
        field[len(total) + 1 :]: count for field, count in seen.shadowed.items() if field.startswith(f"{total} ")
    }
    counts = {"refused": seen.shadowed.get(total, 0), "refused_by": by_limit}
    return {"value": shadow.value} | _set(shadow, seen) | counts


def _read(seen: Seen, *, whatever_is_there: bool = False) -> Overrides:
    try:
        return read(seen.stored)
    except ValueError as error:
        if whatever_is_there:
            return Overrides()
        raise WorkerError(f"what Redis has for changed limits cannot be read: {error}; {_REPAIR}") from None


def _normal(settings: Settings, values: Mapping[str, Any]) -> dict[str, Any]:
    """*values* as the configuration would show them; raises SettingsError when they are not right."""
    shown = changeable_values(overridden(settings, values, _SOURCE))
    return {key: shown[key] for key in values}


def _applied(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """*settings* with *values*, which somebody else has set, or without them when they do not go together."""
    try:
        return overridden(settings, values, _SOURCE)
    except SettingsError:
        return settings


def _check(settings: Settings, overrides: Overrides, now_us: int) -> None:
    """Raise when *overrides* are too long, or give *settings* a fault, now or when one of them ends."""
    size = len(written(overrides))
    if size > LONGEST:
        raise UsageError(f"all changed limits together would take {size} bytes, and at most {LONGEST} are kept")
    known = overrides.known(CHANGEABLE)
    for at in (now_us, *known.ends()):
        left = known.at(at)
        try:
            in_force = overridden(settings, left.values(), _SOURCE)
            overridden(in_force, left.values(shadow=True), _SOURCE)
        except SettingsError as error:
            if at == now_us:
                raise
            ended = ", ".join(_ending(known.every, at))
            raise SettingsError(f"when the change of {ended} ends, {error}") from None


def _ending(every: Iterable[Override], at: int) -> list[str]:
    return [each.key for each in every if each.until_us == at]
