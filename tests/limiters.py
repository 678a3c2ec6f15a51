"""What the tests of the limiter share: a clock of their own and limiters that use it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

from pydantic import SecretStr

from tests.fakes import RecordingEvents
from tests.makers import make_request
from worker.core.decision.feedback import Refused
from worker.core.limits.holds import HoldName
from worker.core.limits.ledger import Token
from worker.core.limits.overrides import Change, Override, Overrides
from worker.core.limits.quota import Admission, Admitted, Cap, Operation, Quota, Window
from worker.core.message.decode import Request
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Acceptance, Accepted, Scope
from worker.core.standing import Standing
from worker.limiter.limiter import RedisLimiter, redis_time
from worker.limiter.operators import OperatorLimiter
from worker.limiter.server import eviction_policy
from worker.settings.sections import HoldSettings, RedisSettings

GLOBE = Operation.GLOBE
LEASE = timedelta(seconds=18)
RAMP = timedelta(seconds=10)
#: Longer than any limiter stays silent after it found an empty Redis.
SILENCE = timedelta(seconds=6)


class VirtualTime:
    """What the scripts take for Redis' clock."""

    def __init__(self, now: datetime = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)) -> None:
        self.us = 0
        self.set(now)

    def __call__(self) -> int:
        return self.us

    def set(self, now: datetime) -> None:
        self.us = (now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    @property
    def now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.us)

    def advance(self, step: timedelta) -> None:
        self.us += step // timedelta(microseconds=1)


_SERIAL = count()
_SENDER = HoldName(Scope.SENDER, "ACME")


async def admit(limiter: RedisLimiter, request: Request) -> Admission:
    """Ask for *request* under an id and a token of its own: the ledger admits each but once."""
    number = next(_SERIAL)
    sms = request.sms.model_copy(update={"id": f"r-{number}"})
    return await limiter.admit(request._replace(sms=sms), Token(f"t-{number}"))


@asynccontextmanager
async def started(
    redis_url: str,
    namespace: str,
    clock: VirtualTime | None,
    *,
    rate: int = 30,
    floors: Mapping[Lane, float] | None = None,
    windows: Sequence[Window] = (),
    caps: Sequence[Cap] = (),
    events: RecordingEvents | None = None,
    patience: timedelta = timedelta(seconds=2),
    most_call_bytes: int = 0,
) -> AsyncIterator[RedisLimiter]:
    """A limiter that has started; with *clock* its silence is over as well."""
    limiter = RedisLimiter(
        RedisSettings(url=SecretStr(redis_url), namespace=namespace, timeout=patience),
        quotas={GLOBE: Quota(rate, floors=floors or {})},
        windows=windows,
        caps=caps,
        hold=HoldSettings(first_probe=timedelta(seconds=5), slowest_probe=timedelta(seconds=15), ramp=RAMP),
        memory=timedelta(hours=72),
        lease=LEASE,
        events=events or RecordingEvents(),
        most_call_bytes=most_call_bytes,
        now_us=clock or redis_time,
    )
    await limiter.start()
    if clock:
        clock.advance(SILENCE)
    try:
        yield limiter
    finally:
        await limiter.aclose()


def uses_of(limiter: RedisLimiter, redis: RedisSettings) -> list[Callable[[], Awaitable[object]]]:
    """All that a worker, and people beside it, ask of Redis."""
    serial = iter(range(1_000_000))

    async def one_request() -> None:
        request = make_request(id=f"r-{next(serial)}")
        await limiter.recall(request)
        admission = await limiter.admit(request, Token(f"t-{next(serial)}"))
        if isinstance(admission, Admitted):
            every: list[Acceptance | str | None] = [Acceptance(Accepted("1", "R", 1), 1, None), "local.timeout", None]
            await limiter.record(admission, every[next(serial) % 3])

    async def look() -> None:
        async with OperatorLimiter(redis, HoldSettings()) as onlooker:
            await onlooker.holds.list()
            await onlooker.recent_slots(GLOBE)
            await onlooker.recent_throttles(GLOBE)
            await onlooker.learned({GLOBE: 30})
            await onlooker.standings()
            await onlooker.holds.stop(_SENDER, "because", None)
            await onlooker.holds.release(_SENDER)
            seen = await onlooker.overrides.look()
            shadow = Override("limits.caps", [{"limit": 1, "period": "day", "prefix": ""}], "Ada", 1, shadow=True)
            await onlooker.overrides.change(seen, Overrides(1, (shadow,)), [Change(1, "Ada", "limits.caps", [], [])])
            await limiter.overrides.poll()
            await one_request()
            await one_request()
            await limiter.overrides.poll()
            await onlooker.overrides.change(await onlooker.overrides.look(), Overrides(), [])
            await onlooker.overrides.changes()
            await onlooker.cancels.cancel(["r-0"], timedelta(hours=1))
            await onlooker.cancels.restore(["r-0"])
            await onlooker.cancels.mark_campaign("spring", timedelta(hours=1))
            await onlooker.cancels.restore_campaign("spring")

    return [
        limiter.start,
        lambda: limiter.grant(GLOBE, Lane.OTP, 5),
        one_request,
        limiter.check_writable,
        limiter.holds.list,
        limiter.overrides.poll,
        limiter.learned.list,
        lambda: limiter.standings.tell(Standing()),
        lambda: limiter.throttled(GLOBE, 1.0),
        lambda: limiter.close("85251234567", "CODE", timedelta(seconds=1)),
        lambda: limiter.holds.refused(Refused(_SENDER, "INVALID_SENDERID", "Mend it.")),
        lambda: limiter.holds.undecided(_SENDER),
        lambda: limiter.holds.unprobed(_SENDER),
        lambda: limiter.holds.works(_SENDER, probed=True),
        lambda: limiter.call_size.refused(7_000, certainly=True),
        look,
        lambda: eviction_policy(redis),
    ]
