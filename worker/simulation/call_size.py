"""How large a batch call may be, as `limiter/lua/call_size.lua` finds it by slow start."""

from typing import Final

from worker.limiter.call_size import FIRST_BYTES


class CallSize:
    """Doubled after each call that was accepted with more than half of it; shared by all workers."""

    def __init__(self, most_bytes: int, base: int) -> None:
        """Never more than *most_bytes*, of which the parameters without members take *base*."""
        self._most_bytes: Final = most_bytes
        self._base: Final = base
        self._most = min(FIRST_BYTES, most_bytes)

    @property
    def members(self) -> int:
        """Bytes that the members of the next call may add."""
        return min(self._most, self._most_bytes) - self._base

    def accepted(self, members: int) -> None:
        """A call with so many bytes of *members* was accepted."""
        if 2 * (members + self._base) > self._most:
            self._most *= 2
