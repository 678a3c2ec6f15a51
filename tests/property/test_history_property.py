from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.core.message.history import LONGEST_WORD, MOST_COUNT, MOST_ENTRIES, History, HistoryEntry

MILLISECONDS = st.integers(0, int(timedelta(days=365 * 7000) / timedelta(milliseconds=1)))
INSTANTS = MILLISECONDS.map(lambda ms: datetime(1000, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
WORDS = st.text(st.characters(codec="utf-8"), max_size=LONGEST_WORD)
COUNTS = st.integers(0, MOST_COUNT)
HISTORIES = st.builds(
    History,
    published=st.none() | INSTANTS,
    first_tried=st.none() | INSTANTS,
    attempts=COUNTS,
    retries=COUNTS,
    unknowns=COUNTS,
    replays=COUNTS,
    entries=st.lists(st.builds(HistoryEntry, INSTANTS, WORDS, WORDS), max_size=MOST_ENTRIES).map(tuple),
)
#: What an AMQP table can hold.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([f"x-sms-{name}" for name in ("attempts", "replays", "published", "first-tried", "history")])


@settings(deadline=None)
@given(history=HISTORIES)
def test_what_is_written_is_read_back(history: History) -> None:
    assert History.from_headers(history.to_headers()) == (history, [])


@settings(deadline=None)
@given(headers=st.dictionaries(NAMES | st.text(max_size=5), VALUES, max_size=5))
def test_any_headers_are_read_and_only_their_names_are_told(headers: dict[str, Any]) -> None:
    history, faults = History.from_headers(headers)

    assert all(fault.split(": ")[0].removeprefix("header ") in headers for fault in faults)
    assert History.from_headers(history.to_headers()) == (history, [])
