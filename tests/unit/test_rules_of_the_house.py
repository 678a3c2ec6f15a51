"""Rules that a reader should be able to rely on and that no linter knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from hypothesis import settings

WORKER = Path(__file__).parents[2] / "worker"
FILES = sorted(WORKER.rglob("*.py"))
MOST_LINES, MOST_MEDIAN_LINES = 300, 100
#: Words that say nothing, or something else here: a request is no job, and a task is asyncio's.
BANNED = {"job", "task", "process", "handle", "handler", "manager", "util", "helper", "common", "data", "info"}

#: The provider's own name of a field, and asyncio's of what a protocol hears.
GIVEN = {"task_id", "data_received"}


def lines_of(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def places_of(pattern: str) -> list[str]:
    """Where *pattern* occurs in the package's code, comments and docstrings left out."""
    found = []
    for path in FILES:
        code = ast.unparse(without_docstrings(ast.parse(path.read_text("utf-8"))))
        found += [str(path.relative_to(WORKER)) for line in code.splitlines() if re.search(pattern, line)]
    return found


def without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def names_in(path: Path) -> Iterator[str]:
    """Names that the file gives: its own, and those of its classes and functions."""
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def words(name: str) -> set[str]:
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return {word for part in parts for word in (part.lower(), part.lower().removesuffix("s"))}


def test_no_file_is_longer_than_it_can_be_read_at_one_go() -> None:
    assert {str(path.relative_to(WORKER)): lines_of(path) for path in FILES if lines_of(path) > MOST_LINES} == {}


def test_most_files_are_about_one_thing() -> None:
    sizes = sorted((lines_of(path), str(path.relative_to(WORKER))) for path in FILES if lines_of(path) > 1)

    assert median(size for size, _ in sizes) < MOST_MEDIAN_LINES, sizes[len(sizes) // 2 :]


@pytest.mark.parametrize("call", ["ack", "nack", "reject", "requeue"])
def test_deliveries_are_acknowledged_in_one_place(call: str) -> None:
    asked_of_the_settler = r"(?<!self\._settler)"
    assert set(places_of(rf"{asked_of_the_settler}\.(basic_)?{call}\(")) <= {"broker/settle.py"}


def imported_by(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{alias.name}" for alias in names)


def test_calls_over_http_are_made_in_one_place() -> None:
    """The import contracts know packages only, and aiohttp's server is a part of the same one as its client."""
    client = re.compile(r"aiohttp(\.([Cc]lient|connector|TCPConnector|request).*)?|httptools.*")
    callers = {str(path.parent.relative_to(WORKER)) for path in FILES if any(map(client.fullmatch, imported_by(path)))}

    assert callers == {"provider/http"}


@pytest.mark.parametrize(
    "pattern",
    [
        r"\.process\(",  # aio_pika's message.process() rejects when it is cancelled: a drain would lose messages
        r"except BaseException",  # it would swallow cancellation
        r"except:",
    ],
)
def test_what_loses_messages_or_cancellations_is_nowhere(pattern: str) -> None:
    assert places_of(pattern) == []


def test_the_search_finds_what_it_looks_for() -> None:
    """A search that finds nothing anywhere would keep every rule."""
    assert "delivery/pipeline.py" in places_of(r"except Exception")
    assert words("TaskGroup_of_HTTPJobs") >= {"task", "job", "http"}
    assert {"history", "History", "from_headers"} <= set(names_in(WORKER / "core" / "message" / "history.py"))


def test_names_use_the_words_of_the_house() -> None:
    offenders = {
        f"{path.relative_to(WORKER)}: {name}"
        for path in FILES
        for name in names_in(path)
        if words(name) & BANNED and name not in GIVEN
    }

    assert offenders == set()


def test_no_property_fails_because_the_machine_is_busy() -> None:
    assert settings().deadline is None
