"""From files, environment and flags to `Settings`, or to every fault in them at once.

Later sources win: defaults, TOML texts in order, ``SMS_WORKER__SECTION__KEY`` variables, flags. A table of codes
(``catalog.classes``) gains the entries of each source; every other key is replaced as a whole. No fault quotes a
secret, nor the value of an unknown key, which may be a secret whose key was mistyped.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from worker.core.message.fault import problem
from worker.errors import SettingsError
from worker.settings.address import BROKER, REDIS, Address, parse
from worker.settings.sections import Settings
from worker.settings.tls import faults_of_files
from worker.settings.types import Section, written

#: Two underscores: Kubernetes sets SMS_WORKER_SERVICE_HOST and the like for a service called sms-worker.
PREFIX: Final = "SMS_WORKER__"
_FILE: Final = "_FILE"
_MASK: Final = "***"
_LONGEST_VALUE: Final = 60
#: Greedy to the last @, because a password may hold one that was not escaped.
_USERINFO: Final = re.compile(r"://([^:@/]*)(:?)(.*)@")
_QUERY_SECRET: Final = re.compile(r"(?i)([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*")
#: Addresses that may name files.
_ADDRESSES: Final = {"broker.url": BROKER, "redis.url": REDIS}


@dataclass(frozen=True, slots=True)
class _Given:
    """A value, and who gave it."""

    source: str
    value: Any


def load(
    texts: Sequence[tuple[str, str]],
    environ: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    read_file: Callable[[str], str] = lambda path: Path(path).read_text("utf-8"),
    faults_of: Callable[[Address], Sequence[str]] = faults_of_files,
) -> Settings:
    """Load the configuration from TOML *texts* (name, text), *environ* and *flags* (``section.key``).

    A variable that is empty, and a flag that is None, counts as not given. *read_file* reads what a ``_FILE`` variable
    names; *faults_of* looks at the files that an address names.

    Raises:
        SettingsError: the text lists all faults, each with its source, key, value and what is allowed.
    """
    faults: list[str] = []
    given: dict[str, _Given] = {}
    for key, each in [
        *_from_texts(texts, faults),
        *_from_environment(environ, read_file, faults),
        *_from_flags(flags or {}, faults),
    ]:
        before = given.get(key)
        if before and isinstance(before.value, Mapping) and isinstance(each.value, Mapping):
            given[key] = _Given(each.source, {**before.value, **each.value})
        else:
            given[key] = each
    settings: Settings | None
    try:
        settings = Settings.model_validate(_tree(given))
    except ValidationError as error:
        faults += [_sentence(fault, given) for fault in error.errors(include_url=False)]
        settings = None
    faults += _faults_of_files(given, faults_of)
    if settings is not None and not faults:
        return settings
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise SettingsError("\n  ".join((f"the configuration has {count}:", *faults)))


def shown(settings: Section) -> dict[str, Any]:
    """The effective values of *settings* as they are written, with secrets masked."""
    return {name: _shown(getattr(settings, name)) for name in type(settings).model_fields}


def _shown(value: Any) -> Any:
    match value:
        case Section():
            return shown(value)
        case SecretStr():
            secret = value.get_secret_value()
            return _without_password(secret) if "://" in secret else _MASK
        case timedelta():
            return written(value)
        case tuple():
            return [_shown(each) for each in value]
        case dict():
            return {str(key): _shown(each) for key, each in value.items()}
        case _:
            return value.value if isinstance(value, StrEnum) else value


def _without_password(url: str) -> str:
    masked = _USERINFO.sub(lambda found: f"://{found[1] if found[2] else ''}{found[2]}{_MASK}@", url)
    return _QUERY_SECRET.sub(rf"\1{_MASK}", masked)


# -- the keys that there are ------------------------------------------------------------------------------------------


def _walk(section: Section, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every key that is not a section: its dotted name, default and type."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _walk(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value, field.annotation


_DEFAULTS: Final = {key: default for key, default, _ in _walk(Settings())}
_TYPES: Final = {key: annotation for key, _, annotation in _walk(Settings())}
_SECTIONS: Final = frozenset(key[:dot] for key in _DEFAULTS for dot in range(len(key)) if key[dot] == ".")


def _is(key: str, kind: type) -> bool:
    """Whether *key* is of *kind*, or that or nothing."""
    return kind in _members(_TYPES.get(key))


def _members(annotation: Any) -> set[Any]:
    """The members of a union, each without its checks; anything else is its own member."""
    if hasattr(annotation, "__metadata__"):
        return _members(annotation.__origin__)
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return set().union(*(_members(member) for member in get_args(annotation)))
    return {annotation}


# -- sources ----------------------------------------------------------------------------------------------------------


def _from_texts(texts: Iterable[tuple[str, str]], faults: list[str]) -> Iterator[tuple[str, _Given]]:
    for source, text in texts:
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            faults.append(f"{source}: is not TOML: {error}")
        else:
            yield from _from_table(source, table, "", faults)


def _from_table(source: str, table: Mapping[str, Any], prefix: str, faults: list[str]) -> Iterator[tuple[str, _Given]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if key in _DEFAULTS:
            yield key, _Given(source, value)
        elif key not in _SECTIONS:
            faults.append(f"{source}: {key} is no key{_did_you_mean(key)}")
        elif not isinstance(value, Mapping):
            faults.append(f"{source}: {key} is a section, not a value: write [{key}] and its keys below")
        else:
            yield from _from_table(source, value, f"{key}.", faults)


def _from_environment(
    environ: Mapping[str, str], read_file: Callable[[str], str], faults: list[str]
) -> Iterator[tuple[str, _Given]]:
    givers: dict[str, str] = {}
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or not environ[name]:
            continue
        key = _key_of(name)
        text: str | None = environ[name]
        if key not in _DEFAULTS and _key_of(name[: -len(_FILE)]) in _DEFAULTS and name.upper().endswith(_FILE):
            key = _key_of(name[: -len(_FILE)])
            text = _content(name, environ[name], read_file, faults)
        if key not in _DEFAULTS:
            faults.append(f"{name}: is no key{_did_you_mean(key, _variable)}")
        elif key in givers:
            faults.append(f"{name}: {key} is given by {givers[key]} too; give one of them")
        elif text is not None:
            givers[key] = name
            yield key, _Given(name, _parsed(key, text))


def _from_flags(flags: Mapping[str, Any], faults: list[str]) -> Iterator[tuple[str, _Given]]:
    for key, value in flags.items():
        if key not in _DEFAULTS:
            faults.append(f"flag {key}: is no key{_did_you_mean(key)}")
        elif value is not None:
            yield key, _Given("flag", _parsed(key, value) if isinstance(value, str) else value)


def _key_of(name: str) -> str:
    return name[len(PREFIX) :].replace("__", ".").lower()


def _variable(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def _content(name: str, path: str, read_file: Callable[[str], str], faults: list[str]) -> str | None:
    try:
        if content := read_file(path).strip():
            return content
        reason = "it is empty"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    faults.append(f"{name}: cannot read {path}: {reason}")
    return None


def _parsed(key: str, text: str) -> Any:
    """*text* as a TOML value, unless the key is a text: an access key may look like a number."""
    if _is(key, str) or _is(key, SecretStr):
        return text
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = document.pop("value")
    return value if not document and isinstance(value, bool | int | float | list | dict) else text


# -- faults -----------------------------------------------------------------------------------------------------------


def _tree(given: Mapping[str, _Given]) -> dict[str, Any]:
    """The defaults with what was *given* over them, nested: a section may give some of its keys only."""
    root: dict[str, Any] = {}
    for key, default in _DEFAULTS.items():
        *sections, name = key.split(".")
        branch = root
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = given[key].value if key in given else default
    return root


def _sentence(fault: ErrorDetails, given: Mapping[str, _Given]) -> str:
    place = [str(part) for part in fault["loc"]]
    key = next((".".join(place[:end]) for end in range(len(place), 0, -1) if ".".join(place[:end]) in _DEFAULTS), "")
    what = problem(fault)
    name = ".".join(place) or "the configuration"
    if key not in given:  # a rule between keys: whoever gave one of the section's
        givers = sorted({each.source for giver, each in given.items() if giver.startswith(f"{name}.")})
        return f"{', '.join(givers) or 'defaults'}: {name}: {what}"
    if fault["type"] == "missing":
        return f"{given[key].source}: {name} is missing"
    if fault["type"] == "extra_forbidden":
        return f"{given[key].source}: {name} is no key{_did_you_mean(name)}"
    return f"{given[key].source}: {name} = {_quoted(key, fault['input'])}: {what}"


def _faults_of_files(given: Mapping[str, _Given], faults_of: Callable[[Address], Sequence[str]]) -> Iterator[str]:
    for key, form in _ADDRESSES.items():
        if key in given and isinstance(url := given[key].value, str):
            try:
                found = parse(url, form)
            except ValueError:  # this was told before
                continue
            yield from (f"{given[key].source}: {key}: {fault}" for fault in faults_of(found))


def _quoted(key: str, value: Any) -> str:
    if _is(key, SecretStr):
        return _MASK
    text = _without_password(repr(value))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _did_you_mean(key: str, written_as: Callable[[str], str] = str) -> str:
    section = key if key in _SECTIONS else key.rpartition(".")[0]
    within = [each for each in (*_DEFAULTS, *_SECTIONS) if section and each.rpartition(".")[0] == section]
    if close := get_close_matches(key, within, n=1) or get_close_matches(
        key, [*_DEFAULTS, *_SECTIONS], n=1, cutoff=0.75
    ):
        return f"; did you mean {written_as(close[0])}?" if section != key else _has(section, within)
    return _has(section, within) if within else ""


def _has(section: str, keys: Iterable[str]) -> str:
    return f"; [{section}] has {', '.join(sorted(key.rpartition('.')[2] for key in keys))}"
