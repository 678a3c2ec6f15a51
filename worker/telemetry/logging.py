"""One JSON object a line on standard output, or coloured lines for a developer's terminal.

The hot path writes one line per delivery, so a line is made in one pass over the fields that drops what was not given
and scrubs; the logging library only draws what a person reads. Standard output is written by a thread (``lines.py``): a
reader who stops must not stop sending.
"""

import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, TypeAlias

import orjson
import structlog

from worker.core.escaping import json_line, one_line
from worker.core.instant import to_the_millisecond
from worker.settings.sections import LogSettings
from worker.telemetry.events import EVENTS, Event, Level
from worker.telemetry.lines import Lines
from worker.telemetry.scrubbing import FREE, scrub, scrub_text
from worker.telemetry.trace import told, trace

_Fields: TypeAlias = MutableMapping[str, Any]
_SEVERITY: Final = {Level.DEBUG: 10, Level.INFO: 20, Level.WARNING: 30, Level.ERROR: 40}
#: Digits kept behind the point of a second: 0.1 ms.
_DIGITS: Final = 4
_JSON: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE


def _now() -> datetime:
    return datetime.now(UTC)


def _standard_output() -> int | BinaryIO:
    """Its descriptor; where it is closed a number that none has, so that every write fails and is counted.

    A program that captures it put something else in its place, which is written as it is.
    """
    try:
        return -1 if sys.stdout is None else sys.stdout.fileno()
    except OSError:
        return sys.stdout.buffer


class Log:
    """Writes events as lines; a sink of `Telemetry`."""

    def __init__(
        self,
        settings: LogSettings,
        stream: BinaryIO | None = None,
        now: Callable[[], datetime] = _now,
        *,
        dropped: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Write what is at least as loud as the settings say.

        Args:
            settings: How loud, and in which form.
            stream: Is written at once, and raises what it raises; standard output by default, by a thread.
            now: The time of a line.
            dropped: Hears how many lines standard output did not take.
        """
        self.level: Final = Level(settings.level)
        self._least: Final = _SEVERITY[self.level]
        self._now = now
        out = stream or _standard_output()
        self._target = Lines(out, dropped, self._notice) if isinstance(out, int) else out
        colours = os.isatty(out) if isinstance(out, int) else out.isatty()
        self._render = _json if settings.format == "json" else _console(colours=colours)

    def __call__(self, event: Event, fields: Mapping[str, Any]) -> None:
        """Write *event*; never blocks and never raises for standard output."""
        if _SEVERITY[event.level] >= self._least:
            self._target.write(self._line(event, fields))

    def close(self) -> None:
        """Write what waits, for a second at the most; blocks, so call it in a thread or at the end."""
        if isinstance(self._target, Lines):
            self._target.close()

    def _notice(self, count: int) -> bytes:
        """The line that tells of *count* dropped ones."""
        return self._line(EVENTS["log.dropped"], {"lines": count})

    def _line(self, event: Event, fields: Mapping[str, Any]) -> bytes:
        line: _Fields = {
            "time": to_the_millisecond(self._now()),
            "level": event.level.value,
            "event": event.name,
        }
        if event.explained:
            line["sentence"] = event.sentence
        for key, value in fields.items():
            kind = type(value)
            if value is None:
                continue
            if kind is str:
                line[key] = value if value.isalpha() or key in FREE else scrub_text(value)
            elif kind is float:
                line[key] = round(value, _DIGITS)
            elif kind is bool or key in FREE:
                line[key] = value
            elif isinstance(value, BaseException):
                line[key] = told(value)
                line["trace"] = trace(value)
            else:
                line[key] = scrub(value)
        return self._render(line)


def _json(line: _Fields) -> bytes:
    """What is free may hold anything, so odd types are named."""
    return json_line(orjson.dumps(line, default=lambda value: type(value).__name__, option=_JSON))


def _console(*, colours: bool) -> Callable[[_Fields], bytes]:
    renderer = structlog.dev.ConsoleRenderer(colors=colours, timestamp_key="time")

    def render(line: _Fields) -> bytes:
        shown: _Fields = {key: one_line(value) if isinstance(value, str) else value for key, value in line.items()}
        if "trace" in shown:
            shown["trace"] = "\n".join(("", *map(one_line, shown["trace"])))
        return f"{renderer(None, line['level'], shown)}\n".encode()

    return render
