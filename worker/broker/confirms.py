"""What became of the publishes of one channel: each is matched by its delivery tag, and waits as a plain future."""

import asyncio
import secrets
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, TypeAlias

from worker.broker.wire.cutter import Confirmed, Event, Returned

_BYTES: Final = 8
_TAG_DIGITS: Final = 16


class Verdict(Enum):
    """What the broker says of one publish."""

    #: It has it.
    TAKEN = auto()
    #: It has it not: a queue is full or has no majority.
    REFUSED = auto()
    #: No queue takes it.
    RETURNED = auto()
    #: Nothing, and it was given its time.
    LATE = auto()


Waiting: TypeAlias = asyncio.Future[Verdict]


class Confirms:
    """The publishes of one channel, in the order in which they are written."""

    def __init__(self, patience_s: float) -> None:
        """Each publish waits so long for its confirm."""
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        #: Begins the ids of this channel's messages: a returned one is known by its id alone.
        self._prefix = secrets.token_hex(_BYTES)
        self._last = 0
        #: The first tag that no multiple confirm has spoken for.
        self._first = 1
        self._open: dict[int, tuple[Waiting, float]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def next_id(self) -> str:
        """The message id of the publish that comes next; no other publish anywhere has it."""
        return f"{self._prefix}{self._last + 1:0{_TAG_DIGITS}x}"

    def expect(self) -> Waiting:
        """Wait for the confirm of the publish that is written now."""
        self._last += 1
        waiting: Waiting = self._loop.create_future()
        until = self._loop.time() + self._patience_s
        self._open[self._last] = waiting, until
        if self._sweep is None:
            self._sweep = self._loop.call_at(until, self._end_late)
        return waiting

    def hear(self, event: Event) -> None:
        """Tell those who wait; a confirm of what nobody waits for is nobody's."""
        if isinstance(event, Confirmed):
            _, tag, multiple, taken = event
            verdict = Verdict.TAKEN if taken else Verdict.REFUSED
            if multiple and tag <= self._last:
                for one in range(self._first, tag + 1):
                    self._tell(one, verdict)
                self._first = max(self._first, tag + 1)
            else:
                self._tell(tag, verdict)
        elif isinstance(event, Returned) and (event.message_id or "").startswith(self._prefix):
            self._tell(_tag_of((event.message_id or "")[len(self._prefix) :]), Verdict.RETURNED)

    def fail(self, reason: Callable[[], Exception]) -> None:
        """End every wait with an error of its own: the channel is gone."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        left, self._open = self._open, {}
        for waiting, _ in left.values():
            if not waiting.done():
                waiting.set_exception(reason())

    def _tell(self, tag: int, verdict: Verdict) -> None:
        waiting, _ = self._open.pop(tag, _NOBODY)
        if waiting is not None and not waiting.done():
            waiting.set_result(verdict)

    def _end_late(self) -> None:
        """One timer for all: they were written in the order in which their time ends."""
        now, self._sweep = self._loop.time(), None
        for tag, (_, until) in list(self._open.items()):
            if until > now:
                self._sweep = self._loop.call_at(until, self._end_late)
                return
            self._tell(tag, Verdict.LATE)


_NOBODY: Final[tuple[Waiting | None, float]] = (None, 0.0)


def _tag_of(digits: str) -> int:
    try:
        return int(digits, 16)
    except ValueError:
        return 0
