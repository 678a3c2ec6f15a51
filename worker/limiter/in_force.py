"""What limits are in force in this worker: those of its configuration, with the overrides in Redis applied."""

from collections import Counter
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final

from worker.core.limits.overrides import Overrides, differences
from worker.core.limits.quota import Shadow
from worker.errors import SettingsError
from worker.limiter.overrides import read, shadow_field
from worker.ports import Events
from worker.settings.changeable import CHANGEABLE, changeable_values, overridden
from worker.settings.policy import caps_of, windows_of
from worker.settings.sections import Settings
from worker.settings.shown import inline

_SOURCE: Final = "override"
_WINDOWS: Final = "limits.recipient"
_CAPS: Final = "limits.caps"


class InForce:
    """Takes over what Redis has, when that is another or when one of them ends; does nothing otherwise."""

    def __init__(self, settings: Settings, events: Events, change: Callable[[Settings, Shadow], None]) -> None:
        """Nothing is overridden yet; *change* is called with what is to be in force from then on."""
        self._configured = settings
        self._events = events
        self._change = change
        self._stored = b""
        #: What Redis has, as far as it can be read.
        self._wanted = Overrides()
        #: The last that could be applied to this worker's configuration.
        self._taken = Overrides()
        #: Changeable values in force, and those of shadows.
        self._values: tuple[dict[str, Any], dict[str, Any]] = (changeable_values(settings), {})
        #: When the next override ends; Redis' clock.
        self._next_us: float = inf
        self._is_refused = False
        #: What shadows would have refused and Redis was not told yet, by the fields in which it counts.
        self.shadowed: Final[Counter[str]] = Counter()

    def take(self, stored: bytes, now_us: int) -> None:
        """Redis has *stored*, and it is *now_us* there."""
        if stored == self._stored and now_us < self._next_us:
            return
        if stored != self._stored:
            self._stored, self._is_refused = stored, False
            self._read(stored)
        for overrides in (self._wanted.at(now_us), self._taken.at(now_us)):
            try:
                self._apply(overrides)
                break
            except SettingsError as error:
                self._refuse(error)
        ends = [*self._wanted.at(now_us).ends(), *self._taken.at(now_us).ends()]
        self._next_us = min(ends, default=inf)

    def noted(self, windows: Sequence[str], caps: Sequence[str]) -> None:
        """A message was admitted that these windows and caps of a shadow would have refused."""
        for key, words in ((_WINDOWS, windows), (_CAPS, caps)):
            shadow = self._taken.find(key, shadow=True)
            if words and shadow is not None:
                self._events.emit("limits.shadowed", key=key, limit="; ".join(words))
                self.shadowed.update(shadow_field(shadow, each) for each in ("", *words))

    def _read(self, stored: bytes) -> None:
        try:
            wanted = read(stored)
        except ValueError as error:
            self._events.emit("limits.unreadable", reason=str(error))
            return
        unknown = sorted({each.key for each in wanted.every} - CHANGEABLE.keys())
        if unknown:
            self._events.emit("limits.unknown", keys=len(unknown))
        self._wanted = wanted.known(CHANGEABLE)

    def _refuse(self, error: SettingsError) -> None:
        """Say once why what Redis has cannot be applied here."""
        if not self._is_refused:
            self._is_refused = True
            self._events.emit("limits.refused", reason=str(error))

    def _apply(self, overrides: Overrides) -> None:
        settings = overridden(self._configured, overrides.values(), _SOURCE)
        shadows = overridden(settings, overrides.values(shadow=True), _SOURCE)
        before, now = self._values, (changeable_values(settings), overrides.values(shadow=True))
        self._taken = overrides
        if now == before:
            return
        self._values = now
        windows = windows_of(shadows) if _WINDOWS in now[1] else ()
        caps = caps_of(shadows) if _CAPS in now[1] else ()
        self._change(settings, Shadow(windows, caps))
        for is_shadow in (False, True):
            for key, (old, new) in differences(before[is_shadow], now[is_shadow]).items():
                self._events.emit(
                    "limits.changed", key=key, before=inline(old), after=inline(new), shadow=is_shadow or None
                )
