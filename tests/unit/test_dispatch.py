"""The dispatcher: who gets the next slot, and what becomes of slots and requests when something is in the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest

from tests.fakes import NOW, FakeClock, FakeLimiter, FakeProvider, RecordingEvents
from worker.core.limits.holds import ACCOUNT
from worker.core.limits.ledger import Token
from worker.core.limits.quota import Admission, Admitted, Operation, Quota, Slots, Soon, Turn
from worker.core.message.decode import Request
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.message.request import SmsRequest
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Accepted, Closed, Early, ErrorClass, Failed, Fault, Outcome, Reply, Unserved
from worker.delivery import dispatch
from worker.delivery.attempt import Attempts
from worker.delivery.dispatch import Dispatch
from worker.delivery.sender import Sender
from worker.errors import LimiterUnavailable


def request(request_id: str, lane: Lane = Lane.OTP, **fields: Any) -> Request:
    sms = SmsRequest(id=request_id, to="85251234567", type=lane.sms_type, text="hello", **fields)
    return Request(sms, lane, History(published=NOW), NOW + timedelta(minutes=5))


class Rig:
    """A dispatcher among fakes."""

    def __init__(self, *, rate: int = 0, concurrency: int = 100, patience: timedelta = timedelta(minutes=10)) -> None:
        self.limiter, self.provider, self.events, self.clock = (
            FakeLimiter(),
            FakeProvider(),
            RecordingEvents(),
            FakeClock(),
        )
        self.can_settle = True
        quotas = {operation: Quota(rate, guard=timedelta(milliseconds=50)) for operation in Operation}
        attempts = Attempts(
            self.limiter, self.provider, catalog(), self.events, now=self.clock, can_settle=lambda: self.can_settle
        )
        self.dispatch = Dispatch(
            self.limiter, attempts, self.events,
            quotas=quotas, concurrency=concurrency, patience=patience, can_settle=lambda: self.can_settle,
        )  # fmt: skip
        self._sender = Sender(self.dispatch, attempts)

    async def sent(self, request: Request, is_wanted: Callable[[], bool] = lambda: True) -> Outcome:
        return await self._sender.send(request, is_wanted)

    def send(self, *requests: Request) -> list["asyncio.Task[Outcome]"]:
        return [asyncio.create_task(self.sent(one)) for one in requests]


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Rig]:
    pumps = asyncio.create_task(rig.dispatch.run())
    try:
        yield rig
    finally:
        pumps.cancel()
        await asyncio.wait([pumps])


async def turns(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until *condition* holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


async def test_an_accepted_request_is_accepted_once() -> None:
    async with running(Rig()) as rig:
        outcome = await rig.sent(request("a"))

        assert isinstance(outcome, Accepted)
        assert rig.provider.sent_ids == ["a"]
        assert rig.limiter.given_back == []


async def test_the_remaining_validity_goes_along_with_the_call() -> None:
    async with running(Rig()) as rig:
        rig.clock.advance(timedelta(minutes=2))
        await rig.sent(request("a"))

        assert rig.provider.validities == [180]


async def test_the_most_urgent_waiting_request_takes_a_slot_whoever_booked_it() -> None:
    async with running(Rig(concurrency=1)) as rig:
        rig.provider.open.clear()
        sending = rig.send(request("first", Lane.MARKETING))
        await turns(lambda: rig.provider.sent_ids == ["first"])
        sending += rig.send(request("m", Lane.MARKETING), request("n", Lane.NOTIFY), request("o", Lane.OTP))
        await turns(lambda: sum(rig.dispatch.waiting().values()) == 3)
        rig.provider.open.set()
        await asyncio.gather(*sending)

        assert rig.provider.sent_ids == ["first", "o", "n", "m"]


async def test_a_guaranteed_slot_goes_to_its_own_lane_first() -> None:
    async with running(Rig()) as rig:
        rig.limiter.open.clear()
        rig.limiter.grants = [Slots((0.0,), floor=True)]
        sending = rig.send(request("m", Lane.MARKETING))
        await turns(lambda: bool(rig.limiter.asked))
        sending += rig.send(request("o", Lane.OTP))
        await turns(lambda: len(rig.limiter.asked) == 2)
        rig.limiter.open.set()
        await asyncio.gather(*sending)

        assert rig.provider.sent_ids == ["m", "o"]


async def test_a_refused_recipient_leaves_its_slot_to_the_next_request() -> None:
    async with running(Rig(rate=10)) as rig:
        closed = Closed("otp 1 per 30 s", timedelta(seconds=30))
        rig.limiter.admissions = [closed]
        rig.limiter.grants = [Slots((0.0,))]
        first, second = await asyncio.gather(*rig.send(request("a"), request("b")))

        assert first == closed
        assert isinstance(second, Accepted)
        assert rig.provider.sent_ids == ["b"]


async def test_a_slot_that_comes_late_is_burnt_and_the_request_is_sent_in_the_next() -> None:
    async with running(Rig(rate=10)) as rig:
        rig.limiter.grants = [Slots((-1.0,))]  # due a second ago
        outcome = await rig.sent(request("a"))

        assert isinstance(outcome, Accepted)
        assert len(rig.events.named("slot.burnt")) == 1
        assert len(rig.limiter.asked) == 2


async def test_a_slot_counts_from_when_it_was_booked_however_late_the_answer_is_read() -> None:
    async with running(Rig(rate=10)) as rig:
        rig.limiter.grants = [Slots((0.2,), since=monotonic() - 1)]
        await rig.sent(request("a"))

        assert len(rig.events.named("slot.burnt")) == 1


async def test_what_is_not_known_of_a_slots_instant_is_taken_off_the_guard_but_for_half_of_it() -> None:
    subject = Rig(rate=10).dispatch  # with a guard of 50 ms
    fresh = [subject._freshness_s(Operation.GLOBE, Slots((0.0,), None, doubt_s)) for doubt_s in (0.0, 0.01, 9.0)]

    assert fresh == pytest.approx([0.05, 0.04, 0.025])


async def test_quotas_that_change_are_gone_by_from_then_on() -> None:
    async with running(Rig(rate=1000, concurrency=1000)) as rig:
        await asyncio.gather(*rig.send(*(request(f"a{number}") for number in range(60))))
        before = max(want for _, _, want in rig.limiter.asked)
        rig.limiter.asked.clear()
        rig.dispatch.change({operation: Quota(10, guard=timedelta(seconds=1)) for operation in Operation})
        rig.limiter.grants = [Slots((0.0,), since=monotonic() - 0.5)]  # too late for the guard that there was
        await asyncio.gather(*rig.send(*(request(f"b{number}") for number in range(60))))

        assert before > 10
        assert {want for _, _, want in rig.limiter.asked} == {1}
        assert not rig.events.named("slot.burnt")


async def test_a_request_is_admitted_before_its_slot_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours before, so that it cannot become due meanwhile, however busy the machine is."""
    monkeypatch.setattr(dispatch, "_LEAD_S", 7200.0)
    async with running(Rig(rate=10)) as rig:
        rig.limiter.grants = [Slots((3600.0,))]
        (sending,) = rig.send(request("a"))
        await turns(lambda: bool(rig.limiter.admitted))
        for _ in range(10):
            await asyncio.sleep(0)
        assert rig.provider.sent == []
        sending.cancel()


async def test_a_request_is_called_no_sooner_than_its_slot_is_due() -> None:
    async with running(Rig(rate=10)) as rig:
        rig.limiter.grants = [Slots((0.05,))]
        began = monotonic()
        assert isinstance(await rig.sent(request("a")), Accepted)

        assert monotonic() - began >= 0.05


async def test_a_lane_whose_slot_went_to_a_more_urgent_one_books_another() -> None:
    async with running(Rig(rate=10)) as rig:
        rig.limiter.open.clear()
        rig.provider.open.clear()
        rig.limiter.grants = [Slots((0.05,)), Turn(60)]
        sending = rig.send(request("m", Lane.MARKETING))
        await turns(lambda: len(rig.limiter.asked) == 1)
        sending += rig.send(request("o", Lane.OTP))
        await turns(lambda: len(rig.limiter.asked) == 2)
        rig.limiter.open.set()
        await turns(lambda: sorted(rig.provider.sent_ids) == ["m", "o"])

        rig.provider.open.set()
        await asyncio.gather(*sending)


async def test_a_lane_that_gets_no_slot_keeps_no_other_from_asking() -> None:
    async with running(Rig(concurrency=1)) as rig:
        rig.limiter.open.clear()
        rig.limiter.grants = [Turn(60)]
        (left,) = rig.send(request("m", Lane.MARKETING))
        await turns(lambda: len(rig.limiter.asked) == 1)
        (sending,) = rig.send(request("o", Lane.OTP))
        await turns(lambda: rig.dispatch.waiting()[Lane.OTP] == 1)
        rig.limiter.open.set()
        async with asyncio.timeout(30):
            outcome = await sending
        left.cancel()

        assert isinstance(outcome, Accepted)
        assert rig.provider.sent_ids == ["o"]


async def test_nothing_is_called_while_the_limiter_is_away_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.delivery.dispatch._LIMITER_PAUSE_S", 0.0)
    async with running(Rig()) as rig:
        rig.limiter.grants = [LimiterUnavailable("gone"), LimiterUnavailable("gone")]
        rig.limiter.admissions = [LimiterUnavailable("gone")]
        outcome = await rig.sent(request("a"))

        assert isinstance(outcome, Accepted)
        assert rig.provider.sent_ids == ["a"]


@pytest.mark.parametrize(
    ("answer", "is_certain"),
    [
        (Reply(200, "MOBILE_NUMBER_ILLEGAL"), True),
        (Reply(200, "QPS_LIMIT_CONTROL"), True),
        (Reply(200, "AMOUNT_NOT_ENOUGH"), True),
        (Fault.NOT_REACHED, True),
        (Reply(200, "SYSTEM_ERROR"), True),
        (Fault.TIMEOUT, False),
        (Reply(200, "A_CODE_FROM_THE_FUTURE"), False),
    ],
)
async def test_only_what_was_certainly_not_sent_gives_its_claim_back(answer: Reply | Fault, is_certain: bool) -> None:
    async with running(Rig()) as rig:
        rig.provider.answers["a"] = answer
        outcome = await rig.sent(request("a"))

        assert isinstance(outcome, Failed)
        assert [news for _, news in rig.limiter.recorded] == [None if is_certain else outcome.code]


@pytest.mark.parametrize(
    ("answer", "lesson"),
    [
        (
            Reply(400, "Throttling.User", from_gateway=True, retry_after=timedelta(seconds=0.3)),
            ("throttled", (Operation.GLOBE, 0.3)),
        ),
        (Reply(200, "AMOUNT_NOT_ENOUGH"), ("refused", ACCOUNT)),
        (Reply(200, "ALERT_LIMIT_DAY"), ("refused", ACCOUNT)),
    ],
)
async def test_what_a_call_teaches_is_told_to_the_limiter(answer: Reply, lesson: tuple[str, Any]) -> None:
    async with running(Rig()) as rig:
        rig.provider.answers["a"] = answer
        await rig.sent(request("a"))

        assert [(what, getattr(told, "name", told)) for what, told in rig.limiter.taught] == [lesson]
        told = rig.events.named("limiter.throttled")
        assert told == ([{"operation": "SendMessageToGlobe", "retry_after_s": 0.3}] if lesson[0] == "throttled" else [])


@pytest.mark.parametrize("probe", [True, False])
async def test_only_an_accepted_probe_lifts_the_hold(probe: bool) -> None:
    async with running(Rig()) as rig:
        rig.limiter.grants = [Slots((0.0,), probe=probe)]
        await rig.sent(request("a"))

        assert rig.limiter.taught == ([("works", ACCOUNT)] if probe else [])
        assert len(rig.events.named("hold.probe")) == int(probe)


@pytest.mark.parametrize(("code", "lifted"), [("MOBILE_NUMBER_ILLEGAL", True), ("SYSTEM_ERROR", False)])
async def test_a_probe_that_is_refused_for_its_own_fault_shows_that_the_account_works(code: str, lifted: bool) -> None:
    async with running(Rig()) as rig:
        rig.limiter.grants = [Slots((0.0,), probe=True)]
        rig.provider.answers["a"] = Reply(200, code)
        await rig.sent(request("a"))

        assert rig.limiter.taught == [("works" if lifted else "undecided", ACCOUNT)]


async def test_slots_asked_for_by_several_lanes_at_once_never_exceed_the_calls_allowed() -> None:
    async with running(Rig(concurrency=3)) as rig:
        rig.limiter.open.clear()
        rig.provider.open.clear()
        sending = rig.send(*(request(f"{lane}{number}", lane) for lane in Lane for number in range(5)))
        await turns(lambda: bool(rig.limiter.asked))
        rig.limiter.open.set()
        await turns(lambda: len(rig.provider.sent) == 3)
        for _ in range(50):
            await asyncio.sleep(0)

        assert len(rig.provider.sent) == 3
        rig.provider.open.set()
        await asyncio.gather(*sending)
        assert len(rig.provider.sent) == 15


async def test_what_the_provider_said_stands_when_telling_the_limiter_fails() -> None:
    async with running(Rig()) as rig:

        async def fail(*_arguments: object, **_options: object) -> None:
            raise ZeroDivisionError("ours")

        rig.limiter.holds.works = fail  # type: ignore[method-assign]  # a fault of our own
        rig.limiter.grants = [Slots((0.0,), probe=True)]

        assert isinstance(await rig.sent(request("a")), Accepted)
        await turns(lambda: bool(rig.events.named("pipeline.failed")))


async def test_an_unlisted_code_raises_an_alarm() -> None:
    async with running(Rig()) as rig:
        rig.provider.answers["a"] = Reply(200, "A_CODE_FROM_THE_FUTURE")
        outcome = await rig.sent(request("a"))

        assert isinstance(outcome, Failed)
        assert outcome.row.error_class is ErrorClass.UNKNOWN
        assert rig.events.named("provider.unlisted_code") == [{"code": "A_CODE_FROM_THE_FUTURE"}]


async def test_an_expired_request_costs_no_call() -> None:
    async with running(Rig()) as rig:
        rig.clock.advance(timedelta(minutes=5))
        outcome = await rig.sent(request("a"))

        assert isinstance(outcome, Failed)
        assert outcome.row.error_class is ErrorClass.EXPIRED
        assert rig.limiter.asked == []


async def test_a_request_whose_time_has_not_come_is_not_called() -> None:
    async with running(Rig()) as rig:
        later = NOW + timedelta(minutes=1)

        assert await rig.sent(request("a", not_before=later)) == Early(later)
        assert rig.provider.sent == []


async def test_a_request_whose_deadline_passes_while_it_waits_leaves_unsent() -> None:
    async with running(Rig()) as rig:
        rig.limiter.open.clear()
        (sending,) = rig.send(request("a"))
        await turns(lambda: bool(rig.limiter.asked))
        rig.clock.advance(timedelta(minutes=5))
        await rig.dispatch.sweep()
        outcome = await sending

        assert isinstance(outcome, Failed)
        assert outcome.row.error_class is ErrorClass.EXPIRED
        assert rig.provider.sent == []


async def test_a_request_that_waits_too_long_is_given_back() -> None:
    async with running(Rig(patience=timedelta(0))) as rig:
        rig.limiter.open.clear()
        (sending,) = rig.send(request("a"))
        await turns(lambda: bool(rig.limiter.asked))
        await rig.dispatch.sweep()

        assert await sending == Unserved("no slot came in time")


async def test_patience_is_only_ever_shortened() -> None:
    async with running(Rig(patience=timedelta(minutes=10))) as rig:
        rig.limiter.open.clear()
        (sending,) = rig.send(request("a"))
        await turns(lambda: bool(rig.limiter.asked))
        assert rig.dispatch.shorten_patience(timedelta(hours=1)) == timedelta(minutes=10)
        await rig.dispatch.sweep()
        assert not sending.done()
        assert rig.dispatch.shorten_patience(timedelta(0)) == timedelta(0)
        await rig.dispatch.sweep()

        assert await sending == Unserved("no slot came in time")


async def test_draining_finishes_the_calls_in_flight_and_gives_the_rest_back() -> None:
    async with running(Rig(concurrency=1)) as rig:
        rig.provider.open.clear()
        in_flight, waiting = rig.send(request("a"), request("b"))
        await turns(lambda: rig.provider.sent_ids == ["a"])
        draining = asyncio.create_task(rig.dispatch.drain())

        assert await waiting == Unserved("the worker is draining")
        assert await rig.sent(request("c")) == Unserved("the worker is draining")
        rig.provider.open.set()
        await draining
        assert isinstance(await in_flight, Accepted)
        assert rig.provider.sent_ids == ["a"]


async def test_who_is_told_to_wait_here_asks_again_then_and_takes_no_slot_meanwhile() -> None:
    async with running(Rig(concurrency=1)) as rig:
        rig.limiter.admissions = [Soon(0.05), Admitted(request("b")), Admitted(request("a"))]
        began = monotonic()
        early, other = rig.send(request("a"), request("b"))

        assert isinstance(await other, Accepted)
        assert rig.provider.sent_ids == ["b"]
        assert isinstance(await early, Accepted)
        assert monotonic() - began >= 0.05
        first, _, again = rig.limiter.tokens
        assert again == Token(first.caller, 2)


async def test_who_waits_here_for_its_place_is_requeued_at_once_by_a_drain_and_ended_at_its_deadline() -> None:
    async with running(Rig()) as rig:
        rig.limiter.admissions = [Soon(3600), Soon(3600)]
        resting, expiring = rig.send(request("a"), request("b")._replace(deadline=NOW + timedelta(minutes=1)))
        await turns(lambda: len(rig.limiter.tokens) == 2)
        rig.clock.advance(timedelta(minutes=2))
        await rig.dispatch.sweep()
        assert await expiring == catalog().failed("local.expired", called=False)
        await rig.dispatch.drain()

        assert await resting == Unserved("the worker is draining")


async def test_an_error_of_our_own_reaches_the_delivery_it_belongs_to() -> None:
    async with running(Rig()) as rig:
        rig.provider.answers["a"] = ZeroDivisionError("ours")
        with pytest.raises(ZeroDivisionError):
            await rig.sent(request("a"))

        assert isinstance(await rig.sent(request("b")), Accepted)


async def test_a_cancelled_delivery_is_not_called() -> None:
    async with running(Rig()) as rig:
        rig.limiter.open.clear()
        gone, stays = rig.send(request("a"), request("b"))
        await turns(lambda: bool(rig.limiter.asked))
        gone.cancel()
        await asyncio.wait([gone])
        rig.limiter.open.set()
        await stays

        assert rig.provider.sent_ids == ["b"]


async def test_a_request_whose_delivery_was_lost_is_not_called_and_gives_its_slot_to_the_next() -> None:
    """The broker delivers it again: it would be sent twice."""
    async with running(Rig()) as rig:
        rig.limiter.open.clear()
        wanted = [True]
        lost = asyncio.create_task(rig.sent(request("a"), lambda: wanted[0]))
        (stays,) = rig.send(request("b"))
        await turns(lambda: bool(rig.limiter.asked))
        wanted[0] = False
        rig.limiter.open.set()

        assert isinstance(await lost, Unserved)
        assert isinstance(await stays, Accepted)
        assert rig.provider.sent_ids == ["b"]


async def test_those_whose_delivery_was_lost_end_their_wait_without_a_slot() -> None:
    async with running(Rig()) as rig:
        rig.limiter.open.clear()
        open_still = [True]
        lost = asyncio.create_task(rig.sent(request("a"), lambda: bool(open_still)))
        await turns(lambda: bool(rig.limiter.asked))
        open_still.clear()
        await rig.dispatch.sweep()

        assert isinstance(await lost, Unserved)


async def test_while_outcomes_cannot_be_told_no_call_begins() -> None:
    async with running(Rig()) as rig:
        rig.limiter.open.clear()
        (sending,) = rig.send(request("a"))
        await turns(lambda: bool(rig.limiter.asked))
        rig.can_settle = False
        rig.limiter.open.set()
        await turns(lambda: bool(rig.events.named("slot.unused")))
        asked = len(rig.limiter.asked)
        for _ in range(50):
            await asyncio.sleep(0)
        assert (rig.provider.sent_ids, len(rig.limiter.asked)) == ([], asked)

        rig.can_settle = True
        assert isinstance(await sending, Accepted)


async def test_a_call_is_not_begun_when_outcomes_could_be_told_a_moment_ago() -> None:
    """Admission takes its time: the connection may break meanwhile."""
    async with running(Rig()) as rig:
        admit = rig.limiter.admit

        async def admit_and_break(request: Request, token: Token, **asked: Any) -> Admission:
            rig.can_settle = bool(rig.limiter.admitted)
            return await admit(request, token, **asked)

        rig.limiter.admit = admit_and_break  # type: ignore[method-assign]  # the break comes exactly there
        (sending,) = rig.send(request("a"))
        await turns(lambda: bool(rig.events.named("slot.unused")))
        assert rig.provider.sent_ids == []

        rig.can_settle = True
        assert isinstance(await sending, Accepted)
        assert rig.limiter.given_back == ["a"]
        first, second = rig.limiter.tokens
        assert second == Token(first.caller, 2), "what is told late of the first claim must not hit the second"


async def test_no_more_calls_are_in_flight_than_allowed() -> None:
    async with running(Rig(concurrency=3)) as rig:
        rig.provider.open.clear()
        sending = rig.send(*(request(str(number)) for number in range(10)))
        await turns(lambda: len(rig.provider.sent) == 3)
        for _ in range(50):
            await asyncio.sleep(0)

        assert len(rig.provider.sent) == 3
        rig.provider.open.set()
        await asyncio.gather(*sending)
        assert len(rig.provider.sent) == 10


async def test_a_slot_that_is_passed_on_is_one_call_in_flight_and_no_more() -> None:
    async with running(Rig(concurrency=2)) as rig:
        closed = Closed("otp 1 per 30 s", timedelta(seconds=30))
        rig.limiter.admissions = [closed] * 20
        rig.provider.open.clear()
        sending = rig.send(*(request(str(number)) for number in range(30)))
        await turns(lambda: len(rig.provider.sent) >= 2)
        for _ in range(100):
            await asyncio.sleep(0)

        assert len(rig.provider.sent) == 2
        rig.provider.open.set()
        await asyncio.gather(*sending)
        assert len(rig.provider.sent) == 10
