"""The model of a recipient's windows and places keeps its laws, whatever comes."""

from collections.abc import Sequence
from datetime import timedelta
from heapq import heappop, heappush
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from tests.models.places import MOST, TICK, Event, Recipient, Sent, Wait
from worker.core.limits.quota import Window
from worker.core.message.lane import Lane

START = 1_790_000_000_000_000
SECOND = 1_000_000
FOREVER = 10**12
EVERYBODY = frozenset(Lane)
PERIODS = st.sampled_from([0.5, 2, 7.3, 10, 30, 60, 600])
WINDOWS = st.lists(
    st.builds(lambda limit, s: Window(limit, timedelta(seconds=s), EVERYBODY), st.integers(1, 6), PERIODS),
    min_size=1,
    max_size=3,
)
ARRIVALS = st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=40)


def overdrawn(windows: Sequence[Window], marks: Sequence[tuple[int, Lane]]) -> list[Window]:
    """The windows that held more than their limit; marks are exact instants, in order."""
    bad = []
    for window in windows:
        instants = [at for at, lane in marks if lane in window.lanes]
        length = window.period / timedelta(microseconds=1)  # type: ignore[operator]  # rolling ones only
        pairs = zip(instants, instants[window.limit :], strict=False)
        bad += [window for first, last in pairs if last - first < length]
    return bad


class Traffic:
    """Requests to one recipient, each of which comes again when it was told to, or somewhat later."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.recipient = Recipient(windows)
        self.sent: dict[bytes, int] = {}
        self.trips: dict[bytes, int] = {}
        self.promised: dict[bytes, int] = {}
        self._order = count()

    def run(self, arrivals: Sequence[int], lateness: Sequence[int]) -> None:
        queue: list[tuple[int, int, bytes, bool]] = []
        for number, at in enumerate(arrivals):
            heappush(queue, (START + at, next(self._order), number.to_bytes(8, "big"), True))
        while queue:
            now, _, name, is_trip = heappop(queue)
            self.trips[name] = self.trips.get(name, 0) + is_trip
            match self.recipient.ask(name, Lane.OTP, now, FOREVER):
                case Sent():
                    self.sent[name] = now
                case Wait(after, here):
                    self.promised.setdefault(name, now + after)
                    late = 0 if here else lateness[int.from_bytes(name, "big") % len(lateness)]
                    heappush(queue, (now + after + late, next(self._order), name, not here))


@given(WINDOWS, ARRIVALS)
def test_when_nobody_is_late_everybody_is_sent_at_its_place_and_refused_once(
    windows: list[Window], arrivals: list[int]
) -> None:
    traffic = Traffic(windows)
    traffic.run(arrivals, [0])

    assert max(traffic.trips.values()) <= 2
    assert all(traffic.sent[name] == at for name, at in traffic.promised.items())
    in_order = sorted(range(len(arrivals)), key=lambda number: arrivals[number])
    assert [number.to_bytes(8, "big") for number in in_order] == list(traffic.sent), "who came first goes first"
    assert overdrawn(windows, [(at, Lane.OTP) for at in traffic.sent.values()]) == []


@given(WINDOWS, ARRIVALS)
def test_when_nobody_is_late_nobody_waits_longer_than_if_each_were_sent_as_soon_as_it_fits(
    windows: list[Window], arrivals: list[int]
) -> None:
    traffic = Traffic(windows)
    ideal: list[int] = []
    marks: list[Event] = []
    traffic.run(arrivals, [0])
    for at in sorted(arrivals):
        fits = Recipient(windows).first_fit(max(START + at, *ideal[-1:], 0), Lane.OTP, marks)
        marks.append(Event(fits // TICK, Lane.OTP))
        ideal.append(fits)

    assert list(traffic.sent.values()) == ideal


@given(WINDOWS, ARRIVALS, st.lists(st.integers(0, 1_500_000), min_size=1, max_size=7))
def test_who_is_a_little_late_loses_nothing_and_delays_others_no_longer_than_that(
    windows: list[Window], arrivals: list[int], lateness: list[int]
) -> None:
    traffic = Traffic(windows)
    traffic.run(arrivals, lateness)

    assert overdrawn(windows, [(at, Lane.OTP) for at in traffic.sent.values()]) == []
    period = max(window.period for window in windows) // timedelta(microseconds=1)  # type: ignore[operator]
    late = [traffic.sent[name] - at for name, at in traffic.promised.items()]
    assert max(late, default=0) <= max(lateness) + min(period, 2 * SECOND)
    if all(window.period >= timedelta(seconds=7) for window in windows):  # type: ignore[operator]
        assert max(traffic.trips.values()) <= 2


@given(
    WINDOWS,
    st.lists(
        st.tuples(st.integers(0, 20 * SECOND), st.integers(0, 12), st.sampled_from(Lane), st.booleans()), max_size=80
    ),
)
def test_no_window_is_ever_overdrawn(windows: list[Window], asks: list[tuple[int, int, Lane, bool]]) -> None:
    """However early, late or often they come, and whatever is given back."""
    recipient, now, sent = Recipient(windows), START, []
    for pause, number, lane, is_refunded in asks:
        now += pause
        if recipient.ask(number.to_bytes(8, "big"), lane, now, FOREVER) == Sent():
            if is_refunded:
                recipient.refund(recipient.marks[-1])
            else:
                sent.append((now, lane))
        assert len(recipient.places) <= MOST

    assert overdrawn(windows, sent) == []
