"""The Lua scripts, one a file: each makes one decision atomically, and its header is its contract.

Scripts cannot include each other, so what some share is a file that is put before each of them.
"""

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


def load(name: str, *shared: str) -> Script:
    """The script *name*, after the files *shared* of which it uses the functions."""
    text = "".join((files(__package__) / "lua" / f"{part}.lua").read_text("utf-8") for part in (*shared, name))
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


GRANT: Final = load("grant", "learned")
THROTTLED: Final = load("throttled", "learned", "stored")
RATES: Final = load("rates", "learned")
EPOCH: Final = load("epoch", "hold_state")
HOLD: Final = load("hold", "hold_state")
LIFT: Final = load("lift", "hold_state")
HELD: Final = load("held", "hold_state")
STOP: Final = load("stop", "hold_state")
UNPROBED: Final = load("unprobed")
ADMIT: Final = load("admit", "hold_state", "meet", "calendar", "places", "fit", "give_back")
RECORD: Final = load("record", "places", "give_back")
CANCEL: Final = load("cancel")
RESTORE: Final = load("restore")
CLOSE: Final = load("close")
CALL_SIZE: Final = load("call_size")
OVERRIDES: Final = load("overrides", "hold_state", "stored")
CHANGE: Final = load("change", "stored")
STAND: Final = load("stand", "hold_state", "stored")

#: All of them.
EVERY: Final = (
    *(GRANT, THROTTLED, RATES, EPOCH, HOLD, LIFT, HELD, STOP, UNPROBED, ADMIT, RECORD, CANCEL, RESTORE),
    *(CLOSE, CALL_SIZE, OVERRIDES, CHANGE, STAND),
)
