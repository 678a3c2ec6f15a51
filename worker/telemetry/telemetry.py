"""The one place that takes events and passes them to the log, the metrics and Sentry.

What it does never changes a disposition: in production it never raises, whatever a part of it does.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from worker.telemetry.events import EVENTS, Event

#: Takes an event and its fields, which it must not change.
Sink: TypeAlias = Callable[[Event, Mapping[str, Any]], None]


class Telemetry:
    """Passes every event to every sink; implements `ports.Events`."""

    def __init__(self, sinks: Mapping[str, Sink], *, strict: bool = False) -> None:
        """*strict* raises on what the table does not list and on what a sink raises: for tests."""
        self._sinks: Final = tuple(sinks.items())
        self._strict = strict
        self._failures: set[tuple[str, str, str]] = set()

    def emit(self, name: str, /, **fields: Any) -> None:
        """Tell that *name* happened.

        Raises:
            KeyError: only when strict: the table does not list *name* or one of *fields*.
        """
        event = EVENTS.get(name)
        if event is None or not fields.keys() <= event.fields:
            fields = self._listed(name, event, fields)
            if event is None:
                return
        for sink_name, sink in self._sinks:
            try:
                sink(event, fields)
            except Exception as error:
                if self._strict:
                    raise
                self._failed(sink_name, type(error).__name__, name)

    def _listed(self, name: str, event: Event | None, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that *event* lists; what the others hold is not known to be harmless."""
        unlisted = sorted(fields.keys() - event.fields) if event else []
        if self._strict:
            raise KeyError(f"events.py does not list {name}{''.join(f', its field {field}' for field in unlisted)}")
        self._failed("log", "unlisted", ".".join((name, *unlisted)))
        return {key: value for key, value in fields.items() if key not in unlisted}

    def _failed(self, sink_name: str, kind: str, about: str) -> None:
        """Tell the failure of a sink to the others, once per kind, and count it each time."""
        first = (sink_name, kind, about) not in self._failures
        self._failures.add((sink_name, kind, about))
        event, fields = EVENTS["telemetry.failed"], {"sink": sink_name, "kind": kind, "about": about}
        for name, sink in self._sinks:
            if name == "metrics" or first:
                try:
                    sink(event, fields)
                except Exception:  # noqa: BLE001, S112 - there is nobody left to tell
                    continue
