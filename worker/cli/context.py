"""What every command shares: where its configuration comes from."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import typer

from worker.errors import UsageError
from worker.settings.load import load
from worker.settings.sections import Settings


@dataclass(frozen=True)
class Context:
    """The global options of one call."""

    files: tuple[Path, ...]
    #: ``section.key`` and its value, in the order given.
    flags: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, context: typer.Context) -> Self:
        """The global options of the command that *context* belongs to."""
        found = context.find_object(cls)
        if found is None:
            raise UsageError("commands run under sms-worker only")
        return found

    def settings(self, *more: tuple[str, Mapping[str, Any]]) -> Settings:
        """The configuration; raises SettingsError with every fault in it.

        *more* are tables with the names of their sources, as if they stood in the last files.
        """
        texts = [(str(path), _text(path)) for path in self.files]
        return load([*texts, *more], os.environ, dict(self.flags))


def flags_of(assignments: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Read ``section.key=value`` options; raises UsageError."""
    flags: list[tuple[str, str]] = []
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or "." not in key:
            raise UsageError(f"--set {assignment}: write it as section.key=value")
        if key.strip() in dict(flags):
            raise UsageError(f"--set {key.strip()}: is given twice; give it once")
        flags.append((key.strip(), value))
    return tuple(flags)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"--config {path}: {reason}") from error
