"""Whom Redis knows is found before it gets a slot, once one has met in a slot what is known of it."""

import asyncio
from typing import Any

import pytest

from tests.fakes import FakeLimiter
from tests.unit.test_dispatch import Rig, request, running, turns
from worker.core.limits.ledger import Busy, Doubtful, Known
from worker.core.limits.quota import Admission, Slots
from worker.core.outcome.outcome import Acceptance, Accepted, Cancelled, Sent
from worker.delivery import look_ahead


def admitted_ids(limiter: FakeLimiter) -> list[str]:
    """Whom it was asked to admit, which takes a slot."""
    return [each.sms.id for each in limiter.admitted]


def far_away(limiter: FakeLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every admission take some turns of the event loop, as a trip to Redis does."""
    admit = limiter.admit

    async def later(*given: Any, **more: Any) -> Admission:
        for _ in range(20):
            await asyncio.sleep(0)
        return await admit(*given, **more)

    monkeypatch.setattr(limiter, "admit", later)


def cancel(rig: Rig, *ids: str) -> None:
    rig.limiter.known |= dict.fromkeys(ids, Cancelled(0))


async def test_those_who_wait_are_found_when_the_first_met_its_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Rig(rate=10, concurrency=1)) as rig:
        far_away(rig.limiter, monkeypatch)
        cancel(rig, "a", "b", "c")
        rig.limiter.open.clear()
        rig.limiter.grants = [Slots((0.0,))]
        sending = rig.send(request("a"), request("b"), request("c"), request("d"))
        await turns(lambda: sum(rig.dispatch.waiting().values()) == 4)
        rig.limiter.open.set()
        outcomes = await asyncio.gather(*sending)

        assert [type(outcome) for outcome in outcomes] == [Cancelled, Cancelled, Cancelled, Accepted]
        assert rig.provider.sent_ids == ["d"]
        assert "c" not in admitted_ids(rig.limiter), "it needed no slot"


async def test_those_who_come_are_found_before_they_wait_and_later_are_not_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(look_ahead, "monotonic", lambda: now)
    async with running(Rig(rate=10)) as rig:
        cancel(rig, "a", "b", "c")
        await rig.sent(request("a"))
        now += look_ahead._LASTS_S - 0.1
        assert await rig.sent(request("b")) == Cancelled(0)
        now += look_ahead._LASTS_S - 0.1
        assert isinstance(await rig.sent(request("d")), Accepted)
        assert admitted_ids(rig.limiter) == ["a", "d"], "one that was found counts as one that was met"
        now += look_ahead._LASTS_S
        assert await rig.sent(request("c")) == Cancelled(0)

        assert admitted_ids(rig.limiter) == ["a", "d", "c"]


async def test_who_cannot_be_looked_for_waits_as_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_ahead, "monotonic", lambda: 1000.0)
    async with running(Rig(rate=10)) as rig:
        cancel(rig, "a", "b")
        await rig.sent(request("a"))
        rig.limiter.forgetful = True

        assert await rig.sent(request("b")) == Cancelled(0)
        assert admitted_ids(rig.limiter) == ["a", "b"]


async def test_where_slots_do_not_age_nobody_is_looked_for() -> None:
    async with running(Rig(rate=0)) as rig:
        cancel(rig, "a", "b")
        await rig.sent(request("a"))
        await rig.sent(request("b"))

        assert admitted_ids(rig.limiter) == ["a", "b"]


@pytest.mark.parametrize(
    "known", [Busy(5_000_000), Doubtful(1, 0, "local.caller_lost"), Sent(Acceptance(Accepted("1", "R", 1), 1, None), 0)]
)
async def test_a_run_of_those_whose_call_was_made_needs_one_slot(known: Known) -> None:
    async with running(Rig(rate=10)) as rig:
        rig.limiter.known |= dict.fromkeys(["a", "b", "c"], known)
        outcomes = [await rig.sent(request(name)) for name in ("a", "b", "c", "d")]

        assert outcomes[0] == outcomes[1] == outcomes[2]
        assert isinstance(outcomes[3], Accepted)
        assert admitted_ids(rig.limiter) == ["a", "d"]
