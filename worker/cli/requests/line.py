"""One request of a file, or what is wrong with it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from worker.core.message.request import no_json


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a file, or what is wrong with it."""

    #: Where it begins, from 1, as an editor counts.
    number: int
    #: None when it is at fault.
    body: Mapping[str, Any] | None = None
    fault: str = ""
    #: What its author should know though it is published.
    warning: str = ""
    #: How many lines of the file it takes.
    span: int = 1
    #: Whether its id was given, and not made here.
    has_own_id: bool = field(default=False, compare=False)


def line_of(name: str, number: int, body: Mapping[str, Any], span: int = 1) -> Line:
    """The request *body* that begins in line *number* of the file *name*.

    Without an id it gets one of its place and content, so that the same file makes the same requests again.
    """
    if faults := no_json(body):
        return Line(number, fault="; ".join(faults), span=span)
    content = orjson.dumps([name, number, body], option=orjson.OPT_SORT_KEYS)
    made = f"{number}-{hashlib.blake2b(content, digest_size=12).hexdigest()}"
    return Line(number, {"id": made} | dict(body), span=span, has_own_id="id" in body)
