"""The model of the windows of one recipient and of the places in the order in which they reopen.

This is what `limiter/lua/admit.lua` and `record.lua` do with marks and places, in the slowest and plainest way, so a
test can feed both the same sequence and expect equal answers. Instants are microseconds, ticks 1/64 s.

The laws:

* No window ever holds more marks than its limit, whatever is promised: a place is no right to overdraw.
* Who is refused is promised a place: the first instant at which it fits between what was sent and what is promised to
  its own lane and to more urgent ones.
* Who comes when its place has come leaves room for more urgent lanes, and for its own lane's earlier places only. So
  when nobody is late everybody fits when its place comes, and is refused once.
* A place whose instant is `LAPSE` ago bars nobody else, but its owner keeps its rank.
* A call that was certainly not accepted has its place before everybody's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from worker.core.limits.calendar import period_end, period_start
from worker.core.limits.quota import Window
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Period

TICK: Final = 15_625
MOST: Final = 256
SOON: Final = 2_000_000
#: In ticks.
LAPSE: Final = 3 * 64
MEMORY: Final = 600 * 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Sent:
    """It was let through, and is counted."""


@dataclass(frozen=True)
class Wait:
    """It was refused, and should come again after so many microseconds; *here*: without letting go of it."""

    after: int
    here: bool = False
    promised: bool = False


Answer: TypeAlias = Sent | Wait


@dataclass(frozen=True)
class Event:
    """Something that was sent, or is promised, in a tick."""

    tick: int
    lane: Lane
    name: bytes = b""


@dataclass
class Recipient:
    """What is known of one recipient."""

    windows: Sequence[Window]
    marks: list[Event] = field(default_factory=list)
    places: list[Event] = field(default_factory=list)

    def ask(self, name: bytes, lane: Lane, now: int, left: int) -> Answer:
        """Ask to send; *left* is for how long the request can wait."""
        tick = now // TICK
        own = next((place for place in self.places if place.name == name), None)
        if own is not None and own.tick + MEMORY <= tick:
            own = None
        events = [*self.marks, *self._in_front(own, lane, tick)]
        fits = self.first_fit(max(now, own.tick * TICK if own else 0), lane, events)
        if fits <= now:
            self.marks.append(Event(tick, lane, name))
            if own is not None:
                self.places.remove(own)
            return Sent()
        return self._promise(own, Event(fits // TICK, lane, name), fits - now, left, tick)

    def refund(self, sent: Event) -> None:
        """What was sent certainly was not."""
        self.marks.remove(sent)
        is_known = any(place.name == sent.name for place in self.places)
        if self.places and len(self.places) < MOST and not is_known:
            self.places.insert(0, sent)

    def _in_front(self, own: Event | None, lane: Lane, tick: int) -> Iterator[Event]:
        """The places for which a request of *lane* leaves room; who is late is expected now."""
        is_earlier = True
        for place in self.places:
            is_earlier = is_earlier and place is not own
            is_in_front = place.lane.rank < lane.rank or (place.lane is lane and is_earlier)
            if is_in_front and place is not own and place.tick + LAPSE > tick:
                yield replace(place, tick=max(place.tick, tick))

    def _promise(self, own: Event | None, place: Event, after: int, left: int, tick: int) -> Wait:
        self._forget(MEMORY, tick)
        if own is None and len(self.places) >= MOST:
            self._forget(LAPSE, tick)
        if after >= left:
            if own is not None:
                self.places.remove(own)
            return Wait(after)
        if own is not None:
            self.places[self.places.index(own)] = place
            return Wait(after, here=after <= SOON, promised=True)
        if len(self.places) < MOST:
            self.places.append(place)
            return Wait(after, promised=True)
        return Wait(after + min(after, left - after) * int.from_bytes(place.name[:2], "big") // 65536)

    def _forget(self, age: int, tick: int) -> None:
        self.places = [place for place in self.places if place.tick + age > tick]

    def first_fit(self, start: int, lane: Lane, events: Sequence[Event]) -> int:
        """The first instant from *start* on at which one more of *lane* fits into every window."""
        at, windows = start, [window for window in self.windows if lane in window.lanes]
        while not all(fits(window, at, events) for window in windows):
            at = min(then for window in windows for then in _openings(window, at, events) if then > at)
        return at


def fits(window: Window, at: int, events: Sequence[Event]) -> bool:
    """Whether *window* would still be kept with one more event at the instant *at*."""
    ticks = [event.tick for event in events if event.lane in window.lanes]
    if isinstance(window.period, Period):
        period = window.period
        start = period_start(_instant(at), period)
        return sum(period_start(_instant(tick * TICK), period) == start for tick in ticks) < window.limit
    for first in {*ticks, at // TICK}:
        end = (first + 1) * TICK + window.period // _US
        if first <= at // TICK and at < end:
            inside = sum(first <= tick and tick * TICK < end for tick in ticks)
            if inside >= window.limit:
                return False
    return True


def _openings(window: Window, at: int, events: Sequence[Event]) -> Iterator[int]:
    """Instants at which *window* may open."""
    if isinstance(window.period, Period):
        yield (period_end(_instant(at), window.period) - _EPOCH) // _US
        return
    for event in events:
        yield -(-((event.tick + 1) * TICK + window.period // _US) // TICK) * TICK


def _instant(us: int) -> datetime:
    return _EPOCH + us * _US
