"""The state of one hold, as Redis keeps it, and how it changes.

This is the model of `hold.lua`, `lift.lua`, `stop.lua`, `unprobed.lua` and `meet.lua` in `limiter/lua`: the same
decisions in the same order, so a test can feed both the same sequence and expect equal answers.

                 refused often enough                      its probe was accepted
      (nothing) ───────────────────────▶ held ─────────────────────────────────────▶ (nothing)
          │                             │ ▲ │      the operator releases it, or its end has come
          │                      a probe│ │ │refused, or it showed nothing:
          │                             └─┘ │the next probe comes later
          │     the operator holds it       │
          └───────────────────────────▶ held by the operator ◀── the operator
                                              no answer changes it

The laws:

* One request probes at a time: the probe has a lease, longer than any call, and a prober. Whoever probes tells what
  came of it; a prober that does not is dead when the lease is over.
* Probes come first after one pause, then after twice as long, at most after the slowest.
* What was under way when a hold began changes nothing, neither by its refusal nor by its acceptance.

Instants and lengths are whole microseconds of Redis' clock.
"""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from worker.core.limits.holds import OPERATORS_CODE, By

_MOST_DOUBLINGS: Final = 32


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a scope is refused until it is held, and how often it is probed then."""

    needed: int
    first: int
    slowest: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """So many refusals in a row: no hold yet."""

    failures: int


@dataclass(frozen=True, slots=True)
class Held:
    """A hold."""

    code: str
    since: int
    by: By = By.PROVIDER
    probes: int = 0
    #: None: there are no probes.
    probe_at: int | None = None
    #: Until when the probe of `prober` may last.
    lease: int = 0
    prober: str = ""
    #: None: it does not end by itself.
    until: int | None = None
    reason: str = ""

    @property
    def opens(self) -> int | None:
        """When somebody may probe."""
        return None if self.probe_at is None else max(self.probe_at, self.lease)


State: TypeAlias = Held | Suspect | None


def current(state: State, now: int) -> State:
    """*state* without a hold that has ended by itself."""
    ended = isinstance(state, Held) and state.until is not None and state.until <= now
    return None if ended else state


def refused(state: State, now: int, code: str, prober: str, pace: Pace, lasts: int) -> State:
    """The provider refused a call; *prober* is empty unless it was the probe, *code* when the probe showed nothing.

    With *lasts* other than 0 the hold ends after so long, and there are no probes.
    """
    state = current(state, now)
    if not isinstance(state, Held):
        return _counted(state, now, code, pace, lasts) if code else state
    if state.by is By.OPERATOR:
        return state
    if lasts and state.until is not None:
        return replace(state, until=max(state.until, now + lasts))
    if not prober or prober != state.prober:
        return state
    probes = state.probes + 1
    pause = min(pace.first << min(probes, _MOST_DOUBLINGS), pace.slowest)
    return replace(state, code=code or state.code, probes=probes, probe_at=now + pause, lease=0, prober="")


def accepted(state: State, now: int, *, probed: bool) -> State:
    """The provider accepted a call."""
    state = current(state, now)
    return state if isinstance(state, Held) and (state.by is By.OPERATOR or not probed) else None


def stopped(now: int, reason: str, lasts: int) -> Held:
    """The operator holds it, whatever it was."""
    return Held(OPERATORS_CODE, now, By.OPERATOR, until=now + lasts if lasts else None, reason=reason)


def unprobed(state: State, prober: str) -> State:
    """*prober* did not probe."""
    is_its = isinstance(state, Held) and state.prober == prober
    return replace(state, lease=0, prober="") if isinstance(state, Held) and is_its else state


def met(state: State, now: int, prober: str, lease: int) -> tuple[State, bool]:
    """*prober* has a request; whether it may call, and if that is the probe, until when it has it for itself."""
    state = current(state, now)
    if not isinstance(state, Held):
        return state, True
    if state.opens is None or state.opens > now:
        return state, False
    return replace(state, lease=now + lease, prober=prober), True


def _counted(state: Suspect | None, now: int, code: str, pace: Pace, lasts: int) -> State:
    failures = (state.failures if state else 0) + 1
    if failures < pace.needed:
        return Suspect(failures)
    if lasts:
        return Held(code, now, until=now + lasts)
    return Held(code, now, probe_at=now + pace.first)
