"""How many reports may go out: one of a kind per minute, and so many of all kinds."""

from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(slots=True)
class Allowance:
    """Refuses what would only repeat; the clock is the caller's, in seconds."""

    #: Between two reports of one kind.
    pause: timedelta = timedelta(minutes=1)
    #: Kinds remembered, and so reports per pause: beyond it everything waits.
    kinds: int = 30
    _last: dict[str, float] = field(default_factory=dict)

    def take(self, kind: str, now_s: float) -> bool:
        """Whether a report of *kind* may go out at *now_s*."""
        since = now_s - self.pause.total_seconds()
        self._last = {each: at for each, at in self._last.items() if at > since}
        if kind in self._last or len(self._last) >= self.kinds:
            return False
        self._last[kind] = now_s
        return True
