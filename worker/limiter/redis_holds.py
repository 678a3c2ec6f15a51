"""The holds in the language of their scripts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any, Final

from worker.core.decision.feedback import Refused
from worker.core.limits.bucket import SECOND_US
from worker.core.limits.holds import ACCOUNT, OPERATORS_CODE, By, Hold, HoldName, Refusal, names_of, on_hold
from worker.core.message.request import SmsRequest
from worker.core.outcome.outcome import OnHold, Scope
from worker.limiter import scripts
from worker.limiter.batcher import Batcher
from worker.limiter.border import understood
from worker.limiter.keys import Keys
from worker.settings.sections import HoldSettings

#: What this worker knows of the holds is not believed when it is older. Seconds.
_FRESH_S: Final = 3.0
#: How hold_state.lua tells an instant that there is not.
_NEVER: Final = -1


@dataclass(frozen=True, slots=True)
class Prober:
    """Who probes: a name that nobody else has, and how long a probe of its may last."""

    name: str
    lease_us: int


class RedisHolds:
    """Implements `ports.Holds`, and what the operator does."""

    def __init__(
        self, batcher: Batcher, keys: Keys, settings: HoldSettings, prober: Prober, now_us: Callable[[], int]
    ) -> None:
        self._batcher = batcher
        self._keys = keys
        self._settings = settings
        self.prober: Final = prober
        self._now_us = now_us
        self._known: dict[HoldName, Hold] = {}
        self._known_at = -_FRESH_S
        #: Senders that were refused lately: an acceptance of one is worth telling.
        self._suspects: set[HoldName] = set()

    @property
    def ramp_us(self) -> int:
        """How long the rate climbs after a hold of the account."""
        return _us(self._settings.ramp)

    async def refused(self, refused: Refused) -> Refusal:
        """Note a refusal of the provider's; see `ports.Holds`."""
        name, needed = refused.name, self._needed(refused.name)
        if needed == 0:
            return Refusal(None)
        lasts = _us(refused.lasts) if refused.lasts else 0
        refusal = await self._hold(name, refused.code, probed=refused.probed, needed=needed, lasts_us=lasts)
        if refusal.hold is None:
            self._suspects.add(name)
        return refusal

    async def undecided(self, name: HoldName) -> None:
        """The probe of *name* showed nothing; see `ports.Holds`."""
        await self._hold(name, "", probed=True, needed=1, lasts_us=0)

    async def _hold(self, name: HoldName, code: str, *, probed: bool, needed: int, lasts_us: int) -> Refusal:
        settings = self._settings
        # A sender is mended by people, not within seconds: each probe of it is one more refused request.
        first = settings.slowest_probe if name.scope is Scope.SENDER else settings.first_probe
        pace = (_us(first), _us(settings.slowest_probe), needed)
        prober = self.prober.name if probed else ""
        args = (self._now_us(), name.key, code, prober, *pace, lasts_us)
        match await self._batcher.run(scripts.HOLD, (self._keys.hold(name), self._keys.holds), args):
            case [verdict, fields]:
                return Refusal(read_hold(name, fields), began=verdict == b"SET")
        return Refusal(None)

    async def works(self, name: HoldName, *, probed: bool) -> Hold | None:
        """The provider accepted a call; see `ports.Holds`."""
        if not probed and (not self._suspects or name not in self._suspects):
            return None
        lifted = await self._lift(name, "probe" if probed else "call")
        self._suspects.discard(name)
        return lifted

    async def unprobed(self, name: HoldName) -> None:
        """The probe of *name* was not made; see `ports.Holds`."""
        await self._batcher.run(scripts.UNPROBED, (self._keys.hold(name),), (self._now_us(), self.prober.name))

    async def list(self) -> Sequence[Hold]:
        """All holds; see `ports.Holds`."""
        reply = await self._batcher.run(scripts.HELD, (self._keys.holds,), (self._now_us(),))
        with understood:
            holds, suspected = reply
            found = [read_hold(HoldName.from_key(key.decode()), fields) for key, fields in holds]
            suspects = {HoldName.from_key(key.decode()) for key in suspected}
        self._known = {hold.name: hold for hold in found}
        self._known_at = monotonic()
        self._suspects = suspects
        return sorted(found, key=lambda hold: (hold.name != ACCOUNT, str(hold.name)))

    def on_hold(self, sms: SmsRequest) -> OnHold | None:
        """What stands against *sms* as far as this worker knows; see `ports.Holds`."""
        age_s = monotonic() - self._known_at
        if not self._known or age_s > _FRESH_S:
            return None
        for name in names_of(sms):
            hold = self._known.get(name)
            if hold and name != ACCOUNT and _lasts(hold, age_s):
                return on_hold(hold)
        return None

    # -- the operator -------------------------------------------------------------------------------------------

    async def stop(self, name: HoldName, reason: str, lasts: timedelta | None) -> Hold | None:
        """Hold *name* in place of the hold that there may be, which is returned; for ever without *lasts*.

        Raises:
            LimiterUnavailable: Redis cannot be reached or refuses.
        """
        args = (self._now_us(), name.key, OPERATORS_CODE, reason, _us(lasts) if lasts else 0)
        fields = await self._batcher.run(scripts.STOP, (self._keys.hold(name), self._keys.holds), args)
        return read_hold(name, fields) if fields else None

    async def release(self, name: HoldName) -> Hold | None:
        """End the hold of *name*, whoever set it, and return what it was; None when there was none.

        Raises:
            LimiterUnavailable: Redis cannot be reached or refuses.
        """
        return await self._lift(name, "operator")

    async def _lift(self, name: HoldName, why: str) -> Hold | None:
        ramp = self.ramp_us if name == ACCOUNT else 0
        fields = await self._batcher.run(
            scripts.LIFT, (self._keys.hold(name), self._keys.holds), (self._now_us(), name.key, why, ramp)
        )
        self._known.pop(name, None)
        return read_hold(name, fields) if fields else None

    def _needed(self, name: HoldName) -> int:
        """How often in a row *name* is refused until it is held; 0 is never."""
        return self._settings.sender_failures if name.scope is Scope.SENDER else 1


@understood
def read_hold(name: HoldName, fields: Sequence[Any]) -> Hold:
    """The hold of *name* as hold_state.lua tells it."""
    code, by, age, probe_in, probes, ends_in, reason = fields
    return Hold(
        name,
        code.decode(),
        age / SECOND_US,
        None if probe_in == _NEVER else probe_in / SECOND_US,
        probes,
        None if ends_in == _NEVER else ends_in / SECOND_US,
        By(by.decode()),
        reason.decode(),
    )


def _lasts(hold: Hold, age_s: float) -> bool:
    """Whether *hold*, which was looked at *age_s* ago, can neither be probed nor have ended since."""
    turns = [after for after in (hold.probe_in_s, hold.ends_in_s) if after is not None]
    return all(after > age_s for after in turns)


def _us(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
