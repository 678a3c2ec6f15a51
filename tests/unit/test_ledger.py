"""The ledger's laws, one by one; that they hold together is tested by tests/property/test_sent_once.py."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.makers import NOW, make_request
from tests.models.ledger import (
    Claimed,
    LedgerEntry,
    State,
    accepted,
    cancel,
    claim,
    not_sent,
    recall,
    refuse,
    unknown,
)
from worker.core.limits.cancels import Cancel
from worker.core.limits.ledger import (
    CALLER_LOST,
    ID_REUSED,
    NOBODY,
    Busy,
    Doubtful,
    Known,
    Reused,
    Token,
    fingerprint,
    outcome_of,
)
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Acceptance, Accepted, Cancelled, ErrorClass, Failed, Sent, Underway

ANSWER = Acceptance(Accepted("m-1", "R-1", 1), 1, NOW)
OTHER = Acceptance(Accepted("m-2", "R-2", 1), 2, NOW)
LEASE = 100
ONE, TWO = b"one", b"two"
FIRST, AGAIN, STRANGER = Token("w1", 1), Token("w1", 2), Token("w2", 1)
CALLING = LedgerEntry(State.CALLING, FIRST, ONE, until=1100, began=1000)
DOUBTED = LedgerEntry(State.UNKNOWN, fingerprint=ONE, unknowns=1, since=1000, code="local.timeout")
SENT = LedgerEntry(State.SENT, fingerprint=ONE, unknowns=1, answer=ANSWER)


def test_whoever_claims_first_calls_and_is_remembered() -> None:
    assert claim(None, FIRST, 0, 1000, LEASE, ONE) == (CALLING, Claimed())
    entry, _ = claim(None, FIRST, 2, 1000, LEASE, ONE)
    assert entry.unknowns == 2, "what the asker's history counts is not forgotten with the memory"


@pytest.mark.parametrize(("now", "left"), [(1000, 100), (1099, 1)])
def test_while_the_lease_lasts_nobody_else_calls(now: int, left: int) -> None:
    assert claim(CALLING, STRANGER, 9, now, LEASE, ONE) == (CALLING, Busy(left))
    assert claim(CALLING, STRANGER, 9, now, LEASE, TWO) == (CALLING, Busy(left)), "it is not known yet what was sent"


def test_when_the_lease_is_over_the_call_is_unknown() -> None:
    lost = LedgerEntry(State.UNKNOWN, fingerprint=ONE, unknowns=1, since=1000, code=CALLER_LOST)

    assert claim(CALLING, STRANGER, 0, 1100, LEASE, ONE) == (lost, Doubtful(1, 1000, CALLER_LOST))
    assert recall(CALLING, 0, 1100, ONE) == (lost, Doubtful(1, 1000, CALLER_LOST))
    entry, verdict = claim(CALLING, STRANGER, 1, 1100, LEASE, ONE)
    assert (verdict, entry.token, entry.unknowns, entry.began, entry.until) == (Claimed(), STRANGER, 1, 1100, 1200)


@pytest.mark.parametrize("now", [1050, 5000])
def test_a_later_claim_of_a_caller_takes_the_place_of_its_earlier_one(now: int) -> None:
    entry, verdict = claim(CALLING, AGAIN, 0, now, LEASE, ONE)

    assert (verdict, entry.token, entry.until, entry.began, entry.unknowns) == (Claimed(), AGAIN, now + LEASE, now, 0)
    assert not_sent(entry, FIRST) == entry, "told late of the earlier one"
    assert unknown(entry, FIRST, 0, "local.timeout", now) == entry


@pytest.mark.parametrize(("now", "left"), [(1050, 50), (1100, 0), (5000, 0)])
def test_an_earlier_claim_that_comes_late_is_refused(now: int, left: int) -> None:
    entry, _ = claim(None, AGAIN, 0, 1000, LEASE, ONE)

    for late in (FIRST, AGAIN):
        assert claim(entry, late, 9, now, LEASE, ONE) == (entry, Busy(left))


def test_who_knows_of_every_unknown_call_may_call_and_others_are_told_of_them() -> None:
    assert claim(DOUBTED, STRANGER, 0, 2000, LEASE, ONE) == (DOUBTED, Doubtful(1, 1000, "local.timeout"))
    entry, verdict = claim(DOUBTED, STRANGER, 1, 2000, LEASE, ONE)
    assert verdict == Claimed()
    assert not_sent(entry, STRANGER) == DOUBTED
    assert unknown(entry, STRANGER, 1, "local.connection_cut", 2050) == LedgerEntry(
        State.UNKNOWN, fingerprint=ONE, unknowns=2, since=2000, code="local.connection_cut"
    )
    entry, _ = claim(DOUBTED, STRANGER, 3, 2000, LEASE, ONE)
    assert entry.unknowns == 3


def test_what_was_sent_is_told_to_everybody_and_stays() -> None:
    assert claim(SENT, STRANGER, 9, 2000, LEASE, ONE) == (SENT, Sent(ANSWER, 1))
    assert recall(SENT, 9, 2000, ONE) == (SENT, Sent(ANSWER, 1))
    assert accepted(SENT, OTHER, TWO) == SENT
    assert not_sent(SENT, FIRST) == SENT
    assert unknown(SENT, FIRST, 0, "local.timeout", 2000) == SENT


def test_an_acceptance_is_believed_whosever_it_is() -> None:
    for entry, unknowns in ((CALLING, 0), (DOUBTED, 1)):
        assert accepted(entry, ANSWER, ONE) == LedgerEntry(
            State.SENT, fingerprint=ONE, unknowns=unknowns, answer=ANSWER
        )


def test_what_was_certainly_not_sent_is_forgotten() -> None:
    assert not_sent(CALLING, FIRST) is None
    assert not_sent(None, FIRST) is None
    assert not_sent(CALLING, STRANGER) == CALLING
    assert not_sent(DOUBTED, FIRST) == DOUBTED


def test_a_redis_that_was_emptied_during_the_call_learns_what_became_of_it() -> None:
    assert accepted(None, ANSWER, ONE) == LedgerEntry(State.SENT, fingerprint=ONE, answer=ANSWER)
    assert unknown(None, FIRST, 2, "local.timeout", 1500, ONE) == LedgerEntry(
        State.UNKNOWN, fingerprint=ONE, unknowns=3, since=1500, code="local.timeout"
    )


@pytest.mark.parametrize("counted", [0, 1, 9])
@pytest.mark.parametrize("entry", [SENT, DOUBTED])
def test_another_content_under_a_remembered_id_is_refused(entry: LedgerEntry, counted: int) -> None:
    assert claim(entry, STRANGER, counted, 2000, LEASE, TWO) == (entry, Reused())
    assert recall(entry, counted, 2000, TWO) == (entry, Reused())


def test_an_entry_of_an_older_version_takes_any_content_and_keeps_it() -> None:
    old = LedgerEntry(State.UNKNOWN, unknowns=1, since=1000, code="local.timeout")
    entry, verdict = claim(old, STRANGER, 1, 2000, LEASE, TWO)

    assert (verdict, entry.fingerprint) == (Claimed(), TWO)
    assert claim(SENT, STRANGER, 0, 2000, LEASE) == (SENT, Sent(ANSWER, 1)), "who names no content asks for none"


@pytest.mark.parametrize(
    ("entry", "counted", "expected"),
    [(None, 0, None), (DOUBTED, 1, None), (DOUBTED, 0, Doubtful(1, 1000, "local.timeout")), (CALLING, 9, Busy(50))],
)
def test_a_look_changes_nothing_and_says_what_stands_against_giving_up(
    entry: LedgerEntry | None, counted: int, expected: Known | None
) -> None:
    assert recall(entry, counted, 1050, ONE) == (entry, expected)


def test_the_content_is_all_that_the_provider_is_told() -> None:
    told: dict[str, Any] = {"to": "85251230000", "text": "Another", "from": "ACME", "task_id": "t-1"}
    untold: dict[str, Any] = {
        "metadata": {"a": "b"},
        "deadline": "2026-12-01T00:00:00Z",
        "not_before": "2026-11-30T00:00:00Z",
    }
    usual = fingerprint(make_request().sms)

    assert len(usual) == 8
    assert len({fingerprint(make_request(**{key: value}).sms) for key, value in told.items()} | {usual}) == 5
    assert {fingerprint(make_request(**{key: value}).sms) for key, value in untold.items()} == {usual}
    assert fingerprint(make_request(to="85251234567").sms) == usual, "a leading + is not sent"
    assert fingerprint(make_request(Lane.NOTIFY).sms) != usual
    template: dict[str, Any] = {"to": "8613800138000", "text": ..., "from": "Sign"}
    codes = [
        {"code": "A", "params": {"x": "1", "y": "2"}},
        {"code": "A", "params": {"x": "1", "y": "3"}},
        {"code": "B"},
    ]
    assert len({fingerprint(make_request(template=one, **template).sms) for one in codes}) == 3
    turned = {"code": "A", "params": {"y": "2", "x": "1"}}
    assert fingerprint(make_request(template=turned, **template).sms) == fingerprint(
        make_request(template=codes[0], **template).sms
    )


def test_what_the_ledger_knows_becomes_the_outcome_of_who_asked() -> None:
    assert outcome_of(Sent(ANSWER, 1), catalog()) == Sent(ANSWER, 1)
    assert outcome_of(Busy(1_500_000), catalog()) == Underway(timedelta(seconds=1.5))
    reused = outcome_of(Reused(), catalog())
    assert isinstance(reused, Failed)
    assert (reused.code, reused.row.error_class, reused.called) == (ID_REUSED, ErrorClass.INVALID, False)
    doubtful = outcome_of(Doubtful(2, 1_795_435_200_000_000, ""), catalog())
    assert isinstance(doubtful, Failed)
    assert (doubtful.code, doubtful.unknowns, doubtful.called) == (CALLER_LOST, 2, True)
    assert doubtful.detail == f"({CALLER_LOST}, called at 2026-11-23T12:00:00.000+00:00)"


def test_nobody_claims_under_no_name_and_no_number() -> None:
    assert (NOBODY.caller, NOBODY.number, Token("w1").number) == ("", 0, 1)
    assert LedgerEntry(State.SENT) == LedgerEntry(State.SENT, NOBODY, b"", 0, 0, 0, 0, "", None)


# -- cancels


@pytest.mark.parametrize(
    ("entry", "now", "expected"),
    [
        (None, 1000, Cancel.CANCELLED),
        (CALLING, 1099, Cancel.CALLING),
        (CALLING, 1100, Cancel.UNKNOWN),
        (DOUBTED, 1000, Cancel.UNKNOWN),
        (SENT, 1000, Cancel.SENT),
    ],
    ids=["nothing", "calling", "caller lost", "unknown", "sent"],
)
def test_a_cancel_says_what_the_ledger_says(entry: LedgerEntry | None, now: int, expected: Cancel) -> None:
    assert cancel(entry, now) is expected


def test_who_is_cancelled_and_was_never_called_for_leaves_nothing_behind() -> None:
    assert refuse(None, FIRST, 0, 1000, ONE) == (None, Cancelled(0))
    assert refuse(None, FIRST, 2, 1000, ONE) == (None, Cancelled(2)), "the asker's history counts"


def test_a_caller_that_claims_again_is_refused_and_its_lost_claim_is_given_back() -> None:
    assert refuse(CALLING, AGAIN, 0, 1001, ONE) == (None, Cancelled(0))
    late = refuse(CALLING, FIRST, 0, 1001, ONE)
    assert late == (CALLING, Busy(99)), "nobody waits for its answer, and the call may be under way"


def test_a_claim_of_who_counted_an_unknown_call_is_given_back_to_that() -> None:
    counted = replace(CALLING, unknowns=1, since=900, code="local.timeout")
    back = replace(DOUBTED, since=900)

    assert refuse(counted, AGAIN, 1, 1001, ONE) == (back, Cancelled(1))


def test_while_somebody_else_calls_for_what_is_cancelled_it_is_waited_for() -> None:
    assert refuse(CALLING, STRANGER, 0, 1001, ONE) == (CALLING, Busy(99))
    entry, verdict = refuse(CALLING, STRANGER, 0, 1100, ONE)
    assert (entry and entry.state, verdict) == (State.UNKNOWN, Cancelled(1)), "its caller died: nobody knows"


@pytest.mark.parametrize("counted", [0, 1, 2])
def test_with_an_unknown_call_nobody_calls_again_for_what_is_cancelled(counted: int) -> None:
    assert refuse(DOUBTED, STRANGER, counted, 2000, ONE) == (DOUBTED, Cancelled(max(1, counted)))


def test_what_was_sent_or_stands_for_another_content_is_told_so_though_it_is_cancelled() -> None:
    assert refuse(SENT, STRANGER, 0, 2000, ONE) == (SENT, Sent(ANSWER, 1))
    assert refuse(SENT, STRANGER, 0, 2000, TWO) == (SENT, Reused())


def test_a_look_takes_nobodys_claim_away() -> None:
    assert refuse(CALLING, NOBODY, 0, 1001, ONE) == (CALLING, Busy(99))
    assert refuse(None, NOBODY, 0, 1001, ONE) == (None, Cancelled(0))
    assert outcome_of(Cancelled(3), catalog()) == Cancelled(3)
