"""What the ledger has to do with a call: what it knows is believed, and it is told in time what became of the call."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes import NOW, FakeClock, FakeLimiter, FakeProvider, RecordingEvents
from tests.makers import make_request
from worker.core.limits.cancels import CLAIM_S
from worker.core.limits.holds import HoldName
from worker.core.limits.ledger import CALLER_LOST, Busy, Doubtful, Known, Reused, Token
from worker.core.limits.quota import Admitted, Held, Operation
from worker.core.message.decode import Request
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import (
    Acceptance,
    Accepted,
    Cancelled,
    ErrorClass,
    Failed,
    Fault,
    OnHold,
    Outcome,
    Scope,
    Sent,
    Underway,
)
from worker.delivery import attempt
from worker.delivery.attempt import Attempts, Use
from worker.delivery.dispatch import Dispatch
from worker.delivery.waiting import Slot, Waiting
from worker.errors import LimiterUnavailable

BEFORE = Acceptance(Accepted("m-1", "R-1", 1, "HK"), 1, NOW)


class Rig:
    """A caller among fakes, and one slot that is due."""

    def __init__(self) -> None:
        self.limiter, self.provider, self.events = FakeLimiter(), FakeProvider(), RecordingEvents()
        self.clock, self.can_settle = FakeClock(), True
        self.attempts = Attempts(
            self.limiter,
            self.provider,
            catalog(),
            self.events,
            now=self.clock,
            can_settle=lambda: self.can_settle,
        )

    async def attempt(self, request: Request, *, probe: bool = False) -> tuple[Use, Outcome | None]:
        """What became of the slot, and the request's outcome if it has one."""
        now = asyncio.get_running_loop().time()
        waiting = Waiting(request, now, asyncio.get_running_loop().create_future(), caller="t-1")
        return await self.attempts.make(waiting, Slot(Operation.GLOBE, Lane.OTP, 0, float("inf"), False, probe))


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_an_acceptance_is_in_the_ledger_before_the_request_has_its_outcome(rig: Rig) -> None:
    use, outcome = await rig.attempt(make_request(history=History(published=NOW, attempts=1, first_tried=NOW)))

    assert (use, type(outcome)) == (Use.CALLED, Accepted)
    ((_, news),) = rig.limiter.recorded
    assert isinstance(news, Acceptance)
    assert isinstance(outcome, Accepted)
    assert (news.accepted, news.attempts, news.first_tried) == (outcome, 2, NOW)


@pytest.mark.parametrize("deadline", [NOW + timedelta(minutes=1), NOW], ids=["in time", "after its deadline"])
@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (Sent(BEFORE, 0), Sent(BEFORE, 0)),
        (Busy(1_500_000), Underway(timedelta(seconds=1.5))),
        (Cancelled(1), Cancelled(1)),
    ],
    ids=["sent", "under way", "cancelled"],
)
async def test_a_request_that_the_ledger_knows_is_not_called_for(
    rig: Rig, deadline: object, known: Known, expected: Outcome
) -> None:
    rig.limiter.known["r-1"] = known
    assert isinstance(deadline, type(NOW))

    assert await rig.attempt(make_request(deadline=deadline)) == (Use.FREE, expected)
    assert rig.provider.sent == []


@pytest.mark.parametrize("deadline", [NOW + timedelta(minutes=1), NOW], ids=["in time", "after its deadline"])
async def test_an_unknown_call_of_somebody_else_is_told_with_its_time_and_reason(rig: Rig, deadline: object) -> None:
    rig.limiter.known["r-1"] = Doubtful(2, 1_795_435_200_000_000, "local.timeout")
    assert isinstance(deadline, type(NOW))
    use, outcome = await rig.attempt(make_request(deadline=deadline))

    assert use is Use.FREE
    assert isinstance(outcome, Failed)
    assert (outcome.row.error_class, outcome.code, outcome.unknowns) == (ErrorClass.UNKNOWN, CALLER_LOST, 2)
    assert outcome.detail == "(local.timeout, called at 2026-11-23T12:00:00.000+00:00)"
    assert rig.provider.sent == []


async def test_an_expired_request_is_given_up_only_when_the_ledger_says_that_it_may_be(rig: Rig) -> None:
    rig.limiter.forgetful = True
    with pytest.raises(LimiterUnavailable):
        await rig.attempt(make_request(deadline=NOW))

    rig.limiter.forgetful = False
    _, outcome = await rig.attempt(make_request(deadline=NOW))
    assert isinstance(outcome, Failed)
    assert outcome.row.error_class is ErrorClass.EXPIRED


async def test_an_unknown_outcome_says_how_many_there_were(rig: Rig) -> None:
    rig.provider.answers["r-1"] = Fault.TIMEOUT
    _, outcome = await rig.attempt(make_request(history=History(published=NOW, unknowns=1)))

    assert isinstance(outcome, Failed)
    assert outcome.unknowns == 2
    assert [news for _, news in rig.limiter.recorded] == ["local.timeout"]


async def test_what_the_provider_said_stands_when_the_ledger_cannot_be_told(rig: Rig) -> None:
    rig.limiter.forgetful = True
    use, outcome = await rig.attempt(make_request())

    assert (use, type(outcome)) == (Use.CALLED, Accepted)


async def test_a_claim_that_is_not_used_is_given_back(rig: Rig) -> None:
    rig.can_settle = False

    assert await rig.attempt(make_request()) == (Use.FREE, None)
    assert rig.limiter.given_back == ["r-1"]
    assert rig.provider.sent == []


async def test_each_claim_of_a_request_has_a_token_of_its_own(rig: Rig) -> None:
    rig.can_settle = False
    await rig.attempt(make_request())
    waiting = Waiting(make_request(), 0.0, asyncio.get_running_loop().create_future(), caller="t-2")
    slot = Slot(Operation.GLOBE, Lane.OTP, 0, float("inf"), False, False)
    await rig.attempts.make(waiting, slot)
    await rig.attempts.make(waiting, slot)

    assert rig.limiter.tokens == [Token("t-1", 1), Token("t-2", 1), Token("t-2", 2)]


async def test_a_call_that_fails_before_a_byte_has_left_leaves_no_claim(rig: Rig) -> None:
    rig.limiter.admissions = [Admitted(make_request(), frozenset({ACME}))]
    rig.provider.answers["r-1"] = ValueError("a header may not hold a line feed")
    with pytest.raises(ValueError, match="line feed"):
        await rig.attempt(make_request())

    assert rig.limiter.given_back == ["r-1"]
    assert rig.limiter.taught == [("unprobed", ACME)]


async def test_a_request_whose_id_stands_for_another_is_invalid_and_not_called_for(rig: Rig) -> None:
    rig.limiter.known["r-1"] = Reused()
    use, outcome = await rig.attempt(make_request())

    assert use is Use.FREE
    assert isinstance(outcome, Failed)
    assert (outcome.row.error_class, outcome.code, outcome.called) == (ErrorClass.INVALID, "local.id_reused", False)
    assert rig.provider.sent == []


async def test_the_limiter_is_told_for_how_long_the_request_can_wait(rig: Rig) -> None:
    await rig.attempt(make_request(deadline=NOW + timedelta(seconds=90)))

    assert rig.limiter.lefts == [timedelta(seconds=90)]


async def test_a_deadline_that_passes_between_claim_and_call_is_kept(rig: Rig) -> None:
    admit = rig.limiter.admit

    async def slowly(request: Request, token: Token, **asked: Any) -> object:
        rig.clock.advance(timedelta(minutes=6))
        return await admit(request, token, **asked)

    rig.limiter.admit = slowly  # type: ignore[method-assign, assignment]  # time passes exactly there

    assert await rig.attempt(make_request()) == (Use.FREE, None)
    assert rig.limiter.given_back == ["r-1"]
    assert rig.provider.sent == []


async def test_an_expired_request_waits_while_nobody_knows_whether_it_was_sent() -> None:
    limiter, clock = FakeLimiter(forgetful=True), FakeClock()
    attempts = Attempts(limiter, FakeProvider(), catalog(), RecordingEvents(), now=clock, can_settle=lambda: True)
    dispatch = Dispatch(
        limiter, attempts, RecordingEvents(), quotas={}, concurrency=1, patience=timedelta(minutes=10)
    )  # fmt: skip
    limiter.known["r-1"] = Sent(BEFORE, 0)
    turn = (await dispatch.join(make_request(deadline=NOW))).turn  # whoever waits has this one
    await dispatch.sweep()
    assert not turn.done()

    limiter.forgetful = False
    await dispatch.sweep()
    assert await asyncio.wait_for(turn, 5) == Sent(BEFORE, 0)


# -- holds --------------------------------------------------------------------------------------------------------

ACME = HoldName(Scope.SENDER, "ACME")


async def test_a_request_that_meets_a_hold_waits_and_is_not_called_for(rig: Rig) -> None:
    on_hold = OnHold("sender ACME", "INVALID_SENDERID", timedelta(seconds=5))
    rig.limiter.admissions = [on_hold]

    assert await rig.attempt(make_request()) == (Use.FREE, on_hold)
    assert rig.provider.sent == []


async def test_a_slot_that_was_booked_before_the_account_was_held_is_not_used(rig: Rig) -> None:
    rig.limiter.admissions = [Held(1.0, "AMOUNT_NOT_ENOUGH")]

    assert await rig.attempt(make_request()) == (Use.VOID, None)
    assert rig.provider.sent == []


async def test_a_probe_is_told_and_what_it_showed_is_taught(rig: Rig) -> None:
    rig.limiter.admissions = [Admitted(make_request(), frozenset({ACME}))]
    use, outcome = await rig.attempt(make_request())

    assert (use, type(outcome)) == (Use.CALLED, Accepted)
    assert rig.limiter.taught == [("works", ACME)]
    assert rig.events.named("hold.probe") == [{"scope": "sender", "subject": "ACME", "operation": "SendMessageToGlobe"}]


async def test_a_probe_that_is_not_made_is_free_for_the_next(rig: Rig) -> None:
    rig.can_settle = False
    rig.limiter.admissions = [Admitted(make_request(), frozenset({ACME}))]

    assert await rig.attempt(make_request()) == (Use.FREE, None)
    assert rig.limiter.taught == [("unprobed", ACME)]


@pytest.mark.parametrize(("left", "asked"), [(60, False), (9, True)])
async def test_what_is_known_to_be_held_needs_no_slot_unless_its_deadline_is_near(
    rig: Rig, left: int, asked: bool
) -> None:
    rig.limiter.holds.met = OnHold("sender ACME", "INVALID_SENDERID", timedelta(seconds=5))
    known = rig.attempts.on_hold(make_request(deadline=NOW + timedelta(seconds=left)))

    assert (known is None) == asked


async def test_a_claim_that_redis_answered_late_is_not_used(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cancel of its campaign may have been answered since it was asked for."""
    now, admit = 1000.0, rig.limiter.admit
    monkeypatch.setattr(attempt, "monotonic", lambda: now)

    async def late(*given: Any, **more: Any) -> Any:
        nonlocal now
        now += took
        return await admit(*given, **more)

    monkeypatch.setattr(rig.limiter, "admit", late)
    took = CLAIM_S - 0.01
    use, _ = await rig.attempt(make_request())
    took = CLAIM_S + 0.01
    assert (use, await rig.attempt(make_request(id="r-2"))) == (Use.CALLED, (Use.FREE, None))
    assert rig.provider.sent_ids == ["r-1"]
    assert rig.limiter.given_back == ["r-2"]
