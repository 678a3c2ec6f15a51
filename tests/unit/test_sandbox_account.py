"""The sandbox's books tell what was accepted, what twice, and how fast it came."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.account import Account, Duplicate, PeakSecond, Verdict

OK = Verdict("85251234567", "OK", accepted=True)
REFUSED = Verdict("85251234567", "SYSTEM_ERROR", accepted=False)


def test_the_summary_counts_calls_messages_and_codes() -> None:
    account = Account()
    account.record(10.0, "Single", "a", [OK])
    account.record(10.5, "Single", "b", [REFUSED])
    account.record(12.0, "Batch", "c", [OK, REFUSED._replace(number="85251234568"), OK._replace(number="85251234569")])

    summary = account.summary()

    assert (summary.calls, summary.messages, summary.accepted) == (3, 5, 3)
    assert summary.by_code == {"OK": 3, "SYSTEM_ERROR": 2}
    assert (summary.worst_second_of_arrivals, summary.worst_second_of_accepted) == (2, 1)
    assert (summary.first_arrival, summary.last_arrival) == (10.0, 12.0)
    assert summary.duplicates == ()


def test_a_task_id_accepted_again_for_the_same_number_is_a_duplicate() -> None:
    account = Account()
    for task_id, verdict in [
        ("sent twice", OK),
        ("sent twice", OK),
        ("sent twice", OK),
        ("failed, then sent", REFUSED),
        ("failed, then sent", OK),
        ("two numbers", OK),
        ("two numbers", OK._replace(number="85251234568")),
        ("", OK),
        ("", OK),
    ]:
        account.record(10.0, "Single", task_id, [verdict])

    assert (Duplicate("sent twice", "852******67", 3),) == account.summary().duplicates


def test_every_call_is_read_back_as_it_was_entered() -> None:
    account = Account()
    ids = account.record(10.25, "Batch", "a task", [OK, REFUSED, OK])

    entries = list(account)

    assert [ids[0], None, ids[1]] == [entry.message_id for entry in entries]
    assert {(1, 10.25, "Batch", "a task", "85251234567")} == {
        (entry.call, entry.arrived, entry.action, entry.task_id, entry.number) for entry in entries
    }
    assert entries[2] == account.find(ids[1])


def test_a_message_that_was_not_accepted_is_not_found_and_ids_are_not_used_again_after_a_reset() -> None:
    account = Account(first_message_id=500)
    before = account.record(10.0, "Single", "a", [OK])
    account.record(10.0, "Single", "b", [REFUSED])
    refused = account.find("501")

    account.reset()
    after = account.record(10.0, "Single", "a", [OK])

    assert refused is None
    assert account.find(before[0]) is None
    assert (before, after) == (["500"], ["502"])
    assert (account.calls, account.accepted, account.summary().duplicates) == (1, 1, ())


@given(st.lists(st.integers(0, 5000), max_size=60))
def test_the_worst_second_is_the_fullest_of_all_windows(milliseconds: list[int]) -> None:
    instants = sorted(milliseconds)
    peak = PeakSecond()
    for instant in instants:
        peak.count(1_795_406_400 + instant / 1000)

    fullest = max((sum(first <= other < first + 1000 for other in instants) for first in instants), default=0)
    assert fullest == peak.most


def test_a_call_takes_no_container_of_its_own() -> None:
    account = Account()
    account.record(10.0, "Single", "f47ac10b-58cc-4372-a567-0e02b2c3d479", [OK])

    columns = [column for column in vars(account).values() if isinstance(column, list)]

    assert columns == [["85251234567 f47ac10b-58cc-4372-a567-0e02b2c3d479"]]
    assert sys.getsizeof(columns[0][0]) < 110
