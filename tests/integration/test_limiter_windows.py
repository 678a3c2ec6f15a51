"""Windows and caps in a real Redis, against an oracle that remembers every message."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from tests.limiters import VirtualTime, admit, started
from tests.makers import make_request
from worker.core.limits.calendar import SINGAPORE, period_end, period_start
from worker.core.limits.ledger import Token
from worker.core.limits.quota import Admitted, Cap, Window
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Closed, Period
from worker.limiter.keys import Keys

EVERYBODY = frozenset(Lane)
ALL_DAY = Window(20, Period.DAY, EVERYBODY)
SECOND = timedelta(seconds=1)
#: Marks are as fine as this.
TICK = timedelta(microseconds=15_625)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


async def counted(client: Redis, namespace: str) -> str:
    """What the account's daily cap counts."""
    stored = await client.hget(Keys(namespace).caps, "day:")
    assert isinstance(stored, bytes)
    return stored.decode().split()[1]


class Oracle:
    """Counts by looking at every message ever admitted."""

    def __init__(self, windows: list[Window], caps: list[Cap]) -> None:
        self.windows, self.caps = windows, caps
        self.sent: list[tuple[str, Lane, datetime]] = []

    def reopens(self, number: str, lane: Lane, now: datetime) -> datetime | None:
        """When one more fits, rolling windows rounded up to the tick; None: now."""
        closed = []
        for window in self.windows:
            if lane in window.lanes:
                times = [t for to, of, t in self.sent if to == number and of in window.lanes]
                closed.append(self._window(window.limit, window.period, times, now))
        for cap in self.caps:
            if number.startswith(cap.prefix):
                times = [t for to, _, t in self.sent if to.startswith(cap.prefix)]
                closed.append(self._window(cap.limit, cap.period, times, now))
        return max((instant for instant in closed if instant), default=None)

    @staticmethod
    def _window(limit: int, period: timedelta | Period, times: list[datetime], now: datetime) -> datetime | None:
        if isinstance(period, Period):
            start = period_start(now, period)
            return period_end(now, period) if sum(t >= start for t in times) >= limit else None
        ends = [t - (t - EPOCH) % TICK + TICK + period for t in times]
        inside = sorted(end for end in ends if end > now)
        return inside[-limit] if len(inside) >= limit else None


@pytest.mark.parametrize("seed", range(6))
async def test_the_scripts_agree_with_an_oracle_that_remembers_everything(
    redis_url: str, namespace: str, clock: VirtualTime, seed: int
) -> None:
    dice = random.Random(seed)
    windows = [
        Window(1, timedelta(seconds=30), frozenset({Lane.OTP})),
        Window(dice.randint(2, 6), timedelta(hours=1), frozenset({Lane.OTP, Lane.NOTIFY})),
        Window(dice.randint(5, 12), Period.DAY, EVERYBODY),
        Window(dice.randint(10, 40), Period.MONTH, frozenset({Lane.MARKETING})),
    ]
    caps = [Cap(dice.randint(20, 60), Period.DAY), Cap(dice.randint(30, 90), Period.MONTH, "852")]
    oracle, numbers = Oracle(windows, caps), ["85251234567", "85251234568", "447700900123"]
    now = datetime(2027, dice.randint(1, 12), 26, 12, 0, tzinfo=UTC)
    refundable: list[tuple[Admitted, tuple[str, Lane, datetime]]] = []
    refusals = 0
    clock.set(now - timedelta(days=1))
    async with started(redis_url, namespace, clock, rate=0, windows=windows, caps=caps) as limiter:
        for _ in range(400):
            now += timedelta(microseconds=int(dice.expovariate(1) * dice.choice([1e5, 1e7, 1e9, 2e10])))
            clock.set(now)
            number, lane = dice.choice(numbers), dice.choice(list(Lane))
            expected = oracle.reopens(number, lane, now)
            answer = await admit(limiter, make_request(lane, to=number))
            if isinstance(answer, Closed):
                refusals += 1
                assert expected is not None
                assert answer.after == expected - now
            else:
                assert isinstance(answer, Admitted)
                assert expected is None
                oracle.sent.append((number, lane, now))
                refundable.append((answer, oracle.sent[-1]))
            if refundable and dice.random() < 0.1:
                admitted, sent = refundable.pop()
                if sent[2].date() == now.date() and period_start(sent[2], Period.DAY) == period_start(now, Period.DAY):
                    await limiter.record(admitted, None)
                    oracle.sent.remove(sent)

    assert refusals > 20
    assert len(oracle.sent) > 60


async def test_a_closed_window_names_itself_and_opens_when_it_says(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    windows = [Window(1, timedelta(seconds=30), frozenset({Lane.OTP})), ALL_DAY]
    async with started(redis_url, namespace, clock, windows=windows) as limiter:
        await admit(limiter, make_request())
        closed = await admit(limiter, make_request())
        assert isinstance(closed, Closed)
        reopens = clock.now + closed.after
        clock.set(reopens - SECOND)
        before = await admit(limiter, make_request())
        clock.set(reopens)
        after = await admit(limiter, make_request())

    assert closed.window == "otp 1 per 30 s"
    assert before == Closed(closed.window, SECOND)
    assert isinstance(after, Admitted)


async def test_nothing_is_counted_when_one_of_the_limits_is_closed(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    caps = [Cap(1, Period.DAY, "852"), Cap(100, Period.DAY)]
    async with started(redis_url, namespace, clock, windows=[ALL_DAY], caps=caps) as limiter:
        await admit(limiter, make_request())
        counted = await client.hgetall(Keys(namespace).caps)
        closed = await admit(limiter, make_request(to="85251234568"))

        assert isinstance(closed, Closed)
        assert closed.window == "country 852: 1 per day"
        assert await client.hgetall(Keys(namespace).caps) == counted
        assert await client.get(Keys(namespace).of("85251234568").marks) is None


async def test_of_several_closed_limits_the_last_to_reopen_is_named(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    windows = [Window(1, Period.DAY, EVERYBODY), Window(1, timedelta(minutes=1), EVERYBODY)]
    async with started(redis_url, namespace, clock, windows=windows, caps=[Cap(1, Period.MONTH)]) as limiter:
        await admit(limiter, make_request())
        closed = await admit(limiter, make_request())

    assert closed == Closed("account: 1 per month", datetime(2026, 12, 1, tzinfo=SINGAPORE) - clock.now)


@pytest.mark.parametrize(
    ("period", "last_moment"),
    [
        (Period.DAY, datetime(2026, 11, 23, 15, 59, 59, 900_000, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 12, 31, 15, 59, 59, 900_000, tzinfo=UTC)),
        (Period.MONTH, datetime(2028, 2, 29, 15, 59, 59, 900_000, tzinfo=UTC)),
    ],
)
async def test_calendar_limits_reopen_at_midnight_in_singapore(
    redis_url: str, namespace: str, clock: VirtualTime, period: Period, last_moment: datetime
) -> None:
    async with started(
        redis_url, namespace, clock, windows=[Window(1, period, EVERYBODY)], caps=[Cap(1, period)]
    ) as limiter:
        clock.set(last_moment)
        await admit(limiter, make_request())
        closed = await admit(limiter, make_request())
        clock.advance(timedelta(milliseconds=100))
        reopened = await admit(limiter, make_request())

    assert isinstance(closed, Closed)
    assert closed.after == timedelta(milliseconds=100)
    assert isinstance(reopened, Admitted)


async def test_a_refund_takes_out_its_own_message_once(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    """Two messages of one moment look alike in Redis: a repeated refund must not take the other one out."""
    keys = Keys(namespace)
    async with started(redis_url, namespace, clock, windows=[ALL_DAY], caps=[Cap(9, Period.DAY)]) as limiter:
        first, second = await admit(limiter, make_request()), await admit(limiter, make_request())
        assert isinstance(first, Admitted)
        assert isinstance(second, Admitted)
        await limiter.record(first, None)
        await limiter.record(first, None)

        assert await client.strlen(keys.of("85251234567").marks) == 4
        assert await counted(client, namespace) == "1"

        await limiter.record(second, None)
        assert await client.exists(keys.of("85251234567").marks) == 0
        assert await counted(client, namespace) == "0"


async def test_a_refund_of_a_message_that_redis_forgot_changes_nothing(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    async with started(redis_url, namespace, clock, windows=[ALL_DAY], caps=[Cap(9, Period.DAY)]) as limiter:
        admitted = await limiter.admit(make_request(), Token("t-1"))
        assert isinstance(admitted, Admitted)
        await client.delete(Keys(namespace).entry("r-1"))
        await limiter.record(admitted, None)

        assert await counted(client, namespace) == "1"
        assert await client.strlen(Keys(namespace).of("85251234567").marks) == 4


async def test_a_refund_after_the_period_leaves_the_next_period_alone(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    async with started(redis_url, namespace, clock, rate=0, caps=[Cap(2, Period.DAY)]) as limiter:
        yesterday = await admit(limiter, make_request())
        assert isinstance(yesterday, Admitted)
        clock.advance(timedelta(days=1))
        await admit(limiter, make_request())
        await limiter.record(yesterday, None)
        await admit(limiter, make_request())

        assert isinstance(await admit(limiter, make_request()), Closed)


async def test_a_lane_without_limits_is_counted_nowhere(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    windows = [Window(1, Period.DAY, frozenset({Lane.OTP}))]
    async with started(redis_url, namespace, clock, windows=windows) as limiter:
        admitted = await admit(limiter, make_request(Lane.MARKETING))
        assert isinstance(admitted, Admitted)

        assert await client.exists(Keys(namespace).of("85251234567").marks) == 0


async def test_no_key_holds_a_number_and_every_key_of_a_recipient_expires(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    async with started(redis_url, namespace, clock, windows=[ALL_DAY], caps=[Cap(9, Period.DAY)]) as limiter:
        await admit(limiter, make_request())
        keys = [key async for key in client.scan_iter(match=f"{{{namespace}}}:*")]

        assert len(keys) >= 4
        assert all(key.startswith(f"{{{namespace}}}:1:".encode()) and b"51234567" not in key for key in keys)
        assert 4 * 3600 - 10 <= await client.ttl(Keys(namespace).of("85251234567").marks) <= 4 * 3600, "Singapore's day"


async def test_a_window_opens_when_its_length_is_over_and_not_a_second_later(
    redis_url: str, namespace: str, clock: VirtualTime
) -> None:
    clock.set(datetime(2026, 11, 23, 12, 0, 0, 900_000, tzinfo=UTC))
    async with started(redis_url, namespace, clock, windows=[Window(1, timedelta(seconds=30), EVERYBODY)]) as limiter:
        began = clock.now
        await admit(limiter, make_request())
        closed = await admit(limiter, make_request())
        assert isinstance(closed, Closed)
        assert timedelta(seconds=30) <= closed.after <= timedelta(seconds=30) + TICK
        clock.set(began + timedelta(seconds=30) - timedelta(microseconds=1))
        assert isinstance(await admit(limiter, make_request()), Closed)
        clock.set(began + closed.after)
        assert isinstance(await admit(limiter, make_request()), Admitted)


async def test_a_mark_is_kept_for_its_own_windows_only_and_never_more_than_they_can_count(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    """The worst case: a long window of one lane, and a short one of another that is used to the full for hours."""
    otp, notify = frozenset({Lane.OTP}), frozenset({Lane.NOTIFY})
    windows = [Window(15, Period.MONTH, otp), Window(10, timedelta(minutes=1), notify), Window(12, Period.DAY, otp)]
    key = Keys(namespace).of("85251234567").marks
    clock.set(datetime(2026, 12, 1, 12, 0, tzinfo=UTC))
    async with started(redis_url, namespace, clock, rate=0, windows=windows) as limiter:
        for _ in range(10):
            await admit(limiter, make_request(Lane.OTP))
        for step in range(1500):
            clock.advance(timedelta(seconds=6.1))
            assert isinstance(await admit(limiter, make_request(Lane.NOTIFY)), Admitted), step
            if step % 100 == 0:
                assert await client.strlen(key) <= 4 * (15 + 10 + 12)
        assert await client.strlen(key) <= 4 * (15 + 10)
        # The month's window of the other lane has forgotten nothing meanwhile.
        clock.advance(timedelta(days=1))
        for _ in range(5):
            assert isinstance(await admit(limiter, make_request(Lane.OTP)), Admitted)
        full = await admit(limiter, make_request(Lane.OTP))
        assert isinstance(full, Closed)
        assert full.window == "otp 15 per month"


async def test_what_an_older_version_counted_still_counts(
    redis_url: str, namespace: str, clock: VirtualTime, client: Redis
) -> None:
    """It wrote whole seconds since 2020-09-13, under another key."""
    windows = [Window(3, timedelta(hours=1), EVERYBODY)]
    async with started(redis_url, namespace, clock, windows=windows) as limiter:
        second = int((clock.now - EPOCH).total_seconds())
        marks = [(second - ago - 1_600_000_000) * 4 + Lane.NOTIFY.rank for ago in (4000, 3000, 2000)]
        before = Keys(namespace).of("85251234567").before
        await client.set(before, b"".join(mark.to_bytes(4, "big") for mark in marks), ex=3600)

        assert isinstance(await admit(limiter, make_request()), Admitted)
        closed = await admit(limiter, make_request())
        assert isinstance(closed, Closed)
        assert timedelta(seconds=599) <= closed.after <= timedelta(seconds=602)
