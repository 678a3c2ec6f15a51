"""What is wrong with a configuration, as sentences: each names its source, the key, the value and what is allowed.

No fault quotes a secret, nor the value of an unknown key, which may be a secret whose key was mistyped.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from pydantic import SecretStr
from pydantic_core import ErrorDetails

from worker.core.message.fault import problem
from worker.settings.address import BROKER, REDIS, Address, parse
from worker.settings.keys import DEFAULTS, SECTIONS, is_kind
from worker.settings.shown import MASK, without_password

_LONGEST_VALUE: Final = 60
#: Addresses that may name files.
_ADDRESSES: Final = {"broker.url": BROKER, "redis.url": REDIS}


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and who gave it."""

    source: str
    value: Any


def sentence_of(fault: ErrorDetails, given: Mapping[str, Given]) -> str:
    """What the validation library found in what was *given*."""
    place = [str(part) for part in fault["loc"]]
    key = next((".".join(place[:end]) for end in range(len(place), 0, -1) if ".".join(place[:end]) in DEFAULTS), "")
    what = problem(fault)
    name = ".".join(place) or "the configuration"
    if key not in given:  # a rule between keys: whoever gave one of the section's
        givers = sorted({each.source for giver, each in given.items() if giver.startswith(f"{name}.")})
        return f"{', '.join(givers) or 'defaults'}: {name}: {what}"
    if fault["type"] == "missing":
        return f"{given[key].source}: {name} is missing"
    if fault["type"] == "extra_forbidden":
        return f"{given[key].source}: {name} is no key{did_you_mean(name)}"
    return f"{given[key].source}: {name} = {_quoted(key, fault['input'])}: {what}"


def faults_in_files(given: Mapping[str, Given], faults_of: Callable[[Address], Sequence[str]]) -> Iterator[str]:
    """What *faults_of* finds in the files that addresses name."""
    for key, form in _ADDRESSES.items():
        if key in given and isinstance(url := given[key].value, str):
            try:
                found = parse(url, form)
            except ValueError:  # this was told before
                continue
            yield from (f"{given[key].source}: {key}: {fault}" for fault in faults_of(found))


def _quoted(key: str, value: Any) -> str:
    if is_kind(key, SecretStr):
        return MASK
    text = without_password(repr(value))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def did_you_mean(key: str, written_as: Callable[[str], str] = str) -> str:
    """The end of a sentence about an unknown *key*: a key that is like it, or those of its section."""
    section = key if key in SECTIONS else key.rpartition(".")[0]
    within = [each for each in (*DEFAULTS, *SECTIONS) if section and each.rpartition(".")[0] == section]
    if close := get_close_matches(key, within, n=1) or get_close_matches(key, [*DEFAULTS, *SECTIONS], n=1, cutoff=0.75):
        return f"; did you mean {written_as(close[0])}?" if section != key else _has(section, within)
    return _has(section, within) if within else ""


def _has(section: str, keys: Iterable[str]) -> str:
    return f"; [{section}] has {', '.join(sorted(key.rpartition('.')[2] for key in keys))}"
