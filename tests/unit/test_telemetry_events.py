"""Events: a closed table, told to everybody, never at the cost of a message."""

import ast
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from worker.telemetry.events import EVENTS, Event
from worker.telemetry.telemetry import Telemetry

WORKER = Path(__file__).parents[2] / "worker"


class Recorder:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.told: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: Event, fields: Mapping[str, Any]) -> None:
        self.told.append((event.name, dict(fields)))
        if self.error:
            raise self.error


def emitted() -> Iterator[tuple[str, str, set[str]]]:
    """Every ``emit("name", field=…)`` of the code: file, name, fields."""
    for file in WORKER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "emit" and node.args:
                names = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)]
                for name in names:
                    if isinstance(name, str):
                        yield file.name, name, {keyword.arg for keyword in node.keywords if keyword.arg}


def test_the_code_emits_only_what_the_table_lists() -> None:
    unlisted = [
        (file, name, fields - EVENTS[name].fields if name in EVENTS else "no such event")
        for file, name, fields in emitted()
        if name not in EVENTS or fields - EVENTS[name].fields
    ]

    assert unlisted == []


def test_every_event_has_a_sentence_and_no_field_for_numbers_or_texts() -> None:
    for event in EVENTS.values():
        assert event.sentence.endswith(".")
        assert {"to", "number", "recipient", "body", "message", "event", "level", "time"}.isdisjoint(event.fields)


def test_an_event_reaches_every_sink_though_one_fails() -> None:
    broken, whole = Recorder(OSError(28, "No space left on device")), Recorder()
    telemetry = Telemetry({"log": broken, "metrics": whole})

    telemetry.emit("slot.burnt", operation="SendMessageToGlobe")
    telemetry.emit("slot.burnt", operation="SendMessageToGlobe")

    failure = ("telemetry.failed", {"sink": "log", "kind": "OSError", "about": "slot.burnt"})
    burnt = ("slot.burnt", {"operation": "SendMessageToGlobe"})
    assert whole.told == [failure, burnt, failure, burnt]


@pytest.mark.parametrize(
    ("name", "fields", "about"),
    [("no.such", {"x": 1}, "no.such"), ("slot.burnt", {"to": "1", "operation": "o"}, "slot.burnt.to")],
)
def test_what_the_table_does_not_list_is_told_once_and_dropped(name: str, fields: dict[str, Any], about: str) -> None:
    log = Recorder()
    telemetry = Telemetry({"log": log})

    telemetry.emit(name, **fields)
    telemetry.emit(name, **fields)

    known = [("slot.burnt", {"operation": "o"})] if name in EVENTS else []
    assert log.told == [("telemetry.failed", {"sink": "log", "kind": "unlisted", "about": about}), *known, *known]


@pytest.mark.parametrize(("name", "fields"), [("no.such", {}), ("slot.burnt", {"to": "1"})])
def test_strict_telemetry_raises_on_what_the_table_does_not_list(name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(KeyError, match=r"events\.py does not list"):
        Telemetry({}, strict=True).emit(name, **fields)


def test_strict_telemetry_raises_what_a_sink_raises() -> None:
    with pytest.raises(io.UnsupportedOperation):
        Telemetry({"log": Recorder(io.UnsupportedOperation())}, strict=True).emit("slot.burnt")
