"""The limits shared by all workers, kept in Redis: this file asks the scripts and reads their replies."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from math import ceil
from time import monotonic
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection

from worker.core.limits.bucket import SECOND_US, announced_us
from worker.core.limits.country import calling_code
from worker.core.limits.holds import ACCOUNT, names_of, on_hold
from worker.core.limits.ledger import NOBODY, Known, Token
from worker.core.limits.quota import Admission, Admitted, Cap, Grant, Held, Operation, Quota, Soon, Window
from worker.core.limits.remote_clock import RemoteClock, seen
from worker.core.message.decode import Request
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Acceptance
from worker.errors import LimiterUnavailable
from worker.limiter import scripts
from worker.limiter.batcher import Batcher
from worker.limiter.border import translated, understood
from worker.limiter.call_size import RedisCallSize
from worker.limiter.connection import connect, disconnect, opener
from worker.limiter.debts import Debts
from worker.limiter.followed import FollowedOverrides
from worker.limiter.in_force import InForce
from worker.limiter.keys import Keys
from worker.limiter.learned_rates import LearnedRates
from worker.limiter.ledger import Claim, Ledger, read
from worker.limiter.limits import Limits
from worker.limiter.redis_holds import Prober, RedisHolds, read_hold
from worker.limiter.replies import VERDICTS, epoch_event, granted
from worker.limiter.resp import Argument
from worker.limiter.server import write_sign_of_life
from worker.limiter.standings import Standings
from worker.ports import Events
from worker.settings.sections import HoldSettings, RedisSettings

_MICROSECOND: Final = timedelta(microseconds=1)
#: The limits of a request that nobody wants to call for: no class, no windows.
_NO_LIMITS: Final = (0, b"")


def redis_time() -> int:
    """Tell the scripts to take Redis' own clock."""
    return 0


class RedisLimiter:
    """Implements `ports.Limiter`.

    Several limiters, in as many processes as there are, share the limits of one namespace; they need not agree about
    the time, for only Redis' clock counts.
    """

    def __init__(
        self,
        redis: RedisSettings,
        *,
        quotas: Mapping[Operation, Quota],
        windows: Sequence[Window],
        caps: Sequence[Cap],
        hold: HoldSettings,
        memory: timedelta,
        lease: timedelta,
        events: Events,
        most_call_bytes: int = 0,
        now_us: Callable[[], int] = redis_time,
        in_force: InForce | None = None,
    ) -> None:
        """Do not connect yet.

        Args:
            redis: Where, and how patiently.
            quotas: Operations that may be asked for.
            windows: Limits per recipient.
            caps: Limits per country and account.
            hold: When a scope is held, how often it is probed, how sending begins again.
            memory: How long the ledger remembers a request id.
            lease: Longer than a call can last: a caller, or prober, that has told nothing by then is dead.
            events: Is told when the limits start anew.
            most_call_bytes: That the members of a batch call may have.
            now_us: What the scripts take for Redis' clock; tests bring their own.
            in_force: Hears of the overrides in Redis; without it there are none.
        """
        self._keys = Keys(redis.namespace)
        self.limits: Final = Limits(quotas, windows, caps)
        self._ledger = Ledger(self._keys, memory, lease)
        self._debts = Debts(self._record)
        #: Redis' clock, from this process.
        self._clock: RemoteClock | None = None
        self._patience_s = redis.timeout.total_seconds()
        self._events = events
        #: Whether this limiter has seen what Redis knows: only then can it tell that it was forgotten.
        self._is_known = False
        self._now_us = now_us
        self._client = connect(redis, self._greet)
        self._batcher = Batcher(opener(self._client), self._patience_s)
        prober = Prober(secrets.token_hex(8), lease // timedelta(microseconds=1))
        self.learned: Final = LearnedRates(self._batcher, self._keys, self.limits, now_us)
        self.holds: Final = RedisHolds(self._batcher, self._keys, hold, prober, now_us)
        self.call_size: Final = RedisCallSize(self._batcher, self._keys, most_call_bytes, now_us)
        self.standings: Final = Standings(self._batcher, self._keys, prober.name, now_us)
        self.overrides: Final = FollowedOverrides(self._batcher, self._keys, now_us, in_force)

    @property
    def available(self) -> bool:
        """Whether Redis answered the last time that it was asked."""
        return self._batcher.available

    async def start(self) -> None:
        """Connect, and make sure that Redis remembers the limits or that they start conservatively.

        Raises:
            LimiterUnavailable: Redis cannot be reached or refuses; may be tried again.
        """
        await self._begin_epoch()

    async def aclose(self) -> None:
        """Wait for the answers that are under way and disconnect."""
        await self._batcher.aclose()
        await disconnect(self._client)

    # -- quota --------------------------------------------------------------------------------------------------

    async def grant(self, operation: Operation, lane: Lane, want: int) -> Grant:
        """Book up to *want* slots; see `ports.Limiter`."""
        asked = monotonic()
        reply = await self._ask(operation, lane, want)
        if reply in ([b"COLD"], [b"CLOCK"]):
            await self._begin_epoch()
            asked = monotonic()
            reply = await self._ask(operation, lane, want)
        answered = monotonic()
        return granted(reply, lambda now_us: self._when(asked, answered, now_us))

    def _when(self, asked: float, answered: float, now_us: int) -> tuple[float | None, float]:
        """When on our clock Redis' was *now_us*, and how far that may be too late."""
        if self._now_us():  # the scripts' clock is not Redis' own
            return None, 0.0
        clock = self._clock = seen(self._clock, asked, answered, now_us / SECOND_US)
        return clock.ours(now_us / SECOND_US), clock.doubt

    def _ask(self, operation: Operation, lane: Lane, want: int) -> Awaitable[Any]:
        share, keys = self.limits.shares[operation, lane], self._keys
        return self._batcher.run(
            scripts.GRANT,
            (keys.rate(operation), keys.ring(operation), keys.hold(ACCOUNT)),
            (
                self._now_us(),
                share.rate,
                share.window_us,
                lane.value,
                share.reach_gaps,
                share.reach_us,
                share.furthest_us,
                share.floor_us,
                max(want, 1),
                self.holds.prober.name,
                self.holds.prober.lease_us,
                self.holds.ramp_us,
            ),
        )

    async def throttled(self, operation: Operation, retry_after_s: float | None) -> None:
        """Learn from it, and pause; see `ports.Limiter`."""
        await self.learned.throttled(operation, retry_after_s)

    # -- ledger, windows and caps -------------------------------------------------------------------------------

    async def admit(
        self, request: Request, token: Token, *, left: timedelta = timedelta(0), probe: bool = False
    ) -> Admission:
        """Claim *request* and count it everywhere, or nowhere; see `ports.Limiter`."""
        claim = self._ledger.claim(request, token)
        limits = self.limits.counters.ask(request.sms.number, request.lane)
        country, sender = calling_code(request.sms.number), request.sms.sender or ""
        left_us = max(left // _MICROSECOND, 0)
        args = (*limits.windows_args, self.holds.prober.name, int(probe), country, sender, left_us, *limits.caps_args)
        answer = await self._admit(claim, args, to_call=True)
        if answer == [b"ADMITTED"]:
            return Admitted(claim)
        with understood:
            names = names_of(request.sms)
            match answer:
                case [b"ADMITTED", *noted]:
                    self.overrides.noted(*limits.shadows(noted))
                    return Admitted(claim, frozenset(names[which - 1] for which in noted if which > 0))
                case [b"HELD", which, fields]:
                    hold = read_hold(names[which - 1], fields)
                    return Held(hold.probe_in_s or 0.0, hold.code) if hold.name == ACCOUNT else on_hold(hold)
                case [b"CLOSED", which, after]:
                    return limits.read(which, after)
                case [b"SOON", after]:
                    return Soon(after / SECOND_US)
                case reply:
                    return read(reply)

    async def recall(self, request: Request) -> Known | None:
        """Ask what the ledger knows of *request*; see `ports.Limiter`."""
        reply = await self._admit(self._ledger.claim(request, NOBODY), _NO_LIMITS, to_call=False)
        return None if reply == [b"ADMITTED"] else read(reply)

    def _admit(self, claim: Claim, limits: Sequence[Argument], *, to_call: bool) -> Awaitable[Any]:
        keys, of = self._keys, claim.number
        touched = (claim.entry, of.marks, keys.caps, of.closed, keys.holds, of.before, of.places, *claim.tombstones)
        asked = self._ledger.asked(claim, self._not_after_us() if to_call else 0, to_call=to_call)
        return self._batcher.run(scripts.ADMIT, touched, (self._now_us(), *asked, *limits))

    def _not_after_us(self) -> int:
        """When a claim asked for now is of use to nobody any more: one that comes so late would stay.

        Each claim follows a grant, which has just told Redis' clock; a mere look may not, and leaves nothing behind.
        """
        if self._clock is None:
            return 0
        return ceil((self._clock.theirs(monotonic()) + self._patience_s) * SECOND_US)

    async def record(self, admitted: Admitted, news: Acceptance | str | None) -> int:
        """Write what became of the call; see `ports.Limiter`. What Redis does not take now is told it later."""
        claim = admitted.claim
        if not isinstance(claim, Claim):
            raise TypeError("this was not admitted here")
        try:
            return await self._record(claim, news)
        except LimiterUnavailable:
            self._debts.owe(claim, news)
            raise

    async def _record(self, claim: Claim, news: Acceptance | str | None) -> int:
        told = (self._now_us(), *self._ledger.told(claim, news))
        keys = (claim.entry, claim.number.marks, self._keys.caps, claim.number.places)
        unknowns = await self._batcher.run(scripts.RECORD, keys, told)
        with understood:
            return int(unknowns)

    async def close(self, number: str, code: str, length: timedelta) -> None:
        """Take no more for *number* for *length*; see `ports.Limiter`."""
        seconds = max(1, ceil(length.total_seconds()))
        await self._batcher.run(scripts.CLOSE, (self._keys.of(number).closed,), (self._now_us(), seconds, code))

    async def check_writable(self) -> None:
        """Make sure that Redis takes writes, and write what it did not take before.

        One that is full, or a replica, still answers questions.

        Raises:
            LimiterUnavailable: it cannot be reached or refuses.
        """
        await write_sign_of_life(self._client, self._keys)
        await self._debts.pay()

    @property
    def owed(self) -> int:
        """Calls of which the ledger does not know yet what became: their ids could be sent again."""
        return len(self._debts)

    # -- epoch --------------------------------------------------------------------------------------------------

    def _epoch_call(self) -> tuple[list[bytes], list[int]]:
        keys = [self._keys.epoch, self._keys.holds]
        for operation in self.limits.silences:
            keys += [self._keys.rate(operation), self._keys.ring(operation)]
        return keys, [self._now_us(), *self.limits.silences.values()]

    async def _begin_epoch(self) -> None:
        self._tell(await self._batcher.run(scripts.EPOCH, *self._epoch_call()))

    async def _greet(self, connection: AbstractConnection) -> None:
        """Before a new connection may grant anything: is this the server that knows what was granted?"""
        keys, args = self._epoch_call()
        with translated(scripts.EPOCH):
            await connection.send_command("EVAL", scripts.EPOCH.text, len(keys), *keys, *args, check_health=False)
            verdict = await connection.read_response()
        self._tell(verdict)
        await self.overrides.greet(connection)

    def _tell(self, verdict: Any) -> None:
        if verdict not in VERDICTS:
            raise LimiterUnavailable("Redis answered what this version does not know")
        name = epoch_event(verdict, known=self._is_known)
        self._is_known = True
        if name is not None:
            self._events.emit(name, pause_s=announced_us(self.limits.silences) / SECOND_US)
