"""Windows and caps in the language of admit.lua and refund.lua."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from struct import Struct
from typing import Any, Final

from worker.core.lane import Lane
from worker.core.outcome import Closed, Period
from worker.core.quota import Admission, Admitted, Cap, Window
from worker.core.windows import cap_words, caps_of, kept_s, seconds, strictest, window_words, windows_of
from worker.limiter.batcher import Argument
from worker.limiter.keys import Keys

#: Limit, period and lanes of a window, as admit.lua unpacks them.
_WINDOW: Final = Struct(">iii")
_CALENDAR: Final = {Period.DAY: 0, Period.MONTH: -1}


@dataclass(frozen=True, slots=True)
class Ask:
    """What admit.lua is asked, without the time; *windows* and *caps* give its answer a meaning."""

    keys: tuple[bytes, bytes]
    args: tuple[Argument, ...]
    windows: tuple[Window, ...]
    caps: tuple[Cap, ...]


@dataclass(slots=True)
class Charge:
    """What takes one admitted message out again."""

    keys: tuple[bytes, bytes]
    args: tuple[Argument, ...]
    #: Two messages to one number in one second leave equal entries, so Redis alone could not tell a repeated refund
    #: of the first from the refund of the second.
    is_spent: bool = field(default=False, compare=False)


class Counters:
    """The operator's windows and caps."""

    def __init__(self, keys: Keys, windows: Sequence[Window], caps: Sequence[Cap]) -> None:
        self._keys = keys
        self._windows = {lane: windows_of(windows, lane) for lane in Lane}
        self._window_args = {lane: _window_args(lane, self._windows[lane], kept_s(windows)) for lane in Lane}
        self._caps = strictest(caps)

    def ask(self, number: str, lane: Lane) -> Ask | None:
        """What to ask for a message to *number* (digits only); None when nothing limits it."""
        windows, caps = self._windows[lane], caps_of(self._caps, number)
        if not windows and not caps:
            return None
        args = list(self._window_args[lane])
        for cap in caps:
            args += [_name(cap), cap.limit, _CALENDAR[cap.period]]
        return Ask((self._keys.recipient(number), self._keys.caps), tuple(args), windows, caps)

    def read(self, ask: Ask, reply: list[Any]) -> Admission:
        """What admit.lua's *reply* to *ask* means."""
        if reply[0] == 1:
            _, entry, *starts = reply
            counted: list[Argument] = [entry]
            for cap, start in zip(ask.caps, starts, strict=True):
                counted += [_name(cap), start]
            return Admitted(Charge(ask.keys, tuple(counted)))
        _, which, reopens = reply
        words = [*map(window_words, ask.windows), *map(cap_words, ask.caps)]
        return Closed(words[which - 1], datetime.fromtimestamp(reopens, UTC))


def _window_args(lane: Lane, windows: Sequence[Window], kept: int) -> tuple[Argument, ...]:
    packed = b""
    for window in windows:
        period = _CALENDAR[window.period] if isinstance(window.period, Period) else seconds(window.period)
        packed += _WINDOW.pack(window.limit, period, sum(1 << counted.rank for counted in window.lanes))
    return (lane.rank, kept if windows else 0, packed)


def _name(cap: Cap) -> str:
    return f"{cap.period.value}:{cap.prefix}"
