"""From files, environment and flags to `Settings`, or to every fault in them at once.

Later sources win: defaults, TOML texts in order, ``SMS_WORKER__SECTION__KEY`` variables, flags. A table of codes
(``catalog.classes``) gains the entries of each source; every other key is replaced as a whole.
"""

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr, ValidationError

from worker.errors import SettingsError
from worker.settings.address import Address
from worker.settings.faults import Given, did_you_mean, faults_in_files, sentence_of
from worker.settings.keys import DEFAULTS, SECTIONS, is_kind, nested
from worker.settings.sections import Settings
from worker.settings.tls import faults_of_files

#: Two underscores: Kubernetes sets SMS_WORKER_SERVICE_HOST and the like for a service called sms-worker.
PREFIX: Final = "SMS_WORKER__"
_FILE: Final = "_FILE"


def load(
    texts: Sequence[tuple[str, str | Mapping[str, Any]]],
    environ: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    read_file: Callable[[str], str] = lambda path: Path(path).read_text("utf-8"),
    faults_of: Callable[[Address], Sequence[str]] = faults_of_files,
) -> Settings:
    """Load the configuration from TOML *texts* (name, text), *environ* and *flags* (``section.key``).

    A text may have been read already: then it is a table. A variable that is empty, and a flag that is None, counts as
    not given. *read_file* reads what a ``_FILE`` variable names; *faults_of* looks at the files that an address names.

    Raises:
        SettingsError: the text lists all faults, each with its source, key, value and what is allowed.
    """
    faults: list[str] = []
    given: dict[str, Given] = {}
    for key, each in [
        *_from_texts(texts, faults),
        *_from_environment(environ, read_file, faults),
        *_from_flags(flags or {}, faults),
    ]:
        before = given.get(key)
        if before and isinstance(before.value, Mapping) and isinstance(each.value, Mapping):
            given[key] = Given(each.source, {**before.value, **each.value})
        else:
            given[key] = each
    settings: Settings | None
    try:
        settings = Settings.model_validate(nested({**DEFAULTS, **{key: each.value for key, each in given.items()}}))
    except ValidationError as error:
        faults += [sentence_of(fault, given) for fault in error.errors(include_url=False)]
        settings = None
    faults += faults_in_files(given, faults_of)
    if settings is not None and not faults:
        return settings
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise SettingsError("\n  ".join((f"the configuration has {count}:", *faults)))


def _from_texts(texts: Iterable[tuple[str, str | Mapping[str, Any]]], faults: list[str]) -> Iterator[tuple[str, Given]]:
    for source, text in texts:
        try:
            table = toml(text) if isinstance(text, str) else text
        except ValueError as error:
            faults.append(f"{source}: is not TOML: {error}")
        else:
            yield from _from_table(source, table, "", faults)


def _from_table(source: str, table: Mapping[str, Any], prefix: str, faults: list[str]) -> Iterator[tuple[str, Given]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if key in DEFAULTS:
            yield key, Given(source, value)
        elif key not in SECTIONS:
            faults.append(f"{source}: {key} is no key{did_you_mean(key)}")
        elif not isinstance(value, Mapping):
            faults.append(f"{source}: {key} is a section, not a value: write [{key}] and its keys below")
        else:
            yield from _from_table(source, value, f"{key}.", faults)


def _from_environment(
    environ: Mapping[str, str], read_file: Callable[[str], str], faults: list[str]
) -> Iterator[tuple[str, Given]]:
    givers: dict[str, str] = {}
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or not environ[name]:
            continue
        key = _key_of(name)
        text: str | None = environ[name]
        if key not in DEFAULTS and _key_of(name[: -len(_FILE)]) in DEFAULTS and name.upper().endswith(_FILE):
            key = _key_of(name[: -len(_FILE)])
            text = _content(name, environ[name], read_file, faults)
        if key not in DEFAULTS:
            faults.append(f"{name}: is no key{did_you_mean(key, _variable)}")
        elif key in givers:
            faults.append(f"{name}: {key} is given by {givers[key]} too; give one of them")
        elif text is not None:
            givers[key] = name
            yield key, Given(name, parsed(key, text))


def _from_flags(flags: Mapping[str, Any], faults: list[str]) -> Iterator[tuple[str, Given]]:
    for key, value in flags.items():
        if key not in DEFAULTS:
            faults.append(f"flag {key}: is no key{did_you_mean(key)}")
        elif value is not None:
            yield key, Given("flag", parsed(key, value) if isinstance(value, str) else value)


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


def toml(text: str) -> dict[str, Any]:
    """*text* as TOML.

    Raises:
        ValueError: it is none, or has a number of thousands of digits, or tables or lists within hundreds of others.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parsed(key: str, text: str) -> Any:
    """*text* as a TOML value, unless the key is a text: an access key may look like a number."""
    if is_kind(key, str) or is_kind(key, SecretStr):
        return text
    try:
        document = toml(f"value = {text}")
    except ValueError:
        return text
    value = document.pop("value")
    return value if not document and isinstance(value, bool | int | float | list | dict) else text
