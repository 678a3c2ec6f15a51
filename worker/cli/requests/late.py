"""Requests whose deadline has passed already: workers would take them only to bury them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from worker.cli.requests.line import Line
from worker.core.message.request import instant_of

#: What is said of one.
LATE = "deadline: has passed already, so that it would not be sent"


def told_late(lines: Iterator[Line], clock: Callable[[], datetime]) -> Iterator[Line]:
    """The *lines*; one that is too late by *clock* is a fault."""
    for line in lines:
        if line.body and is_late(line.body, clock):
            yield replace(line, body=None, fault=LATE)
        else:
            yield line


def is_late(body: Mapping[str, Any], clock: Callable[[], datetime]) -> bool:
    """Whether the deadline of *body*, if it has one that can be read, has passed."""
    written = body.get("deadline")
    if not isinstance(written, str):
        return False
    try:
        return instant_of(written) <= clock()
    except ValueError:
        return False
