"""The Lua scripts, one a file: each makes one decision atomically, and its header is its contract."""

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Final


@dataclass(frozen=True, slots=True)
class Script:
    """A script as Redis knows it."""

    name: str
    text: str
    #: Redis names a script by its SHA-1.
    sha: str


def _load(name: str) -> Script:
    text = (files(__package__) / f"{name}.lua").read_text("utf-8")
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


GRANT: Final = _load("grant")
THROTTLED: Final = _load("throttled")
EPOCH: Final = _load("epoch")
HOLD: Final = _load("hold")
LIFT: Final = _load("lift")
HELD: Final = _load("held")
ADMIT: Final = _load("admit")
RECORD: Final = _load("record")
CLOSE: Final = _load("close")
