"""How much is let in: carries out what the brake decides, and lets nothing wait in hand while nothing can be sent.

Two reasons make the intake smaller, and the smaller of the two counts: the brake (`core/limits/brake.py`), and a
standstill, that is Redis or the outcomes' way out being away, or the account being held. When it becomes smaller,
consumers are cancelled, what waits without a call is requeued, once, and calls in flight are settled: what cannot be
sent now is then ready in its queue, where it can be seen, and nobody's delivery count grows in circles.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from math import ceil
from time import monotonic
from typing import Final, Protocol

from worker.core.limits.brake import Brake, Braked, Cause, Limits, Released, Settled, Trying, after, at
from worker.core.message.lane import Lane
from worker.core.outcome.disposition import Disposition
from worker.ports import Events

#: A standstill that is shorter is waited for with everything in hand. Seconds.
PATIENCE_S: Final = 5.0
#: How often a pause that is over, and a standstill that begins or ends, are polled for. Seconds.
_POLL_S: Final = 0.5
#: Deliveries of each lane that stay in hand while the account is held: a probe is a real request.
_TRICKLE: Final = 2
#: Between two rounds over what still waits: what was delivered last begins to wait some turns of the event loop later.
_EMPTYING_S: Final = 0.05
#: So many rounds are enough: what still waits then can be told only by somebody who is away.
_EMPTYING_ROUNDS: Final = 40


class Standstill(StrEnum):
    """Why nothing can be sent; the word in events, in ``/readyz`` and in metrics."""

    #: Redis cannot be used.
    LIMITER = "limiter"
    #: RabbitMQ takes no outcomes.
    OUTCOMES = "outcomes"
    #: The account is held: only probes are sent.
    HELD = "held"


class PausableIntake(Protocol):
    """What lets deliveries in."""

    async def pause(self) -> None:
        """Let nothing new in."""

    def resume(self, most: int | None = None) -> None:
        """Let deliveries in again, *most* of each lane at a time."""


class WaitingRequests(Protocol):
    """Those who wait for their turn."""

    def waiting(self) -> Mapping[Lane, int]:
        """How many wait, per lane."""

    async def sweep(self) -> None:
        """End the wait of those who are not wanted any more."""


class IntakeControl:
    """Stands between the way of a message and its two ends: it hears what was settled, and narrows what is let in."""

    def __init__(
        self,
        limits: Limits,
        requests: WaitingRequests,
        events: Events,
        *,
        lanes: int,
        standstill: Callable[[], Standstill | None],
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        """*standstill* says why nothing can be sent at this moment; *lanes* is how many are consumed."""
        self._limits = limits
        self._is_off = min(limits.internal, limits.dead) >= 1
        self._requests = requests
        self._events = events
        #: Twice as many are let in over all lanes until the trial is decided, at the most.
        self._trial = ceil(limits.trial / (2 * lanes))
        self._standstill_now = standstill
        self._now_s = now_s
        self._brake: Brake = Released()
        self._standstill: Standstill | None = None
        self._standing_since_s: float | None = None
        self._is_closed = False
        self._moved = asyncio.Event()

    @property
    def braked(self) -> Cause | None:
        """Why the brake is set, if it is; also while a few are let in to try."""
        return None if isinstance(self._brake, Released) else self._brake.cause

    @property
    def standstill(self) -> Standstill | None:
        """Why the intake is narrowed, if it is, the brake apart."""
        return self._standstill

    # -- beside the way of a message ------------------------------------------------------------------------------

    def lets_send(self) -> bool:
        """Whether what has no call yet may get one: not while nothing is let in."""
        return not self._is_closed and not isinstance(self._brake, Braked)

    def settled(self, disposition: Disposition) -> None:
        """Hear what became of a request."""
        if self._is_off:
            return
        settled = Settled.of(disposition, self._now_s())
        if settled is None:
            return
        before, self._brake = self._brake, after(self._brake, settled, self._limits)
        if isinstance(self._brake, Braked) and self._brake is not before:
            self._emit_set(self._brake)
            self._moved.set()
        elif isinstance(before, Trying) and isinstance(self._brake, Released):
            self._emit_released(before, self._brake)
            self._moved.set()

    def _emit_set(self, brake: Braked) -> None:
        cause = brake.cause
        self._events.emit(
            "brake.set",
            internal=cause.internal,
            dead=cause.dead,
            settled=cause.settled,
            error_class=cause.error_class.value,
            code=cause.code,
            pause_s=brake.pause.total_seconds(),
        )

    def _emit_released(self, trial: Trying, brake: Released) -> None:
        self._events.emit("brake.released", settled=brake.sample.size, duration_s=self._now_s() - trial.since_s)

    # -- narrowing the intake -------------------------------------------------------------------------------------

    async def run(self, intake: PausableIntake) -> None:
        """Keep *intake* as wide as it should be, until cancelled."""
        width: int | None = None
        while True:
            self._moved.clear()
            self._poll()
            wanted = self._width()
            if wanted != width:
                await self._set(intake, wanted, is_less=width is None or (wanted is not None and wanted < width))
                width = wanted
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._moved.wait()

    def _poll(self) -> None:
        """See what time alone, or somebody else, has changed."""
        now_s = self._now_s()
        before, self._brake = self._brake, at(self._brake, now_s)
        match before, self._brake:
            case Braked(), Trying():
                self._events.emit("brake.trial", most=self._limits.trial)
            case Trying() as trial, Released() as brake:
                self._emit_released(trial, brake)
            case _:
                pass
        standstill = self._standstill_now()
        if standstill is None:
            if self._standstill is not None:
                self._events.emit("intake.resumed", reason=self._standstill.value)
            self._standstill = self._standing_since_s = None
            return
        if self._standing_since_s is None:
            self._standing_since_s = now_s
        if now_s - self._standing_since_s >= PATIENCE_S and standstill is not self._standstill:
            self._standstill = standstill
            self._events.emit("intake.paused", reason=standstill.value)

    def _width(self) -> int | None:
        """Deliveries of each lane that may be in hand; None for as many as its prefetch says."""
        if isinstance(self._brake, Braked) or self._standstill in {Standstill.LIMITER, Standstill.OUTCOMES}:
            return 0
        widths = [self._trial] * isinstance(self._brake, Trying) + [_TRICKLE] * (self._standstill is Standstill.HELD)
        return min(widths, default=None)

    async def _set(self, intake: PausableIntake, width: int | None, *, is_less: bool) -> None:
        if is_less:
            self._is_closed = True
            await intake.pause()
            await self._empty()
        if width != 0:
            self._is_closed = False
            intake.resume(width)

    async def _empty(self) -> None:
        """Requeue what waits without a call; what cannot be for now is requeued later, while nothing is let in."""
        for _ in range(_EMPTYING_ROUNDS):
            await asyncio.sleep(_EMPTYING_S)
            await self._requests.sweep()
            if not any(self._requests.waiting().values()):
                return
