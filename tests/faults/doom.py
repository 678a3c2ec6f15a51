"""How a worker dies at a point of its path that a test chose: it says its last words, then it kills itself."""

import os
import signal
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

#: A last word is written to a pipe at once, or not at all, when it is not longer than this (POSIX, PIPE_BUF).
_LONGEST: Final = 4096


@dataclass
class Doom:
    """Counts how often the worker passes the point, and ends it at the chosen time."""

    point: str
    #: Which passing of the point is the last; 1 is the first.
    passing: int
    #: Where the last words go.
    pipe: int
    #: Passings do not count before it is armed.
    is_armed: bool = True
    #: Ids of the requests that were received and whose delivery has not ended.
    in_hand: set[str] = field(default_factory=set)
    _passed: int = 0

    def is_now(self) -> bool:
        """Count one passing of the point; True when it is the last."""
        self._passed += self.is_armed
        return self.is_armed and self._passed == self.passing

    def strike(self, about: str | None = None) -> None:
        """Count one passing of the point, and end the worker if it is the last."""
        if self.is_now():
            self.die(about)

    def die(self, about: str | None = None) -> None:
        """End the worker as the kernel, an operator or a lost machine would.

        *about* is the id of the request that is at the point, where the test wants to know.
        """
        words: dict[str, Any] = {"point": self.point, "about": about, "in_hand": sorted(self.in_hand)}
        last = orjson.dumps(words)
        assert len(last) <= _LONGEST, "too much in hand for one write"
        os.write(self.pipe, last)
        os.kill(os.getpid(), signal.SIGKILL)
