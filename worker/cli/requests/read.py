"""From a file, or standard input, to requests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from worker.cli.requests.encoding import encoding_of
from worker.cli.requests.jsonl import read_jsonl
from worker.cli.requests.late import told_late
from worker.cli.requests.line import Line
from worker.cli.requests.repeats import told_repeats
from worker.cli.requests.source import STANDARD_INPUT, Source, opened
from worker.cli.requests.table import read_table
from worker.cli.requests.text import Texts, texts_of
from worker.errors import UsageError


class Format(StrEnum):
    """How requests are written."""

    CSV = "csv"
    JSONL = "jsonl"


_SUFFIXES: Final = {".csv": Format.CSV, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL}


def count(path: Path, written: Format | None = None) -> int:
    """How many requests the file *path* has, those at fault among them; raises what `read` raises."""
    with source_of(path) as source:
        return sum(1 for _ in lines(path, source, written))


def read(
    path: Path,
    written: Format | None = None,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    opening: Callable[[Source], None] = lambda _: None,
) -> Iterator[Line]:
    """The requests in *path*, or standard input, which can be read once.

    Args:
        path: Its name tells how requests are written in it, unless *written* does; standard input is looked at.
        written: How.
        clock: By which deadlines have passed.
        opening: Hears of what was opened.

    Raises:
        UsageError: it cannot be read, is neither .csv nor .jsonl, is in an encoding that is not taken, or has a column
            that no request has.
    """
    with source_of(path) as source:
        opening(source)
        yield from told_late(told_repeats(lines(path, source, written)), clock)


@contextmanager
def source_of(path: Path) -> Iterator[Source]:
    """Open *path*, or standard input; raises UsageError when it cannot be read, there or within the block."""
    try:
        with opened(path) as source:
            yield source
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error


def is_of_requests(path: Path) -> bool:
    """Whether the name of *path* says that requests are written in it."""
    return path.suffix.lower() in _SUFFIXES


def lines(path: Path, source: Source, written: Format | None = None) -> Iterator[Line]:
    """The requests of *source*, which is opened from *path*, as they are written; raises what `read` raises."""
    shown = "standard input" if path == STANDARD_INPUT else str(path)
    form = written or (_looks_like(source, shown) if path == STANDARD_INPUT else _SUFFIXES.get(path.suffix.lower()))
    match form:
        case Format.CSV:
            return read_table(path.name, shown, Texts(texts_of(source, shown, "")))
        case Format.JSONL:
            return read_jsonl(path.name, Texts(texts_of(source, shown, "\n")))
        case _:
            raise UsageError(f"{path}: name it .csv or .jsonl, or say --format, so that its format is known")


def _looks_like(source: Source, shown: str) -> Format:
    """JSONL begins with an object, CSV with the name of a field."""
    beginning = source.head.decode(encoding_of(shown, source.head), "replace")
    return Format.JSONL if beginning.lstrip("\ufeff \t\r\n").startswith("{") else Format.CSV
