"""JSONL: one request a line."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from worker.cli.requests.line import Line, line_of
from worker.cli.requests.text import Texts

#: More digits than any number that JSON's readers agree on; what has more is too large, however large it is.
_MOST_DIGITS: Final = 30


def read_jsonl(name: str, texts: Texts) -> Iterator[Line]:
    """The requests of the file *name*."""
    for text in texts:
        if text.fault:
            yield Line(text.number, fault=text.fault)
        elif text.text.strip():
            yield _line(name, text.number, text.text)


def _line(name: str, number: int, text: str) -> Line:
    try:
        body = _READER.decode(text)
    except json.JSONDecodeError as error:  # its own text counts lines of this one
        return Line(number, fault=f"is no JSON: {error.msg} (column {error.colno})")
    except (ValueError, RecursionError) as error:
        return Line(number, fault=f"is no JSON: {error}")
    if not isinstance(body, dict):
        return Line(number, fault="must be a JSON object")
    return line_of(name, number, body)


def _each_key_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    once = dict(pairs)
    if len(once) < len(pairs):
        raise ValueError("a key is given more than once")
    return once


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no value")


#: Of a text, and never of bytes, of which it would guess the encoding line by line.
_READER: Final = json.JSONDecoder(
    object_pairs_hook=_each_key_once,
    parse_constant=_no_constant,
    parse_int=lambda digits: int(digits[:_MOST_DIGITS]),
)
