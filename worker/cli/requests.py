"""Requests out of a file, one after the other, for ``sms-worker publish``: a file may be larger than the memory.

CSV: the header names the fields; ``params.<name>`` and ``metadata.<name>`` are nested, ``template`` is the template's
code, an empty cell is not given. JSONL: one request a line. A request without an id gets one made from its place and
content, so that publishing the same file again publishes the same requests. A line at fault does not end the file.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import orjson

from worker.core.request import SmsRequest
from worker.errors import UsageError

_BOM: Final = b"\xef\xbb\xbf"
_COLUMNS: Final = tuple(field.alias or name for name, field in SmsRequest.model_fields.items() if name != "metadata")


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a file, or what is wrong with it."""

    #: Where it begins, from 1, as an editor counts.
    number: int
    #: None when it is at fault.
    body: Mapping[str, Any] | None = None
    fault: str = ""


def count(path: Path) -> int:
    """How many requests *path* has, those at fault among them; raises what `read` raises."""
    return sum(1 for _ in read(path))


def read(path: Path) -> Iterator[Line]:
    """The requests in *path*.

    Raises:
        UsageError: it cannot be read, is neither .csv nor .jsonl, or has a column that no request has.
    """
    try:
        match path.suffix.lower():
            case ".csv":
                yield from _csv(path)
            case ".jsonl" | ".ndjson":
                yield from _jsonl(path)
            case _:
                raise UsageError(f"{path}: name it .csv or .jsonl, so that its format is known")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error


def _csv(path: Path) -> Iterator[Line]:
    # What is not UTF-8 becomes half surrogate pairs, which no request may hold: one bad line does not end the file.
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        reader = csv.reader(file, strict=True)
        columns = _header(path, reader)
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Line(number, fault=f"is no CSV: {error}")
                continue
            if cells:
                yield _of_cells(path, number, columns, cells)


def _header(path: Path, reader: Iterator[list[str]]) -> Sequence[str]:
    """The columns; a name that no request has would fail every line."""
    try:
        columns = [cell.strip() for cell in next(reader, [])]
    except csv.Error as error:
        raise UsageError(f"{path} line 1: is no CSV: {error}") from error
    for column in columns:
        name, dot, inner = column.partition(".")
        if column not in _COLUMNS and not (dot and inner and name in {"params", "metadata"}):
            allowed = ", ".join((*_COLUMNS, "params.<name>", "metadata.<name>"))
            raise UsageError(f"{path} line 1: there is no field {column!r}; separate by commas: {allowed}")
    if not columns or len(set(columns)) < len(columns):
        raise UsageError(f"{path} line 1: must name each column once")
    return columns


def _of_cells(path: Path, number: int, columns: Sequence[str], cells: Sequence[str]) -> Line:
    if len(cells) != len(columns):
        return Line(number, fault=f"has {len(cells)} cells, the header has {len(columns)}")
    body: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=True):
        if not cell:
            continue
        name, _, inner = column.partition(".")
        match name:
            case "params":
                body.setdefault("template", {}).setdefault("params", {})[inner] = cell
            case "metadata":
                body.setdefault("metadata", {})[inner] = cell
            case "template":
                body.setdefault("template", {})["code"] = cell
            case _:
                body[name] = cell
    return _line(path, number, body)


def _jsonl(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        first = file.readline().removeprefix(_BOM)
        for number, text in enumerate(chain([first], file), start=1):
            if not text.strip():
                continue
            try:
                body = json.loads(text, object_pairs_hook=_each_key_once)
            except (ValueError, RecursionError) as error:
                yield Line(number, fault=f"is no JSON: {error}")
                continue
            if isinstance(body, dict):
                yield _line(path, number, body)
            else:
                yield Line(number, fault="must be a JSON object")


def _each_key_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    once = dict(pairs)
    if len(once) < len(pairs):
        raise ValueError("a key is given more than once")
    return once


def _line(path: Path, number: int, body: dict[str, Any]) -> Line:
    try:
        content = orjson.dumps([path.name, number, body], option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return Line(number, fault="is not UTF-8, or has a number that is too large")
    return Line(number, {"id": f"{number}-{hashlib.blake2b(content, digest_size=12).hexdigest()}"} | body)
