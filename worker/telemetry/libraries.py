"""What libraries say through the standard library's logging, in our lines.

Rules of this file. Libraries are heard from warnings on, whatever our own level is: aio_pika writes bodies of messages
at debug. Only the first line of a record is told, because asyncio puts the text of exceptions on the others. An
exception is told without its text, and an argument by its type where it may be a whole message: only numbers, truth
values and names of code stay.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from worker.ports import Events

_LONGEST: Final = 300
#: A number below this is nobody's phone number, but may be a port, a count or an error's.
_LARGEST: Final = 1_000_000
#: A name as code has it, of several parts; a word of a message that stands alone has one.
_NAME: Final = re.compile(r"[A-Za-z]+(?:[._]+[A-Za-z]+)+")
_LONGEST_NAME: Final = 60


class _Forward(logging.Handler):
    """Turns records into the events ``library.warned`` and ``library.failed``."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        # Python's own warnings are all argument, and come from code.
        text = record.getMessage() if record.name == "py.warnings" else _filled(str(record.msg), record.args)
        self._events.emit(
            "library.failed" if record.levelno >= logging.ERROR else "library.warned",
            logger=record.name,
            text=text.partition("\n")[0][:_LONGEST],
            error=record.exc_info[1] if record.exc_info else None,
        )


class _Type(str):
    """The name of a type, whatever the format asks for: ``%r`` shows it without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _filled(form: str, arguments: object) -> str:
    """*form* with *arguments* as far as they are harmless; alone when they do not fit it."""
    try:
        match arguments:
            case Mapping() if "%(" not in form:  # logging takes a mapping that is the only argument out of its tuple
                return form % (_harmless(arguments),)
            case Mapping():
                return form % {key: _harmless(value) for key, value in arguments.items()}
            case tuple() if arguments:
                return form % tuple(map(_harmless, arguments))
            case _:
                return form
    except (TypeError, ValueError, KeyError):
        return form


def _harmless(value: object) -> object:
    """*value* when it is a number of few digits, a truth value or a name of code; else its type's name."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and abs(value) < _LARGEST:
        return value
    if isinstance(value, str) and len(value) <= _LONGEST_NAME and _NAME.fullmatch(value):
        return value
    return _Type(f"<{type(value).__qualname__}>")


@contextmanager
def libraries_heard(events: Events) -> Iterator[None]:
    """While it lasts, the root logger and Python's warnings go to *events* and nowhere else."""
    root, forward = logging.getLogger(), _Forward(events)
    before, level = root.handlers[:], root.level
    root.handlers[:] = [forward]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = before
        root.setLevel(level)
