from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.makers import NOW
from worker.core.message.history import LONGEST_WORD, MOST_COUNT, MOST_ENTRIES, History, HistoryEntry

FULL = History(NOW, NOW + timedelta(seconds=1), 3, 2, 1, 1, (HistoryEntry(NOW, "SYSTEM_ERROR", "transient"),))


def test_the_headers_carry_the_whole_history() -> None:
    headers = FULL.to_headers()

    assert headers == {
        "x-sms-attempts": 3,
        "x-sms-retries": 2,
        "x-sms-unknowns": 1,
        "x-sms-replays": 1,
        "x-sms-published": "2026-11-23T12:00:00.000+00:00",
        "x-sms-first-tried": "2026-11-23T12:00:01.000+00:00",
        "x-sms-history": '[["2026-11-23T12:00:00.000+00:00","SYSTEM_ERROR","transient"]]',
    }
    assert History.from_headers(headers) == (FULL, [])


def test_a_first_publication_has_no_history() -> None:
    assert History.from_headers({"traceparent": "00-1-2-01"}) == (History(), [])
    assert History().to_headers() == {}


def test_the_oldest_entries_give_way() -> None:
    history = History()
    for number in range(MOST_ENTRIES + 5):
        history = history.noted(HistoryEntry(NOW, str(number), "transient"))

    assert [entry.code for entry in history.entries] == [str(number) for number in range(5, MOST_ENTRIES + 5)]


def test_twenty_entries_are_kept() -> None:
    assert MOST_ENTRIES == 20


def test_a_longer_history_than_is_kept_is_read_from_its_end() -> None:
    entries = tuple(HistoryEntry(NOW, str(number), "transient") for number in range(MOST_ENTRIES + 1))

    history, faults = History.from_headers(History(entries=entries).to_headers())
    assert (history.entries, faults) == (entries[1:], [])


def test_only_the_first_call_sets_the_time_of_the_first_try() -> None:
    history = History().called(NOW).called(NOW + timedelta(hours=1))

    assert (history.attempts, history.first_tried) == (2, NOW)


def test_a_replay_starts_afresh_and_keeps_what_happened_and_how_often_nobody_knows_what_did() -> None:
    replayed = FULL.replayed(HistoryEntry(NOW, "operator", "replayed"))

    assert (replayed.attempts, replayed.retries, replayed.unknowns, replayed.replays) == (0, 0, 1, 2)
    assert (replayed.published, len(replayed.entries)) == (FULL.published, 2)


def test_instants_are_read_in_utc() -> None:
    history, _ = History.from_headers({"x-sms-published": "2026-11-23T20:00:00+08:00"})

    assert history.published == NOW
    assert history.published.tzinfo is UTC


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-sms-attempts", -1),
        ("x-sms-attempts", MOST_COUNT + 1),
        ("x-sms-retries", "3"),
        ("x-sms-unknowns", True),
        ("x-sms-replays", 1.0),
        ("x-sms-attempts", None),
        ("x-sms-published", 0),
        ("x-sms-published", NOW),
        ("x-sms-published", "yesterday"),
        ("x-sms-published", "2026-11-23T12:00:00"),
        ("x-sms-published", "0001-01-01T00:00:00+23:59"),
        ("x-sms-first-tried", "9999-12-31T23:59:59-23:59"),
        ("x-sms-history", b"[]"),
        ("x-sms-history", "not JSON"),
        ("x-sms-history", "[" * 100_000),
        ("x-sms-history", "{}"),
        ("x-sms-history", "7"),
        ("x-sms-history", '"text"'),
        ("x-sms-history", "[7]"),
        ("x-sms-history", '[["2026-11-23T12:00:00Z", "CODE"]]'),
        ("x-sms-history", '[["2026-11-23T12:00:00Z", "CODE", 7]]'),
        ("x-sms-history", '[[null, "CODE", "transient"]]'),
        ("x-sms-history", '[["0001-01-01T00:00:00+23:59", "CODE", "transient"]]'),
        ("x-sms-history", f'[["2026-11-23T12:00:00Z", "{"X" * (LONGEST_WORD + 1)}", "transient"]]'),
    ],
)
def test_a_lying_header_is_named_and_counts_as_absent(name: str, value: Any) -> None:
    history, faults = History.from_headers({"x-sms-replays": 4, name: value})

    assert len(faults) == 1
    assert faults[0].startswith(f"header {name}: ")
    assert history == History(replays=0 if name == "x-sms-replays" else 4)


def test_an_instant_is_written_in_utc_whatever_its_zone() -> None:
    there = datetime(2026, 11, 23, 20, 0, tzinfo=timezone(timedelta(hours=8)))

    assert History(published=there).to_headers() == {"x-sms-published": "2026-11-23T12:00:00.000+00:00"}
