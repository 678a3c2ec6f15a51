"""Requests out of a file or an option, for ``sms-worker publish``.

CSV: the header names the fields (id, to, type, text, from, task_id, not_before, deadline, template, and metadata.<key>,
params.<key>); empty cells are not given. JSONL: one request body a line. A request without an id gets one made from its
line's number and content, so publishing the same file again publishes the same requests.
"""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from worker.errors import UsageError


def from_file(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and body of each request in *path*; raises UsageError on what cannot be read."""
    match path.suffix.lower():
        case ".csv":
            rows = _csv(path)
        case ".jsonl" | ".ndjson":
            rows = _jsonl(path)
        case _:
            raise UsageError(f"{path}: name it .csv or .jsonl, so that its format is known")
    try:
        for line, body in rows:
            yield line, {"id": _stable_id(path, line, body)} | body
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: {error}") from error


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)
        for row in reader:
            if None in row or None in row.values():
                raise UsageError(f"{path} line {reader.line_num}: has another number of cells than the header")
            yield reader.line_num, _body({key: value for key, value in row.items() if value})


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                body = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise UsageError(f"{path} line {line}: {error}") from error
            if not isinstance(body, dict):
                raise UsageError(f"{path} line {line}: must be a JSON object")
            yield line, body


def _body(cells: dict[str, str]) -> dict[str, Any]:
    """A request body from flat cells; dotted names become its nested parts."""
    body: dict[str, Any] = {}
    for key, value in cells.items():
        name, _, inner = key.strip().partition(".")
        match name, inner:
            case "params", inner if inner:
                body.setdefault("template", {}).setdefault("params", {})[inner] = value
            case "metadata", inner if inner:
                body.setdefault("metadata", {})[inner] = value
            case "template", "":
                body.setdefault("template", {})["code"] = value
            case _:
                body[key.strip()] = value
    return body


def _stable_id(path: Path, line: int, body: dict[str, Any]) -> str:
    content = orjson.dumps([path.name, line, body], option=orjson.OPT_SORT_KEYS)
    return f"{line}-{hashlib.blake2b(content, digest_size=12).hexdigest()}"
