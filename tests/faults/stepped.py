"""A wall clock of a worker that a test steps while the worker runs."""

import inspect
import mmap
import re
import struct
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Final

#: Seconds that the worker's clock is ahead of the machine's.
_AHEAD: Final = struct.Struct("d")


class Step:
    """The test's end: a file that the worker has in its memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.to(0)

    def to(self, ahead_s: float) -> None:
        """Put the worker's clock *ahead_s* seconds ahead of the machine's; negative is behind."""
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(_AHEAD.pack(ahead_s))


def step_clock(path: Path) -> None:
    """Let every part of the worker of this process take its wall clock from the file at *path*.

    Monotonic clocks and timers go on as they are: so they do when somebody sets the clock of a machine.
    """
    with path.open("rb") as file:
        ahead = mmap.mmap(file.fileno(), _AHEAD.size, prot=mmap.PROT_READ)

    class Stepped(datetime):
        """What the parts of the worker that ask for the time have in place of `datetime`."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a subclass cannot be written as JSON
            return datetime.now(tz) + timedelta(seconds=_AHEAD.unpack_from(ahead)[0])

    clocks = [module for name, module in sys.modules.items() if name.startswith("worker.") and _asks(module)]
    assert clocks, "no module of the worker asks for the time any more"
    for module in clocks:
        module.datetime = Stepped  # type: ignore[attr-defined]  # it is there, see `_asks`


def _asks(module: ModuleType) -> bool:
    source = inspect.getsource(module)
    assert not re.search(r"datetime\.now\b(?!\()", source), f"{module.__name__} keeps a clock that cannot be stepped"
    return vars(module).get("datetime") is datetime and "datetime.now(" in source
