"""Ids of requests out of a file: of a file as ``sms-worker publish`` takes it, or one id a line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.cli.requests.line import Line
from worker.cli.requests.read import is_of_requests, lines, source_of
from worker.cli.requests.source import STANDARD_INPUT
from worker.cli.requests.text import Texts, texts_of
from worker.core.message.request import REQUEST_ID

_HOW: Final = "must be 1 to 128 letters, digits, dots, underscores, colons or hyphens, without blanks"


@dataclass(frozen=True, slots=True)
class Named:
    """One id of a file, or what is wrong with its line."""

    #: Where it begins, from 1, as an editor counts.
    number: int
    request_id: str = ""
    fault: str = ""


def read_ids(path: Path) -> Iterator[Named]:
    """The ids in *path*, whose name says whether it is a file of requests (.csv, .jsonl), or standard input.

    A request without an id has the one that publishing a file of this name gave it.

    Raises:
        UsageError: it cannot be read, is in an encoding that is not taken, or has a column that no request has.
    """
    with source_of(path) as source:
        if is_of_requests(path):
            yield from map(_of_request, lines(path, source))
            return
        shown = "standard input" if path == STANDARD_INPUT else str(path)
        for text in Texts(texts_of(source, shown, "\n")):
            if text.fault:
                yield Named(text.number, fault=text.fault)
            elif request_id := text.text.strip():
                yield _named(text.number, request_id)


def _of_request(line: Line) -> Named:
    return Named(line.number, fault=line.fault) if line.body is None else _named(line.number, line.body["id"])


def _named(number: int, request_id: object) -> Named:
    if isinstance(request_id, str) and REQUEST_ID.fullmatch(request_id):
        return Named(number, request_id)
    return Named(number, fault=f"id: {_HOW}")
