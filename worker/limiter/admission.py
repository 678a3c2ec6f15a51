"""Windows and caps in the language of admit.lua."""

from collections.abc import Sequence
from datetime import timedelta
from struct import Struct
from typing import Final, NamedTuple

from worker.core.limits.quota import Cap, Window
from worker.core.limits.windows import cap_words, caps_of, strictest, window_words
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Closed, Period
from worker.limiter.resp import Argument

#: Limit, period and lanes of a window, as admit.lua unpacks them.
_WINDOW: Final = Struct(">idi")
_CALENDAR: Final = {Period.DAY: 0, Period.MONTH: -1}
_MICROSECOND: Final = timedelta(microseconds=1)


class Ask(NamedTuple):
    """What admit.lua is asked about the limits; *windows* and *caps* give its answer a meaning."""

    windows_args: tuple[Argument, ...]
    caps_args: tuple[Argument, ...]
    windows: tuple[Window, ...]
    caps: tuple[Cap, ...]

    def read(self, which: int | bytes, after_us: int) -> Closed:
        """What admit.lua's {'CLOSED', *which*, *after_us*} means."""
        if isinstance(which, bytes):
            words = f"of the provider ({which.decode()})"
        else:
            words = [*map(window_words, self.windows), *map(cap_words, self.caps)][which - 1]
        return Closed(words, timedelta(microseconds=after_us))


class Counters:
    """The operator's windows and caps."""

    def __init__(self, windows: Sequence[Window], caps: Sequence[Cap]) -> None:
        self._windows = tuple(windows)
        packed = b"".join(map(_packed, windows))
        self._window_args: dict[Lane, tuple[Argument, ...]] = {lane: (lane.rank, packed) for lane in Lane}
        self._uncapped = {lane: Ask(told, (), self._windows, ()) for lane, told in self._window_args.items()}
        self._caps = strictest(caps)

    def ask(self, number: str, lane: Lane) -> Ask:
        """What to ask for a message to *number* (digits only).

        All windows are told, whatever the lane: a mark of this lane is kept as long as any of them counts it.
        """
        caps = caps_of(self._caps, number)
        if not caps:
            return self._uncapped[lane]
        args: list[Argument] = []
        for cap in caps:
            args += [_name(cap), cap.limit, _CALENDAR[cap.period]]
        return Ask(self._window_args[lane], tuple(args), self._windows, caps)


def _packed(window: Window) -> bytes:
    period = window.period
    length_us = _CALENDAR[period] if isinstance(period, Period) else period / _MICROSECOND
    return _WINDOW.pack(window.limit, length_us, sum(1 << lane.rank for lane in window.lanes))


def _name(cap: Cap) -> str:
    return f"{cap.period.value}:{cap.prefix}"
