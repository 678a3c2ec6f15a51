"""Holds of senders and countries in a real Redis: equal to their model, met by requests, listed, ended."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha1
from importlib.resources import files
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.limiters import LEASE, VirtualTime, started
from tests.makers import make_request
from tests.models import hold_state
from tests.models.hold_state import Held, Pace, State, Suspect
from worker.core.decision.feedback import Refused
from worker.core.limits.holds import ACCOUNT, Hold, HoldName, names_of
from worker.core.message.request import SmsRequest
from worker.core.outcome.outcome import Scope
from worker.limiter.keys import Keys
from worker.limiter.limiter import RedisLimiter
from worker.limiter.scripts import Script

SENDER = HoldName(Scope.SENDER, "ACME")
COUNTRY = HoldName(Scope.COUNTRY, "852")
LEASE_US = LEASE // timedelta(microseconds=1)
#: A sender is probed at the slowest pace from the beginning.
SLOWEST = timedelta(seconds=15)
PACE = Pace(needed=3, first=15_000_000, slowest=15_000_000)


def sms_from(sender: str) -> SmsRequest:
    fields: dict[str, Any] = {"from": sender}
    return make_request(**fields).sms


ACME = sms_from("ACME")
#: What admit.lua does about holds, and nothing else.
_RUNNER = """
local now, names = clock(ARGV[1]), {unpack(ARGV, 5)}
local refused, due = meet_holds(KEYS[1], names, now, ARGV[2], ARGV[4] == '1')
if refused then return refused end
take_probes(KEYS[1], names, due, now, tonumber(ARGV[3]), ARGV[2])
return {'ADMITTED', unpack(due)}
"""
_PARTS = [files("worker.limiter").joinpath("lua", f"{name}.lua").read_text("utf-8") for name in ("hold_state", "meet")]
_TEXT = "".join([*_PARTS, _RUNNER])
MEET = Script("meet", _TEXT, sha1(_TEXT.encode(), usedforsecurity=False).hexdigest())


@dataclass
class Worker:
    """A limiter, and what it would ask for a request from ACME to 852."""

    limiter: RedisLimiter
    keys: Keys
    clock: VirtualTime

    @property
    def name(self) -> str:
        return self.limiter.holds.prober.name

    async def meet(self, sms: SmsRequest = ACME, *, probe: bool = False) -> Any:
        names = [name.key for name in names_of(sms)]
        args: list[bytes | str | int] = [self.clock.us, self.name, LEASE_US, int(probe), *names]
        return await self.limiter._batcher.run(MEET, [self.keys.holds], args)


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
async def workers(redis_url: str, namespace: str, clock: VirtualTime) -> AsyncIterator[list[Worker]]:
    async with AsyncExitStack() as stack:
        limiters = [await stack.enter_async_context(started(redis_url, namespace, clock)) for _ in range(2)]
        yield [Worker(limiter, Keys(namespace), clock) for limiter in limiters]


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


def refused(name: HoldName = SENDER, *, probed: bool = False, lasts: timedelta | None = None) -> Refused:
    return Refused(name, "INVALID_SENDERID", "Correct it.", probed, lasts)


def seen(name: HoldName, state: State, now: int) -> Hold | None:
    """What an observer should see of *state*."""
    state = hold_state.current(state, now)
    if not isinstance(state, Held):
        return None
    return Hold(
        name,
        state.code,
        (now - state.since) / 1e6,
        None if state.opens is None else max(0, state.opens - now) / 1e6,
        state.probes,
        None if state.until is None else (state.until - now) / 1e6,
        state.by,
        state.reason,
    )


async def step(dice: random.Random, worker: Worker, state: State) -> State:
    """Do something to the hold of the sender, and to the model of it."""
    kind = dice.choice(["refused", "probe refused", "undecided", "call", "probe", "meet", "unprobed", "operator"])
    now = worker.clock.us
    if kind == "operator":
        return await operate(dice, worker, state) if dice.random() < 0.5 else state
    if kind == "meet":
        state, passes = hold_state.met(state, now, worker.name, LEASE_US)
        reply = await worker.meet()
        assert reply[0] == (b"ADMITTED" if passes else b"HELD")
        assert reply[1:] == ([3] if isinstance(state, Held) else []) or not passes
        return state
    if kind == "unprobed":
        await worker.limiter.holds.unprobed(SENDER)
        return hold_state.unprobed(state, worker.name)
    if kind in {"call", "probe"}:
        worker.limiter.holds._suspects.add(SENDER)  # its note of refusals may be old
        await worker.limiter.holds.works(SENDER, probed=kind == "probe")
        return hold_state.accepted(state, now, probed=kind == "probe")
    return await refuse(dice, worker, state, kind)


async def refuse(dice: random.Random, worker: Worker, state: State, kind: str) -> State:
    prober = "" if kind == "refused" else worker.name
    lasts = dice.choice([0, 0, 60_000_000]) if kind != "undecided" else 0
    if kind == "undecided":
        await worker.limiter.holds.undecided(SENDER)
    else:
        length = timedelta(microseconds=lasts) if lasts else None
        await worker.limiter.holds.refused(refused(probed=bool(prober), lasts=length))
    code = "" if kind == "undecided" else "INVALID_SENDERID"
    return hold_state.refused(state, worker.clock.us, code, prober, PACE, lasts)


async def operate(dice: random.Random, worker: Worker, state: State) -> State:
    before = seen(SENDER, state, worker.clock.us)
    if dice.random() < 0.5:
        assert await worker.limiter.holds.release(SENDER) == before
        return None
    lasts = dice.choice([0, 60_000_000])
    length = timedelta(microseconds=lasts) if lasts else None
    assert await worker.limiter.holds.stop(SENDER, "a test", length) == before
    return hold_state.stopped(worker.clock.us, "a test", lasts)


@pytest.mark.parametrize("seed", range(20))
async def test_the_scripts_and_their_model_do_alike(
    workers: list[Worker], client: Redis, clock: VirtualTime, seed: int
) -> None:
    dice = random.Random(seed)
    state: State = None
    for _ in range(120):
        clock.us += int(dice.expovariate(1) * dice.choice([0, 1_000_000, 10_000_000]))
        state = await step(dice, dice.choice(workers), state)

        holds = await workers[0].limiter.holds.list()
        failures = await client.hget(workers[0].keys.hold(SENDER), "failures")
        current = hold_state.current(state, clock.us)
        assert list(holds) == [hold for hold in [seen(SENDER, state, clock.us)] if hold]
        assert int(failures or 0) == (current.failures if isinstance(current, Suspect) else 0)
        assert await client.exists(workers[0].keys.holds) == (current is not None)


async def test_a_sender_is_held_when_it_is_refused_three_times_in_a_row(workers: list[Worker]) -> None:
    one, other = (worker.limiter.holds for worker in workers)
    first = [(await holds.refused(refused())).hold for holds in (one, other)]
    third = await one.refused(refused())

    assert first == [None, None]
    assert third.began
    assert third.hold == Hold(SENDER, "INVALID_SENDERID", 0.0, SLOWEST.total_seconds())
    assert not (await other.refused(refused())).began


async def test_an_acceptance_of_any_worker_forgets_the_refusals(workers: list[Worker]) -> None:
    one, other = (worker.limiter.holds for worker in workers)
    for _ in range(2):
        await one.refused(refused())
    await other.list()
    await other.works(SENDER, probed=False)

    assert [(await one.refused(refused())).hold for _ in range(2)] == [None, None]


async def test_of_all_requests_that_meet_a_held_sender_one_is_the_probe(
    workers: list[Worker], clock: VirtualTime
) -> None:
    one, other = workers
    for _ in range(3):
        await one.limiter.holds.refused(refused())
    early = await one.meet()
    clock.advance(SLOWEST)
    due = [(await worker.meet())[:2] for worker in (one, other, one)]
    others = await one.meet(sms_from("OTHER")), await one.meet(make_request().sms)

    assert early == [b"HELD", 3, [b"INVALID_SENDERID", b"provider", 0, 15_000_000, 0, -1, b""]]
    assert due == [[b"ADMITTED", 3], [b"HELD", 3], [b"HELD", 3]]
    assert others == ([b"ADMITTED"], [b"ADMITTED"])


async def test_a_country_is_refused_until_its_period_ends_and_never_probed(
    workers: list[Worker], clock: VirtualTime
) -> None:
    one, other = workers
    await one.limiter.holds.refused(refused(COUNTRY, lasts=timedelta(hours=4)))
    clock.advance(timedelta(hours=1))
    await other.limiter.holds.refused(refused(COUNTRY, lasts=timedelta(hours=3)))  # under way when it began
    met = await other.meet()
    elsewhere = await other.meet(make_request(to="+6591234567").sms)
    clock.advance(timedelta(hours=3))

    assert met[:2] == [b"HELD", 2]
    assert met[2][3:6] == [-1, 0, 3 * 3600 * 1_000_000]
    assert elsewhere == [b"ADMITTED"]
    assert await other.meet() == [b"ADMITTED"]
    assert await one.limiter.holds.list() == []


async def test_while_the_account_is_held_only_the_one_whose_slot_is_the_probe_is_admitted(
    workers: list[Worker], clock: VirtualTime
) -> None:
    one, other = workers
    await one.limiter.holds.refused(refused(ACCOUNT))
    clock.advance(SLOWEST)
    before = await one.meet(probe=True)
    await one.limiter.grant(next(iter(one.limiter.limits.silences)), make_request().lane, 1)

    assert before[:2] == [b"HELD", 1]
    assert (await other.meet(probe=True))[:2] == [b"HELD", 1]
    assert (await one.meet())[:2] == [b"HELD", 1], "a slot from before the hold"
    assert await one.meet(probe=True) == [b"ADMITTED"]


async def test_the_worker_itself_refuses_what_it_knows_to_be_held(workers: list[Worker], clock: VirtualTime) -> None:
    one, other = (worker.limiter.holds for worker in workers)
    for _ in range(3):
        await one.refused(refused())
    unaware = other.on_hold(ACME)
    await other.list()
    aware = other.on_hold(ACME)
    clock.advance(SLOWEST)
    await other.list()

    assert unaware is None
    assert aware is not None
    assert (aware.name, aware.code, aware.after) == ("sender ACME", "INVALID_SENDERID", SLOWEST)
    assert other.on_hold(ACME) is None, "its probe is due"
    assert other.on_hold(make_request().sms) is None


async def test_the_index_forgets_what_is_gone(workers: list[Worker], client: Redis) -> None:
    holds, keys = workers[0].limiter.holds, workers[0].keys
    await holds.stop(SENDER, "a test", None)
    await holds.stop(COUNTRY, "a test", None)
    await client.delete(keys.hold(SENDER))

    assert [str(hold.name) for hold in await holds.list()] == ["country 852"]
    assert await client.smembers(keys.holds) == {b"country:852"}


async def test_a_clock_that_was_set_back_leaves_no_hold_without_a_probe(
    workers: list[Worker], clock: VirtualTime
) -> None:
    one, _ = workers
    for _ in range(3):
        await one.limiter.holds.refused(refused())
    await one.limiter.grant(next(iter(one.limiter.limits.silences)), make_request().lane, 1)
    clock.advance(timedelta(days=-1))
    await one.limiter.start()

    assert await one.meet() == [b"ADMITTED", 3]
