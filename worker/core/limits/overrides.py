"""Overrides: values that an operator puts in the place of configured ones while workers run, as frozen values.

What is here knows neither keys nor their meaning, and no clock: instants are microseconds of Redis' clock, arguments.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

#: A value as the configuration writes it: a number, a text, or a list of tables of them.
Value: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Override:
    """One value that stands in the place of the configured one."""

    #: Dotted, as the configuration names it.
    key: str
    value: Value
    #: Who set it.
    by: str
    since_us: int
    #: When it ends by itself; None is never.
    until_us: int | None = None
    #: It is only counted what it would refuse, beside what is in force.
    shadow: bool = False

    def lasts(self, now_us: int) -> bool:
        """Whether it has not ended by itself."""
        return self.until_us is None or now_us < self.until_us


@dataclass(frozen=True, slots=True)
class Overrides:
    """All overrides of a namespace; a key has at most one in force and one shadow."""

    #: Grows with every change.
    version: int = 0
    every: tuple[Override, ...] = ()

    def at(self, now_us: int) -> Self:
        """Those that have not ended."""
        return replace(self, every=tuple(each for each in self.every if each.lasts(now_us)))

    def values(self, *, shadow: bool = False) -> dict[str, Value]:
        """What they put in the place of the configured values."""
        return {each.key: each.value for each in self.every if each.shadow == shadow}

    def find(self, key: str, *, shadow: bool = False) -> Override | None:
        """The override of *key*."""
        return next((each for each in self.every if each.key == key and each.shadow == shadow), None)

    def known(self, keys: Collection[str]) -> Self:
        """Those of *keys*."""
        return replace(self, every=tuple(each for each in self.every if each.key in keys))

    def ends(self) -> list[int]:
        """The instants at which some of them end, in order."""
        return sorted({each.until_us for each in self.every if each.until_us is not None})

    def set(self, new: Iterable[Override], now_us: int) -> Self:
        """With *new*, of each key the last, without what has ended; a value in force ends the shadow of its key."""
        added = tuple({(each.key, each.shadow): each for each in new}.values())
        gone = {(each.key, each.shadow) for each in added} | {(each.key, True) for each in added}
        return self._without(gone, now_us, added)

    def reset(self, keys: Iterable[str], now_us: int, *, shadows_only: bool = False) -> Self:
        """Without those of *keys*, and without what has ended."""
        kinds = (True,) if shadows_only else (True, False)
        return self._without({(key, shadow) for key in keys for shadow in kinds}, now_us, ())

    def _without(self, gone: Collection[tuple[str, bool]], now_us: int, added: tuple[Override, ...]) -> Self:
        kept = tuple(each for each in self.at(now_us).every if (each.key, each.shadow) not in gone)
        return type(self)(self.version + 1, kept + added)


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator changed, as it is kept."""

    at_us: int
    by: str
    key: str
    #: In force before and now, as far as whoever changed it knows; of a shadow None where there was or is none.
    before: Value
    after: Value
    #: How long; None is until it is changed again.
    lasts_s: float | None = None
    shadow: bool = False


def differences(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, tuple[Value, Value]]:
    """Keys whose value is another one, with both; None where there is none.

    >>> differences({"a": 1, "b": 2}, {"b": 3, "c": 4})
    {'a': (1, None), 'b': (2, 3), 'c': (None, 4)}
    """
    keys = [*before, *(key for key in after if key not in before)]
    pairs = {key: (before.get(key), after.get(key)) for key in keys}
    return {key: (old, new) for key, (old, new) in pairs.items() if old != new}
