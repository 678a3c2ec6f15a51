"""One JSON object a line on standard output, or coloured lines for a developer's terminal.

The hot path writes one line per delivery, so the lines go through one processor of ours that names the instant, drops
what was not given and scrubs, all in one pass over the fields.
"""

import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, TypeAlias

import orjson
import structlog
from structlog.types import Processor

from worker.settings import LogSettings
from worker.telemetry.event import Event, Level
from worker.telemetry.scrubbing import FREE, scrub, scrub_text
from worker.telemetry.trace import told, trace

_Fields: TypeAlias = MutableMapping[str, Any]
#: From this level on a line carries its sentence: it is read by somebody who does not know the names.
_LOUD: Final = frozenset({Level.WARNING, Level.ERROR})
_SEVERITY: Final = {Level.DEBUG: 10, Level.INFO: 20, Level.WARNING: 30, Level.ERROR: 40}
#: Digits kept behind the point of a second: 0.1 ms.
_DIGITS: Final = 4


def _now() -> datetime:
    return datetime.now(UTC)


class Log:
    """Writes events as lines; a sink of `Telemetry`."""

    def __init__(
        self, settings: LogSettings, stream: BinaryIO | None = None, now: Callable[[], datetime] = _now
    ) -> None:
        """Write to *stream*, standard output by default, what is at least as loud as the settings say."""
        self.level: Final = Level(settings.level)
        self._now = now
        out = stream or sys.stdout.buffer
        logger = structlog.wrap_logger(
            structlog.BytesLogger(out),
            processors=[self._finish, *_renderers(settings.format, colours=out.isatty())],
            wrapper_class=structlog.make_filtering_bound_logger(_SEVERITY[self.level]),
        ).bind()
        self._write = {level: getattr(logger, level.value) for level in Level}

    def __call__(self, event: Event, fields: Mapping[str, Any]) -> None:
        """Write *event*; raises OSError when the stream is gone."""
        if event.level in _LOUD:
            self._write[event.level](event.name, sentence=event.sentence, **fields)
        else:
            self._write[event.level](event.name, **fields)

    def _finish(self, _logger: Any, method: str, fields: _Fields) -> _Fields:
        line: _Fields = {
            "time": self._now().isoformat(timespec="milliseconds"),
            "level": method,
            "event": fields.pop("event"),
        }
        for key, value in fields.items():
            kind = type(value)
            if value is None:
                continue
            if kind is float:
                line[key] = round(value, _DIGITS)
            elif kind is bool or key in FREE:
                line[key] = value
            elif kind is str:
                line[key] = scrub_text(value)
            elif isinstance(value, BaseException):
                line[key] = told(value)
                line["trace"] = trace(value)
            else:
                line[key] = scrub(value)
        return line


def _renderers(style: str, *, colours: bool) -> list[Processor]:
    if style == "json":
        return [structlog.processors.JSONRenderer(serializer=_dumps)]
    return [_for_console, structlog.dev.ConsoleRenderer(colors=colours, timestamp_key="time"), _encoded]


def _dumps(line: Mapping[str, Any], **_options: Any) -> bytes:
    """The structlog renderer passes json.dumps' options; what is free may hold anything, so odd types are named."""
    return orjson.dumps(line, default=lambda value: type(value).__name__, option=orjson.OPT_NON_STR_KEYS)


def _for_console(_logger: Any, _method: str, line: _Fields) -> _Fields:
    return line | {"trace": "\n".join(("", *line["trace"]))} if "trace" in line else line  # type: ignore[operator]  # a dict


def _encoded(_logger: Any, _method: str, line: Any) -> bytes:
    return str(line).encode()
