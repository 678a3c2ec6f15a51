"""How the limiter and people are told what a call taught."""

from typing import Any

import pytest

from tests.fakes import NOW, FakeLimiter, RecordingEvents
from tests.makers import make_failed, make_request
from worker.core.limits.holds import ACCOUNT, Hold, HoldName
from worker.core.limits.quota import Operation
from worker.core.outcome.outcome import Accepted, OnHold, Outcome, Scope
from worker.delivery.feedback import FinishedCall, apply_feedback

ACME = HoldName(Scope.SENDER, "ACME")
_FIELDS: dict[str, Any] = {"from": "ACME"}
SMS = make_request(**_FIELDS).sms
OK = Accepted("m", "r", 1)


class Rig:
    def __init__(self) -> None:
        self.limiter, self.events = FakeLimiter(), RecordingEvents()

    async def apply(self, outcome: Outcome, *probes: HoldName) -> Outcome:
        call = FinishedCall(SMS, Operation.GLOBE, frozenset(probes), NOW)
        return await apply_feedback(self.limiter, self.events, call, outcome)


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_a_hold_that_begins_is_told_with_its_scope_and_remedy(rig: Rig) -> None:
    failed = make_failed("AMOUNT_NOT_ENOUGH")
    outcome = await rig.apply(failed)

    assert outcome is failed, "the account's hold keeps requests in their lane: they need no delay"
    (told,) = rig.events.named("hold.set")
    assert (told["scope"], told["subject"], told["code"]) == ("account", "", "AMOUNT_NOT_ENOUGH")
    assert told["remedy"] == failed.row.remedy


async def test_a_refusal_that_changes_nothing_is_not_told_again(rig: Rig) -> None:
    rig.limiter.holds.began = False
    await rig.apply(make_failed("AMOUNT_NOT_ENOUGH"))

    assert rig.events.told == []


async def test_a_request_that_is_refused_for_a_held_sender_waits_instead_of_dying(rig: Rig) -> None:
    outcome = await rig.apply(make_failed("INVALID_SENDERID"), ACME)

    assert isinstance(outcome, OnHold)
    assert (outcome.name, outcome.code) == ("sender ACME", "INVALID_SENDERID")


async def test_a_request_that_is_refused_for_a_sender_that_is_not_held_yet_stays_refused(rig: Rig) -> None:
    rig.limiter.holds.refuse_only = True
    failed = make_failed("INVALID_SENDERID")

    assert await rig.apply(failed) is failed
    assert rig.events.told == []


async def test_a_hold_that_is_lifted_is_told_with_how_long_it_lasted(rig: Rig) -> None:
    outcome = await rig.apply(OK, ACCOUNT)

    assert outcome is OK
    assert rig.events.named("hold.lifted") == [
        {"scope": "account", "subject": "", "code": "AMOUNT_NOT_ENOUGH", "duration_s": 60.0}
    ]


async def test_a_recipient_that_is_full_is_closed_until_its_day_ends(rig: Rig) -> None:
    await rig.apply(make_failed("FREQUENCY_LIMIT_DAY"))
    ((what, (number, code, length)),) = rig.limiter.taught

    assert (what, number, code) == ("close", SMS.number, "FREQUENCY_LIMIT_DAY")
    assert length.total_seconds() == 4 * 3600  # noon in UTC is 20:00 in Singapore


async def test_a_held_sender_of_which_nothing_is_known_but_that_it_is_held_delays_too(rig: Rig) -> None:
    rig.limiter.holds.hold = Hold(ACME, "operator", 3600.0)
    outcome = await rig.apply(make_failed("INVALID_SENDERID"))

    assert isinstance(outcome, OnHold)
    assert outcome.after.total_seconds() == 600
