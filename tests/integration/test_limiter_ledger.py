"""The ledger in a real Redis: the scripts agree with the model, and requests that come twice are sent once."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from time import monotonic

import pytest
from redis.asyncio import Redis

from tests.limiters import LEASE, VirtualTime, started
from tests.makers import NOW, make_request
from tests.models import ledger
from tests.models.ledger import Claimed, LedgerEntry
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from worker.core.limits.cancels import Cancel
from worker.core.limits.ledger import CALLER_LOST, NOBODY, Busy, Doubtful, Reused, Token, fingerprint
from worker.core.limits.quota import Admitted, Cap, Operation, Slots, Turn, Window
from worker.core.limits.remote_clock import seen
from worker.core.message.decode import Request
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Acceptance, Accepted, Cancelled, Closed, Period, Sent
from worker.errors import LimiterUnavailable
from worker.limiter.keys import Keys
from worker.limiter.limiter import RedisLimiter
from worker.limiter.redis_cancels import RedisCancels

ANSWER = Acceptance(Accepted("m-1", "R-1", 2, "Hongkong, China"), 1, NOW)
MEMORY = timedelta(hours=72)
LEASE_US = LEASE // timedelta(microseconds=1)
KEYS_OF_ALL_IDS = ("a", "b", "c")


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def limiter(redis_url: str, namespace: str, clock: VirtualTime) -> AsyncIterator[RedisLimiter]:
    async with started(redis_url, namespace, clock) as limiter:
        yield limiter


def request(request_id: str = "a", unknowns: int = 0, text: str = "Hello", campaign: str = "") -> Request:
    history, metadata = History(published=NOW, unknowns=unknowns), {"campaign": campaign} if campaign else {}
    return make_request(Lane.NOTIFY, id=request_id, text=text, history=history, metadata=metadata)


async def admitted(limiter: RedisLimiter, caller: str, number: int = 1, *, unknowns: int = 0) -> Admitted:
    admission = await limiter.admit(request(unknowns=unknowns), Token(caller, number))
    assert isinstance(admission, Admitted), admission
    return admission


class Oracle:
    """The model, asked and told the same as the scripts."""

    def __init__(self) -> None:
        self.entries: dict[str, LedgerEntry | None] = dict.fromkeys(KEYS_OF_ALL_IDS)
        #: Ids and campaigns that are cancelled.
        self.cancelled: set[str] = set()

    def admit(self, asked: Request, token: Token, now: int) -> ledger.Verdict:
        sms, counted = asked.sms, asked.history.unknowns
        entry, of = self.entries[sms.id], fingerprint(sms)
        verdict: ledger.Verdict
        if self.is_cancelled(asked):
            self.entries[sms.id], verdict = ledger.refuse(entry, token, counted, now, of)
        else:
            self.entries[sms.id], verdict = ledger.claim(entry, token, counted, now, LEASE_US, of)
        return verdict

    def recall(self, asked: Request, now: int) -> ledger.Verdict | None:
        sms, counted = asked.sms, asked.history.unknowns
        if self.is_cancelled(asked):
            return self.admit(asked, NOBODY, now)
        self.entries[sms.id], verdict = ledger.recall(self.entries[sms.id], counted, now, fingerprint(sms))
        return verdict

    def is_cancelled(self, asked: Request) -> bool:
        return not self.cancelled.isdisjoint({asked.sms.id, asked.sms.campaign})

    def cancel(self, request_id: str, now: int) -> Cancel:
        told = ledger.cancel(self.entries[request_id], now)
        if told is not Cancel.SENT:
            self.cancelled.add(request_id)
        return told

    def empty(self) -> None:
        self.entries = dict.fromkeys(KEYS_OF_ALL_IDS)

    def record(self, asked: Request, token: Token, news: Acceptance | str | None, now: int) -> int:
        entry, of = self.entries[asked.sms.id], fingerprint(asked.sms)
        match news:
            case Acceptance():
                after: LedgerEntry | None = ledger.accepted(entry, news, of)
            case None:
                after = ledger.not_sent(entry, token)
            case code:
                after = ledger.unknown(entry, token, asked.history.unknowns, code, now, of)
        self.entries[asked.sms.id] = after
        return after.unknowns if after else 0


@pytest.mark.parametrize("seed", range(12))
async def test_the_scripts_agree_with_the_model(
    limiter: RedisLimiter, clock: VirtualTime, namespace: str, client: Redis, seed: int
) -> None:
    cancels = RedisCancels(limiter._batcher, Keys(namespace), clock)
    dice, oracle = random.Random(seed), Oracle()
    claims: list[tuple[Request, Token, Admitted]] = []
    verdicts: set[type] = set()
    for step in range(600):
        clock.advance(timedelta(seconds=dice.choice([0, 0.001, 1, 5, 12])))
        asked = request(
            dice.choice(KEYS_OF_ALL_IDS),
            dice.choice([0, 0, 0, 1, 2, 3]),
            dice.choice(["A", "A", "A", "B"]),
            dice.choice(["", "", "spring"]),
        )
        token = Token(dice.choice(["t1", "t2", f"t{step}"]), dice.choice([1, 2, step]))
        if dice.random() < 0.01:  # somebody empties Redis
            await client.delete(*map(Keys(namespace).entry, KEYS_OF_ALL_IDS))
            oracle.empty()
        if dice.random() < 0.2:
            await cancel_or_restore(cancels, oracle, dice, clock)
        match dice.choice(["admit", "admit", "recall", "record"]):
            case "admit":
                expected = oracle.admit(asked, token, clock.us)
                verdict = await limiter.admit(asked, token)
                verdicts.add(type(expected))
                if isinstance(verdict, Admitted):
                    assert expected == Claimed()
                    claims.append((asked, token, verdict))
                else:
                    assert verdict == expected
            case "recall":
                expected_recall = oracle.recall(asked, clock.us)
                assert await limiter.recall(asked) == expected_recall
            case _ if claims:
                known, owner, claim = claims.pop(dice.randrange(len(claims)))
                news: Acceptance | str | None = dice.choice([None, None, "local.timeout", "local.timeout", ANSWER])
                if news is ANSWER and dice.random() < 0.8:  # else everything is soon sent, for good
                    continue
                unknowns = oracle.record(known, owner, news, clock.us)
                assert await limiter.record(claim, news) == unknowns

    assert verdicts >= {Claimed, Busy, Doubtful, Reused, Cancelled}


async def cancel_or_restore(cancels: RedisCancels, oracle: Oracle, dice: random.Random, clock: VirtualTime) -> None:
    name = dice.choice([*KEYS_OF_ALL_IDS, "spring"])
    if name not in oracle.cancelled and name != "spring":
        assert await cancels.cancel([name], MEMORY) == [oracle.cancel(name, clock.us)]
    elif name not in oracle.cancelled:
        await cancels.mark_campaign(name, MEMORY)
        oracle.cancelled.add(name)
    else:
        assert await (cancels.restore_campaign(name) if name == "spring" else cancels.restore([name])) in (True, [True])
        oracle.cancelled.remove(name)


async def test_a_request_that_was_sent_is_told_the_first_answer(limiter: RedisLimiter) -> None:
    claim = await admitted(limiter, "t1")
    await limiter.record(claim, ANSWER)
    await limiter.record(claim, Acceptance(Accepted("m-2", "R-2", 1), 2, NOW))

    assert await limiter.admit(request(), Token("t2")) == Sent(ANSWER, 0)
    assert await limiter.recall(request()) == Sent(ANSWER, 0)


async def test_while_somebody_calls_nobody_else_does(limiter: RedisLimiter, clock: VirtualTime) -> None:
    await admitted(limiter, "t1")
    clock.advance(timedelta(seconds=3))

    assert await limiter.admit(request(), Token("t2")) == Busy(LEASE_US - 3_000_000)
    assert isinstance(await limiter.admit(request(), Token("t1", 2)), Admitted)
    assert await limiter.admit(request(), Token("t2")) == Busy(LEASE_US)


async def test_a_call_whose_caller_died_is_unknown_and_only_who_counts_it_calls_again(
    limiter: RedisLimiter, clock: VirtualTime
) -> None:
    began = clock.us
    await admitted(limiter, "t1")
    clock.advance(LEASE)

    assert await limiter.admit(request(), Token("t2")) == Doubtful(1, began, CALLER_LOST)
    await admitted(limiter, "t3", unknowns=1)


async def test_a_caller_that_was_taken_for_dead_still_proves_that_it_was_sent(
    limiter: RedisLimiter, clock: VirtualTime
) -> None:
    zombie = await admitted(limiter, "t1")
    clock.advance(LEASE)
    successor = await admitted(limiter, "t2", unknowns=1)
    assert await limiter.record(zombie, None) == 1, "it has nothing to say any more"
    await limiter.record(zombie, ANSWER)

    assert await limiter.record(successor, "local.timeout") == 1, "what is sent stays sent"
    assert await limiter.admit(request(), Token("t3")) == Sent(ANSWER, 1)


async def test_a_request_is_counted_once_however_often_its_caller_claims_it(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    windows = [Window(2, Period.DAY, frozenset(Lane))]
    async with started(redis_url, namespace, clock, windows=windows) as limiter:
        first = await admitted(limiter, "t1")
        second = await admitted(limiter, "t1", 2)
        assert await client.strlen(Keys(namespace).of("85251234567").marks) == 4

        await limiter.record(first, None)
        await limiter.record(second, None)
        assert await client.exists(Keys(namespace).of("85251234567").marks, Keys(namespace).entry("a")) == 0


async def test_what_redis_could_not_be_told_is_told_when_it_is_back(
    redis_url: str, namespace: str, client: Redis
) -> None:
    async with started(redis_url, namespace, None, patience=timedelta(milliseconds=200)) as limiter:
        claim = await admitted(limiter, "t1")
        await client.client_pause(500, all=True)
        with pytest.raises(Exception, match="cannot be reached"):
            await limiter.record(claim, ANSWER)
        await client.ping()
        await limiter.check_writable()

        assert await limiter.admit(request(), Token("t2")) == Sent(ANSWER, 0)


async def test_the_memory_of_a_request_ends(limiter: RedisLimiter, namespace: str, client: Redis) -> None:
    claim = await admitted(limiter, "t1")
    assert 259_190 < await client.ttl(Keys(namespace).entry("a")) <= 259_200
    await limiter.record(claim, ANSWER)

    assert 259_190 < await client.ttl(Keys(namespace).entry("a")) <= 259_200


async def test_a_recipient_that_the_provider_closed_is_refused_until_it_reopens(
    limiter: RedisLimiter, clock: VirtualTime
) -> None:
    await limiter.close("85251234567", "FREQUENCY_LIMIT_DAY", timedelta(hours=3))
    closed = await limiter.admit(request(), Token("t1", 2))

    assert isinstance(closed, Closed)
    assert closed.window == "of the provider (FREQUENCY_LIMIT_DAY)"
    clock.advance(timedelta(hours=3))
    await admitted(limiter, "t1")


async def test_what_is_told_late_of_a_claim_changes_nothing_of_the_next(limiter: RedisLimiter) -> None:
    """It may travel on an abandoned connection while the call of the next claim is in flight."""
    first = await admitted(limiter, "t1")
    second = await admitted(limiter, "t1", 2)
    await limiter.record(first, None)
    await limiter.record(first, "local.timeout")

    assert isinstance(await limiter.admit(request(), Token("t2")), Busy)
    await limiter.record(second, ANSWER)
    assert await limiter.admit(request(), Token("t2")) == Sent(ANSWER, 0)


async def test_a_claim_that_comes_after_a_later_one_of_its_caller_is_refused(
    limiter: RedisLimiter, clock: VirtualTime
) -> None:
    second = await admitted(limiter, "t1", 2)
    assert await limiter.admit(request(), Token("t1", 1)) == Busy(LEASE_US)
    clock.advance(2 * LEASE)
    assert await limiter.admit(request(), Token("t1", 1)) == Busy(0)

    assert await limiter.record(second, "local.timeout") == 1


@pytest.mark.parametrize("news", [ANSWER, "local.timeout"])
async def test_another_content_under_a_remembered_id_is_not_told_the_first_ones_answer(
    limiter: RedisLimiter, news: Acceptance | str
) -> None:
    await limiter.record(await admitted(limiter, "t1"), news)

    for unknowns in (0, 1):
        other = request(unknowns=unknowns, text="Something else")
        assert await limiter.admit(other, Token("t2")) == Reused()
        assert await limiter.recall(other) == Reused()


async def test_an_id_whose_call_was_certainly_refused_is_free_for_another_content(limiter: RedisLimiter) -> None:
    await limiter.record(await admitted(limiter, "t1"), None)

    assert isinstance(await limiter.admit(request(text="Something else"), Token("t2")), Admitted)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (["sent", 0, b'["m-1", "R-1", 2, "Hongkong, China", 1, "2026-11-23T12:00:00.000+00:00"]'], Sent(ANSWER, 0)),
        (["unknown", 1, 5, "local.timeout"], Doubtful(1, 5, "local.timeout")),
        (["calling", 0, 0, "", "t9", 10**18, 7, "", "day:", 1_790_000_000], Busy(10**18)),
        (["calling", 0, 0, "", "t9", 8, 7, "", "day:", 1_790_000_000], Doubtful(1, 7, CALLER_LOST)),
    ],
    ids=["sent", "unknown", "calling", "lost"],
)
async def test_what_an_older_version_remembers_counts_for_every_content(
    limiter: RedisLimiter, clock: VirtualTime, namespace: str, client: Redis, entry: list[object], expected: object
) -> None:
    written = "return redis.call('SET', KEYS[1], cmsgpack.pack(cjson.decode(ARGV[1])))"
    plain = [part.decode() if isinstance(part, bytes) else part for part in entry]
    key = Keys(namespace).entry("a")
    await client.execute_command("EVAL", written, 1, key, json.dumps(plain))  # type: ignore[no-untyped-call]  # bytes

    verdict = await limiter.admit(request(), Token("t1"))
    assert verdict == (Busy(10**18 - clock.us) if isinstance(expected, Busy) else expected)


async def test_an_admission_that_redis_carries_out_too_late_leaves_no_claim(
    redis_url: str, namespace: str, client: Redis
) -> None:
    """The asker has long given up: a claim of nobody's would make the next call unknown."""
    async with started(redis_url, namespace, None, patience=timedelta(milliseconds=200)) as limiter:
        await limiter.grant(Operation.GLOBE, Lane.NOTIFY, 1)  # now Redis' clock is known
        await client.client_pause(700, all=True)
        with pytest.raises(LimiterUnavailable):
            await limiter.admit(request(), Token("t1"))
        await client.ping()

        async with asyncio.timeout(10):  # the other connection's script runs before or after this one
            for number in range(2, 20):
                with suppress(LimiterUnavailable):
                    assert isinstance(await limiter.admit(request(), Token("t2", number)), Admitted)
                    break


async def test_a_redis_that_cannot_be_told_is_owed_and_told_once(redis_url: str, namespace: str, client: Redis) -> None:
    async with started(redis_url, namespace, None, patience=timedelta(milliseconds=200)) as limiter:
        sent, refused = await admitted(limiter, "t1"), await limiter.admit(request("b"), Token("t2"))
        assert isinstance(refused, Admitted)
        await client.client_pause(500, all=True)
        for claim, news in ((sent, ANSWER), (refused, None)):
            with pytest.raises(LimiterUnavailable):
                await limiter.record(claim, news)
        assert limiter.owed == 2
        await client.ping()
        await asyncio.gather(limiter.check_writable(), limiter.check_writable())

        assert limiter.owed == 0
        assert await limiter.admit(request(), Token("t3")) == Sent(ANSWER, 0)
        assert isinstance(await limiter.admit(request("b"), Token("t4")), Admitted), "nobody calls for it any more"


async def test_a_look_needs_no_clock_that_was_told_lately(redis_url: str, namespace: str) -> None:
    """Where nothing is sent no grant tells it, and it may be set meanwhile: expired requests must not wait for one."""
    async with started(redis_url, namespace, None) as limiter:
        now = monotonic()
        limiter._clock = seen(None, now, now, time.time() - 3600)  # Redis' clock was set forward by an hour since

        assert await limiter.recall(request()) is None
        with pytest.raises(LimiterUnavailable, match="too late"):
            await limiter.admit(request(), Token("t1"))
        assert isinstance(await limiter.grant(Operation.GLOBE, Lane.NOTIFY, 1), Slots | Turn)
        async with asyncio.timeout(10):
            while not isinstance(await limiter.grant(Operation.GLOBE, Lane.NOTIFY, 1), Slots):
                await asyncio.sleep(0.1)
        assert isinstance(await limiter.admit(request(), Token("t1", 2)), Admitted)


# -- cancels


@pytest.fixture
def cancels(limiter: RedisLimiter, namespace: str, clock: VirtualTime) -> RedisCancels:
    return RedisCancels(limiter._batcher, Keys(namespace), clock)


@pytest.mark.parametrize("of_campaign", [False, True], ids=["id", "campaign"])
async def test_a_caller_that_never_heard_of_its_claim_is_refused_when_it_claims_again(
    redis_url: str, namespace: str, client: Redis, of_campaign: bool
) -> None:
    """Redis carries the claim out when the caller has given up, and the cancel comes in between."""
    asked, windows = request(campaign="spring"), [Window(2, Period.DAY, frozenset(Lane))]
    caps = [Cap(9, Period.DAY)]
    async with (
        TcpProxy(redis_url) as proxy,
        started(
            proxy.url, namespace, None, windows=windows, caps=caps, patience=timedelta(milliseconds=200)
        ) as limiter,
    ):
        keys, cancels = Keys(namespace), RedisCancels(limiter._batcher, Keys(namespace), lambda: 0)
        proxy.pause()
        with pytest.raises(LimiterUnavailable):
            await limiter.admit(asked, Token("t1"))
        proxy.resume()

        async def is_claimed() -> bool:
            return bool(await client.exists(keys.entry("a")))

        await eventually(is_claimed, because="Redis got the claim")
        if of_campaign:
            await cancels.mark_campaign("spring", MEMORY)
        else:
            assert await cancels.cancel(["a"], MEMORY) == [Cancel.CALLING]

        assert await limiter.admit(asked, Token("t1", 2)) == Cancelled(0)
        assert await client.exists(keys.entry("a"), keys.of("85251234567").marks) == 0, "the claim is given back"
        (cap,) = await client.hvals(keys.caps.decode())
        assert bytes(cap).endswith(b" 0")  # type: ignore[arg-type]  # the stub knows decoded answers only
        assert await limiter.admit(asked, Token("t1", 1)) == Cancelled(0), "one that comes late leaves nothing"
        assert await client.exists(keys.entry("a")) == 0


async def test_a_claim_that_was_given_back_meets_the_cancel(limiter: RedisLimiter, cancels: RedisCancels) -> None:
    claim = await admitted(limiter, "t1")
    assert await cancels.cancel(["a"], MEMORY) == [Cancel.CALLING]
    await limiter.record(claim, None)

    assert await limiter.admit(request(), Token("t1", 2)) == Cancelled(0)
    assert await limiter.recall(request()) == Cancelled(0)


async def test_a_call_that_was_accepted_after_its_cancel_was_asked_for_is_sent(
    limiter: RedisLimiter, cancels: RedisCancels
) -> None:
    claim = await admitted(limiter, "t1")
    assert await cancels.cancel(["a"], MEMORY) == [Cancel.CALLING]
    await limiter.record(claim, ANSWER)

    assert await limiter.admit(request(), Token("t2")) == Sent(ANSWER, 0)
    assert await cancels.cancel(["a"], MEMORY) == [Cancel.SENT]


async def test_who_is_cancelled_leaves_its_place_to_those_behind(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    windows = [Window(1, timedelta(seconds=30), frozenset(Lane))]
    async with started(redis_url, namespace, clock, windows=windows) as limiter:
        await admitted(limiter, "t1")
        for request_id in ("b", "c"):
            asked = await limiter.admit(request(request_id), Token(request_id), left=timedelta(hours=1))
            assert isinstance(asked, Closed)
        places = Keys(namespace).of("85251234567").places
        assert await client.strlen(places) == 24
        await RedisCancels(limiter._batcher, Keys(namespace), clock).cancel(["b"], MEMORY)

        assert await limiter.admit(request("b"), Token("b", 2), left=timedelta(hours=1)) == Cancelled(0)
        assert await client.strlen(places) == 12


async def test_nothing_reads_like_a_name_in_the_keys_of_cancels(
    cancels: RedisCancels, namespace: str, client: Redis
) -> None:
    await cancels.cancel(["order-17"], MEMORY)
    await cancels.mark_campaign("spring", MEMORY)
    keys = [key async for key in client.scan_iter(match=f"{{{namespace}}}:1:[cg]:*")]

    assert len(keys) == 2
    assert not any(name in key for key in keys for name in (b"order", b"spring"))
