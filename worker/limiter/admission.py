"""Windows and caps in the language of admit.lua."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from struct import Struct
from typing import Final, NamedTuple

from worker.core.limits.quota import Cap, Shadow, Window
from worker.core.limits.windows import cap_words, caps_of, strictest, window_words
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Closed, Period
from worker.limiter.resp import Argument

#: Limit, period and lanes of a window, as admit.lua unpacks them.
_WINDOW: Final = Struct(">idi")
#: Says in the lanes of a window that it is a shadow.
_SHADOW: Final = 256
_CALENDAR: Final = {Period.DAY: 0, Period.MONTH: -1}
_MICROSECOND: Final = timedelta(microseconds=1)
_NO_SHADOW: Final = Shadow()


class Ask(NamedTuple):
    """What admit.lua is asked about the limits; *windows* and *caps* give its answer a meaning."""

    windows_args: tuple[Argument, ...]
    caps_args: tuple[Argument, ...]
    #: Those of the shadow are the last.
    windows: tuple[Window, ...]
    #: As admit.lua is told them.
    caps: tuple[Cap, ...]

    def read(self, which: int | bytes, after_us: int) -> Closed:
        """What admit.lua's {'CLOSED', *which*, *after_us*} means."""
        words = f"of the provider ({which.decode()})" if isinstance(which, bytes) else self._words(which)
        return Closed(words, timedelta(microseconds=after_us))

    def shadows(self, noted: Iterable[int]) -> tuple[list[str], list[str]]:
        """The windows and the caps among what admit.lua *noted* of a message that it admitted."""
        found = sorted(-which for which in noted if which < 0)
        count = len(self.windows)
        windows, caps = [one for one in found if one <= count], [one for one in found if one > count]
        return [*map(self._words, windows)], [*map(self._words, caps)]

    def _words(self, which: int) -> str:
        return [*map(window_words, self.windows), *map(cap_words, self.caps)][which - 1]


class Counters:
    """The operator's windows and caps."""

    def __init__(self, windows: Sequence[Window], caps: Sequence[Cap], shadow: Shadow = _NO_SHADOW) -> None:
        """What *shadow* has is counted too, and refuses nobody."""
        self._windows = (*windows, *shadow.windows)
        packed = b"".join(map(_packed, windows)) + b"".join(_packed(one, _SHADOW) for one in shadow.windows)
        self._window_args: dict[Lane, tuple[Argument, ...]] = {lane: (lane.rank, packed) for lane in Lane}
        self._uncapped = {lane: Ask(told, (), self._windows, ()) for lane, told in self._window_args.items()}
        self._caps, self._shadows = strictest(caps), strictest(shadow.caps)

    def ask(self, number: str, lane: Lane) -> Ask:
        """What to ask for a message to *number* (digits only).

        All windows are told, whatever the lane: a mark of this lane is kept as long as any of them counts it.
        """
        caps = caps_of(self._caps, number)
        shadows = caps_of(self._shadows, number) if self._shadows else ()
        if not caps and not shadows:
            return self._uncapped[lane]
        told = [(_name(cap), cap.limit, cap) for cap in caps] + [(_name(cap), -cap.limit, cap) for cap in shadows]
        if shadows:  # two of one name are counted as one, and stand side by side
            told.sort(key=lambda each: each[0])
        args: list[Argument] = []
        for name, limit, cap in told:
            args += [name, limit, _CALENDAR[cap.period]]
        return Ask(self._window_args[lane], tuple(args), self._windows, tuple(cap for *_, cap in told))


def _packed(window: Window, kind: int = 0) -> bytes:
    period = window.period
    length_us = _CALENDAR[period] if isinstance(period, Period) else period / _MICROSECOND
    return _WINDOW.pack(window.limit, length_us, kind + sum(1 << lane.rank for lane in window.lanes))


def _name(cap: Cap) -> str:
    return f"{cap.period.value}:{cap.prefix}"
