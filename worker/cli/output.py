"""How commands speak: sentences for people, and JSON lines for programs; tables are in ``table.py``.

What comes from outside (ids, headers, bodies) is shown as it is: no markup of its own, and what acts on a terminal or
shows nothing as an escape (``core/escaping.py``), line ends among it: they would look like another row or sentence.
"""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import orjson
from rich.console import Console

from worker.core.escaping import json_line as escaped
from worker.core.escaping import one_line

#: The width where there is no terminal, unless COLUMNS says another.
_WIDTH: Final = 120


def _console(*, to_errors: bool) -> Console:
    stream = sys.stderr if to_errors else sys.stdout
    is_terminal = stream is not None and stream.isatty()  # it is None where the caller closed it
    width = None if is_terminal or "COLUMNS" in os.environ else _WIDTH
    return Console(stderr=to_errors, highlight=False, emoji=False, width=width)


#: What was asked for.
console: Final = _console(to_errors=False)
#: What must not end up in a pipe.
errors: Final = _console(to_errors=True)


def say(sentence: str) -> None:
    """Write *sentence*, in one line however long it is."""
    console.print(one_line(sentence), markup=False, soft_wrap=True)


def complain(sentence: str, *more: str) -> None:
    """Write *sentence* to standard error, and *more*, each in a line of its own; where that is gone, nowhere."""
    lines = "\n".join(map(one_line, (f"sms-worker: {sentence}", *more)))
    with suppress(OSError):
        errors.print(lines, markup=False, soft_wrap=True)


def counted(count: int, noun: str) -> str:
    """*count* and *noun*, in the plural unless it is one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def json_line(value: Any) -> None:
    """Write *value* as one line of JSON."""
    sys.stdout.buffer.write(dumped(value))
    sys.stdout.buffer.flush()


def json_lines(values: Iterable[Any]) -> None:
    """Write each of *values* as one line of JSON."""
    for value in values:
        json_line(value)


def dumped(value: Any) -> bytes:
    """*value* as one line of JSON; what JSON does not know becomes text."""
    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    try:
        return escaped(orjson.dumps(value, default=_text, option=option))
    except TypeError:  # an integer beyond 64 bits, or half a surrogate pair: whole, but as text
        return orjson.dumps(repr(value), option=option)


def _text(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
