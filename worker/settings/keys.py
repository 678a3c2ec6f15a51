"""The keys that there are: their names, defaults and types."""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from worker.settings.sections import Settings
from worker.settings.types import Section


def _walk(section: Section, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every key that is not a section: its dotted name, default and type."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _walk(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value, field.annotation


DEFAULTS: Final = {key: default for key, default, _ in _walk(Settings())}
TYPES: Final = {key: annotation for key, _, annotation in _walk(Settings())}
SECTIONS: Final = frozenset(key[:dot] for key in DEFAULTS for dot in range(len(key)) if key[dot] == ".")


def values_of(settings: Settings) -> dict[str, Any]:
    """The value of every key in *settings*, by its dotted name."""
    return {key: value for key, value, _ in _walk(settings)}


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """*values* by dotted names as sections within sections."""
    root: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        branch = root
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = value
    return root


def is_kind(key: str, kind: type) -> bool:
    """Whether the value of *key* is of *kind*, or that or nothing."""
    return kind in _members(TYPES.get(key))


def _members(annotation: Any) -> set[Any]:
    """The members of a union, each without its checks; anything else is its own member."""
    if hasattr(annotation, "__metadata__"):
        return _members(annotation.__origin__)
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return set().union(*(_members(member) for member in get_args(annotation)))
    return {annotation}
