"""One batch call: what each member's outcome is, whatever the provider answers, and who waits again."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes import NOW, FakeClock, FakeLimiter, FakeProvider, RecordingEvents
from tests.makers import make_request
from worker.core.batch import BatchKey, Member, batch_key, likeness_of
from worker.core.limits.holds import ACCOUNT, HoldName
from worker.core.limits.ledger import Busy
from worker.core.limits.quota import Admitted, Held, Operation, Soon
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.outcome.members import BatchReply
from worker.core.outcome.outcome import (
    Acceptance,
    Accepted,
    Cancelled,
    ErrorClass,
    Failed,
    Fault,
    OnHold,
    Outcome,
    Reply,
    Scope,
    Underway,
)
from worker.delivery.attempt import Attempts
from worker.delivery.batch_call import BatchCalls
from worker.delivery.waiting import Slot, Waiting
from worker.errors import LimiterUnavailable

OK = Reply(200, "OK", request_id="R-1")
SHOP = HoldName(Scope.SENDER, "Shop")
SENDER: dict[str, Any] = {"from": "Shop"}


class Rig:
    """Batch calls among fakes."""

    def __init__(self) -> None:
        self.limiter, self.provider, self.events = FakeLimiter(), FakeProvider(), RecordingEvents()
        self.clock, self.can_settle = FakeClock(), True
        attempts = Attempts(
            *(self.limiter, self.provider, catalog(), self.events),
            now=self.clock,
            can_settle=lambda: self.can_settle,
        )
        self.put_back: list[Waiting] = []
        self.calls = BatchCalls(
            *(self.limiter, attempts, self.provider, catalog(), self.events),
            put_back=self.put_back.append,
            now=self.clock,
        )

    def members(self, count: int, **fields: Any) -> list[Waiting]:
        return [self.member(f"r-{number}", f"+8525123400{number}", **fields) for number in range(count)]

    def member(self, name: str, to: str, **fields: Any) -> Waiting:
        request = make_request(Lane.MARKETING, id=name, to=to, **(SENDER | fields))
        waiting = Waiting(request, 0.0, asyncio.get_running_loop().create_future(), caller=name)
        waiting.key = batch_key(request, (request.deadline - NOW).total_seconds())
        waiting.member = Member(request.sms.number, 40, likeness_of(request))
        return waiting

    async def make(
        self, members: Sequence[Waiting], *, probe: bool = False, use_by: float = float("inf")
    ) -> bool | None:
        return await self.calls.make(members, Slot(Operation.BATCH, Lane.MARKETING, 0.0, use_by, False, probe))

    async def answered(self, answer: BatchReply | Fault | Exception, count: int = 3) -> list[Waiting]:
        """Members of a call that is answered so."""
        self.provider.batch_answers.append(answer)
        members = self.members(count)
        await self.make(members)
        return members

    def news(self) -> dict[str, Acceptance | str | None]:
        """What the ledger was told of each id."""
        return {request.sms.id: news for request, news in self.limiter.recorded}

    def waits_again(self) -> list[tuple[str, BatchKey | None]]:
        return [(one.request.sms.id, one.key) for one in self.put_back]


@pytest.fixture
async def rig() -> Rig:
    return Rig()


def outcome(member: Waiting) -> Outcome:
    turn = member.turn.result()
    assert not isinstance(turn, Slot)
    return turn


def refused(code: str, *, gateway: bool = False) -> BatchReply:
    return BatchReply(Reply(200, code, from_gateway=gateway))


async def test_every_member_is_claimed_called_for_at_once_recorded_and_accepted(rig: Rig) -> None:
    members = await rig.answered(BatchReply(OK, 3, (), ("1", "2", "3")))

    ((requests, task_id),) = rig.provider.batches
    assert [request.sms.id for request in requests] == ["r-0", "r-1", "r-2"]
    assert len(task_id) == 32
    assert rig.provider.validities == [200_000]
    assert [outcome(member) for member in members] == [Accepted(None, "R-1", 1, None, NOW)] * 3
    assert all(isinstance(news, Acceptance) for news in rig.news().values())
    assert sorted(rig.news()) == ["r-0", "r-1", "r-2"]
    assert (rig.put_back, rig.limiter.call_size.told) == ([], [("accepted", 220)])
    assert rig.events.named("batch.called") == [{"members": 3, "accepted": 3, "failed": 0, "doubtful": 0}]
    ((call),) = rig.events.named("provider.called")
    assert (call["operation"], call["code"]) == ("BatchSendMessageToGlobe", "OK")


async def test_the_publishers_task_id_is_that_of_the_call(rig: Rig) -> None:
    await rig.make(rig.members(2, task_id="autumn"))

    assert rig.provider.batches[0][1] == "autumn"


async def test_the_validity_is_none_that_outlives_a_member(rig: Rig) -> None:
    members = rig.members(2)
    members[1].request = members[1].request._replace(deadline=NOW + timedelta(seconds=70))
    await rig.make(members)

    assert rig.provider.validities == [50]


async def test_a_failed_member_was_not_accepted_and_goes_alone(rig: Rig) -> None:
    members = await rig.answered(BatchReply(OK, 2, ("85251234001",), ("1", "2")))

    assert [member.turn.done() for member in members] == [True, False, True]
    assert rig.news()["r-1"] is None
    assert rig.waits_again() == [("r-1", None)]


async def test_members_of_whom_the_answer_says_nothing_are_unknown_and_never_sent_again_here(rig: Rig) -> None:
    members = await rig.answered(BatchReply(OK, 1, ("85251234001",), ("1",)))

    doubtful = [outcome(member) for member in (members[0], members[2])]
    assert all(isinstance(one, Failed) and one.code == "local.batch_doubtful" for one in doubtful)
    assert rig.news() == {"r-0": "local.batch_doubtful", "r-1": None, "r-2": "local.batch_doubtful"}
    assert rig.waits_again() == [("r-1", None)]


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.CONNECTION_CUT])
async def test_a_lost_reply_makes_every_member_unknown(rig: Rig, fault: Fault) -> None:
    members = await rig.answered(fault)

    assert rig.news() == dict.fromkeys(("r-0", "r-1", "r-2"), fault.value)
    assert {outcome(member).row.error_class for member in members} == {ErrorClass.UNKNOWN}  # type: ignore[union-attr]
    assert rig.put_back == []
    assert rig.limiter.call_size.told == ([("cut", 220)] if fault is Fault.CONNECTION_CUT else [])


@pytest.mark.parametrize("answer", [Fault.TIMEOUT, BatchReply(OK, 1)])
async def test_of_a_call_that_fails_as_a_whole_ten_members_are_judged(rig: Rig, answer: Fault | BatchReply) -> None:
    members = await rig.answered(answer, 12)

    assert [outcome(member).echoes for member in members] == [False] * 10 + [True] * 2  # type: ignore[union-attr]


async def test_a_call_that_reached_nobody_is_tried_again_by_each_member(rig: Rig) -> None:
    members = await rig.answered(Fault.NOT_REACHED)

    assert rig.news() == dict.fromkeys(("r-0", "r-1", "r-2"))
    assert {outcome(member).row.error_class for member in members} == {ErrorClass.TRANSIENT}  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [413, 414, 400])
async def test_a_call_that_is_too_large_was_not_made_and_teaches_the_size(rig: Rig, status: int) -> None:
    members = await rig.answered(BatchReply(Reply(status)))

    assert rig.waits_again() == [(member.request.sms.id, member.key) for member in members]
    assert all(member.key is not None for member in members)
    assert rig.limiter.given_back == ["r-0", "r-1", "r-2"]
    assert rig.limiter.call_size.told == [("refused", 220)]


async def test_a_code_about_a_member_lets_each_half_go_in_a_call_and_then_each_alone(rig: Rig) -> None:
    members = await rig.answered(refused("MOBILE_NUMBER_ILLEGAL"), count=4)
    parts = [member.key.part for member in members if member.key]
    assert parts == [1, 1, 2, 2]
    assert rig.put_back == members

    rig.put_back.clear()
    rig.provider.batch_answers.append(refused("MOBILE_NUMBER_ILLEGAL"))
    await rig.make(members[:2])
    assert rig.waits_again() == [("r-0", None), ("r-1", None)]
    assert rig.limiter.taught == []
    assert not any(member.turn.done() for member in members)


async def test_a_throttled_call_slows_the_quota_and_its_members_wait_again(rig: Rig) -> None:
    members = await rig.answered(refused("Throttling.User", gateway=True))

    assert rig.limiter.taught == [("throttled", (Operation.BATCH, None))]
    assert rig.put_back == members
    assert not any(member.turn.done() for member in members)


async def test_an_account_that_is_refused_is_held_once_and_every_member_has_that_outcome(rig: Rig) -> None:
    members = await rig.answered(refused("AMOUNT_NOT_ENOUGH"))

    assert [name for name, _ in rig.limiter.taught] == ["refused"]
    assert {outcome(member).row.error_class for member in members} == {ErrorClass.ACCOUNT}  # type: ignore[union-attr]
    assert rig.news() == dict.fromkeys(("r-0", "r-1", "r-2"))


async def test_a_sender_that_is_held_because_of_the_call_puts_every_member_off(rig: Rig) -> None:
    members = await rig.answered(refused("INVALID_SENDERID"))

    assert [name for name, _ in rig.limiter.taught] == ["refused"]
    assert all(isinstance(outcome(member), OnHold) for member in members)


async def test_a_call_that_cannot_be_built_lets_each_show_whether_it_was_to_blame(rig: Rig) -> None:
    await rig.answered(ValueError("no query may hold that"))

    assert rig.waits_again() == [("r-0", None), ("r-1", None), ("r-2", None)]
    assert rig.limiter.given_back == ["r-0", "r-1", "r-2"]
    assert rig.events.named("pipeline.failed")[0]["exception"] == "ValueError"


async def test_who_may_not_be_called_for_has_its_own_outcome_and_the_others_go(rig: Rig) -> None:
    rig.limiter.known["r-0"] = Busy(1_500_000)
    members = rig.members(5)
    members[1].request = members[1].request._replace(deadline=NOW)
    rig.limiter.admissions = [Busy(1_500_000), Soon(0.5), Held(1.0, "X"), Admitted(members[4].request)]
    await rig.make(members)

    assert outcome(members[0]) == Underway(timedelta(seconds=1.5))
    assert isinstance(expired := outcome(members[1]), Failed)
    assert expired.row.error_class is ErrorClass.EXPIRED
    assert [(one.request.sms.id, one.rest_s) for one in rig.put_back] == [("r-2", 0.5), ("r-3", 0.0)]
    assert [request.sms.id for request in rig.provider.batches[0][0]] == ["r-4"]


async def test_who_cannot_be_claimed_waits_again(rig: Rig) -> None:
    rig.limiter.admissions = [LimiterUnavailable("gone")] * 2
    members = rig.members(2)

    assert await rig.make(members) is None
    assert rig.put_back == members
    assert rig.provider.batches == []


@pytest.mark.parametrize("why", ["late", "cannot settle", "not wanted"])
async def test_a_claim_that_is_not_used_is_given_back(rig: Rig, why: str) -> None:
    members = rig.members(2)
    rig.can_settle = why != "cannot settle"
    if why == "not wanted":
        wanted = iter([True, True, False, False, False, False])
        for member in members:
            member.is_wanted = lambda: next(wanted)

    assert await rig.make(members, use_by=-1.0 if why == "late" else float("inf")) is None
    assert rig.limiter.given_back == ["r-0", "r-1"]
    assert rig.put_back == members
    assert rig.provider.batches == []


async def test_a_call_does_not_wait_for_those_who_are_left_out_of_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked last, whether they may be called for, would be old by then."""
    record, called = rig.limiter.record, asyncio.Event()

    async def later(admitted: Admitted, news: Any) -> int:
        if news is None:
            async with asyncio.timeout(5):
                await called.wait()
        return await record(admitted, news)

    async def send_batch(requests: Any, *_: object) -> BatchReply:
        called.set()
        return BatchReply(OK, len(requests))

    monkeypatch.setattr(rig.limiter, "record", later)
    monkeypatch.setattr(rig.provider, "send_batch", send_batch)
    members = rig.members(3)
    wanted = iter([True, False])
    members[0].is_wanted = lambda: next(wanted)

    assert await rig.make(members) is True
    assert rig.limiter.given_back == ["r-0"]
    assert rig.put_back == members[:1]


async def test_a_member_that_was_cancelled_is_left_out_and_told_of(rig: Rig) -> None:
    rig.limiter.known["r-1"] = Cancelled(0)
    members = rig.members(3)

    assert await rig.make(members) is True
    assert outcome(members[1]) == Cancelled(0)
    ((requests, _),) = rig.provider.batches
    assert [request.sms.id for request in requests] == ["r-0", "r-2"]


async def test_the_ledger_that_cannot_be_told_changes_nothing(rig: Rig) -> None:
    rig.limiter.forgetful = True
    members = await rig.answered(BatchReply(OK, 3, (), ("1", "2", "3")))

    assert all(isinstance(outcome(member), Accepted) for member in members)


async def test_a_bug_after_the_answer_leaves_nobody_waiting_for_ever_and_resends_nobody(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def record(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(rig.limiter, "record", record)
    members = await rig.answered(BatchReply(OK, 3, (), ("1", "2", "3")))

    assert {outcome(member).code for member in members} == {"local.batch_doubtful"}  # type: ignore[union-attr]
    assert rig.put_back == []


async def test_what_a_probe_showed_is_taught_once(rig: Rig) -> None:
    members = rig.members(2)
    rig.limiter.admissions = [
        Admitted(members[0].request, frozenset({SHOP})),
        Admitted(members[1].request),
    ]
    await rig.make(members, probe=True)

    assert sorted(rig.limiter.taught, key=str) == [("works", ACCOUNT), ("works", SHOP)]


async def test_a_probe_that_showed_nothing_gives_its_place_to_the_next(rig: Rig) -> None:
    rig.provider.batch_answers.append(BatchReply(Reply(414)))
    await rig.make(rig.members(1), probe=True)

    assert rig.limiter.taught == [("unprobed", ACCOUNT)]


async def test_it_says_whether_the_provider_took_the_call(rig: Rig) -> None:
    rig.provider.batch_answers = [BatchReply(OK, 2, (), ("1", "2")), refused("AMOUNT_NOT_ENOUGH"), ValueError("no")]
    said = [await rig.make(rig.members(2)) for _ in range(3)]

    assert said == [True, False, None]
