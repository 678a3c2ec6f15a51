"""What libraries say through the standard library's logging, in our lines.

Rules of this file. Libraries are heard from warnings on, whatever our own level is: aio_pika writes bodies of messages
at debug. Only the first line of a record is told, because asyncio puts the text of exceptions on the others. An
exception is told without its text.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from worker.ports import Events

_LONGEST: Final = 300


class _Forward(logging.Handler):
    """Turns records into the events ``library.warned`` and ``library.failed``."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        # The format without its arguments: those may be whole messages, with the number and the text in them. Python's
        # own warnings are all argument, and come from code.
        text = record.getMessage() if record.name == "py.warnings" else str(record.msg)
        self._events.emit(
            "library.failed" if record.levelno >= logging.ERROR else "library.warned",
            logger=record.name,
            text=text.partition("\n")[0][:_LONGEST],
            error=record.exc_info[1] if record.exc_info else None,
        )


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
