"""Records of a CSV, in which a quote that is not closed costs its own line and no other.

A reader of CSV takes everything up to the next quote for one cell. What it then holds may look like a record and be
several: so a record that spans lines is doubted, and when it cannot be one, reading goes on in the line after that in
which it began.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from worker.cli.requests.text import Text, Texts

#: Characters of a record; a request of every field at its longest is shorter.
LONGEST_RECORD: Final = 65_536
_QUOTE: Final = '"'
_HOW: Final = "a quote within a cell is written twice, in a cell that is in quotes"


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of a record, or what is wrong with it."""

    number: int
    cells: Sequence[str] = ()
    fault: str = ""
    #: How many lines it takes.
    span: int = 1


class _Unending(Exception):  # noqa: N818 - it names a state
    """A record cannot go on so."""


def records(texts: Texts, separator: str, doubt: Callable[[Record, Sequence[Sequence[str]]], str]) -> Iterator[Record]:
    """The records that *texts* hold.

    Args:
        texts: Their lines.
        separator: Of the cells.
        doubt: Says why a record that spans lines is none; it gets the cells of each line after the first, read alone.
    """
    for first in texts:
        if first.fault:
            yield Record(first.number, fault=first.fault)
        elif _QUOTE in first.text:
            yield _quoted(first, texts, separator, doubt)
        else:
            yield Record(first.number, first.text.rstrip("\r\n").split(separator))


def cells_of(text: str, separator: str) -> list[str]:
    """The cells of one line, however it is quoted."""
    return next(csv.reader([text], delimiter=separator), [])


def _quoted(
    first: Text, texts: Texts, separator: str, doubt: Callable[[Record, Sequence[Sequence[str]]], str]
) -> Record:
    more: list[Text] = []
    try:
        cells = next(csv.reader(_followed(first, texts, more), delimiter=separator, strict=True))
        record = Record(first.number, cells, span=1 + len(more))
        fault = doubt(record, [cells_of(text.text, separator) for text in more]) if more else ""
    except (csv.Error, _Unending) as error:
        record, fault = Record(first.number), f"is no CSV: {error}; {_HOW}"
    if fault:
        texts.put_back(more)
        return Record(first.number, fault=fault)
    return record


def _followed(first: Text, texts: Texts, more: list[Text]) -> Iterator[str]:
    """The lines of a record, as long as the reader asks for them; all but the *first* are put into *more*."""
    yield first.text
    length = len(first.text)
    for text in texts:
        more.append(text)
        length += len(text.text)
        if text.fault:
            raise _Unending(f"a quote is not closed before line {text.number}, which {text.fault}")
        if length > LONGEST_RECORD:
            raise _Unending(f"a quote is not closed within {LONGEST_RECORD} characters")
        yield text.text
    raise _Unending("a quote is not closed before the end")
