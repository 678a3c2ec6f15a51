"""How well the provider's own limit is learned: the model of the quota against a model of the provider.

In virtual time, so it needs no servers and is the same each time. The provider lets a number of calls through in any
second, and tells of a refused one after a while. Under backlog some workers use a quota that may be set too high, and
another program may take a part for a while.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from typing import Final

from rich.table import Table

from worker.core.limits.bucket import SECOND_US, Share
from worker.core.limits.quota import Quota
from worker.core.message.lane import Lane
from worker.sandbox.limits import PerSecond
from worker.sandbox.settings import Second
from worker.simulation.token_bucket import Booked, TokenBucket

_START_US: Final = 1_790_000_000 * SECOND_US
#: How late a worker asks again, and a call arrives after its slot, at most. Microseconds.
_ASKS_LATE_US: Final = 2000
_ARRIVES_LATE_US: Final = 5000
#: A second is full with this part of what the provider lets through: a guard of 10 ms allows 0.990.
FULL: Final = 0.965


@dataclass(frozen=True)
class Scene:
    """What happens."""

    #: Calls that the provider lets through in any second.
    wall: int
    #: What is configured.
    quota: int
    seconds: int = 120
    #: The answer to a call comes after so many ms, of which each length is as likely.
    latency_ms: tuple[int, int] = (50, 50)
    workers: int = 2
    lane: Lane = Lane.MARKETING
    #: Slots that a worker asks for at a time; None is what comes in 20 ms.
    want: int | None = None
    #: Another program takes this part of the wall, from a second to another.
    foreign: float = 0.0
    foreign_from: int = 0
    foreign_until: int = 0


@dataclass(frozen=True)
class Told:
    """What came of it, by the second."""

    accepted: Sequence[int]
    refused: Sequence[int]

    def used(self, scene: Scene, start: int, stop: int) -> float:
        """The part of what the provider let through, and the other program left, that was used in these seconds."""
        foreign = scene.foreign if scene.foreign_from <= start and stop <= scene.foreign_until else 0.0
        return sum(self.accepted[start:stop]) / ((stop - start) * scene.wall * (1 - foreign))

    def refused_per_minute(self, start: int, stop: int) -> float:
        """Calls that were refused in these seconds, per minute."""
        return sum(self.refused[start:stop]) * 60 / (stop - start)

    def seconds_until_full(self, scene: Scene, since: int) -> int | None:
        """After how many seconds *since* then two in a row were full."""
        full = [count >= FULL * scene.wall for count in self.accepted]
        return next((n - since for n in range(since, len(full) - 1) if full[n] and full[n + 1]), None)


def played(scene: Scene, seed: int = 1) -> Told:
    """Let *scene* happen."""
    stage = _Stage(scene, random.Random(seed))
    stage.play()
    return Told(stage.accepted, stage.refused)


class _Stage:
    def __init__(self, scene: Scene, dice: random.Random) -> None:
        self._scene, self._dice = scene, dice
        self._bucket, self._provider = TokenBucket(), PerSecond(scene.wall, Second.SLIDING)
        self._share = Share.of(Quota(scene.quota), scene.lane)
        self._want = scene.want or max(1, scene.quota // 50)
        #: When, in which order, and what happens then.
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = count()
        self.accepted, self.refused = [0] * scene.seconds, [0] * scene.seconds

    def play(self) -> None:
        for worker in range(self._scene.workers):
            self._later(_START_US + worker, self._ask)
        if self._scene.foreign:
            self._later(_START_US + self._scene.foreign_from * SECOND_US, self._call_of_another)
        while self._due and self._due[0][0] < _START_US + self._scene.seconds * SECOND_US:
            now, _, happen = heappop(self._due)
            happen(now)

    def _later(self, at: int, happen: Callable[[int], None]) -> None:
        heappush(self._due, (at, next(self._order), happen))

    def _ask(self, now: int) -> None:
        answer = self._bucket.grant(now, self._scene.lane, self._share, self._want)
        if isinstance(answer, Booked):
            for wait in answer.waits_us:
                self._later(now + wait + self._dice.randint(0, _ARRIVES_LATE_US), self._call)
            again = max(answer.waits_us[-1], 1)
        else:
            again = answer.after_us
        self._later(now + again + self._dice.randint(0, _ASKS_LATE_US), self._ask)

    def _call(self, now: int) -> None:
        passes = self._provider.passes(now / SECOND_US)
        (self.accepted if passes else self.refused)[(now - _START_US) // SECOND_US] += 1
        if not passes:
            self._later(now + self._dice.randint(*self._scene.latency_ms) * 1000, self._learn)

    def _learn(self, now: int) -> None:
        self._bucket.throttle(now, self._scene.quota, 0)

    def _call_of_another(self, now: int) -> None:
        self._provider.passes(now / SECOND_US)
        if now < _START_US + self._scene.foreign_until * SECOND_US:
            self._later(now + round(SECOND_US / (self._scene.foreign * self._scene.wall)), self._call_of_another)


#: What the provider lets through, and what is configured.
_WALLS: Final = (
    *((30, quota) for quota in (30, 45, 120, 300)),
    *((100, quota) for quota in (100, 150, 400, 1000)),
    *((500, quota) for quota in (500, 750, 2000, 4000)),
    *((2000, quota) for quota in (2000, 3000, 4000)),
)
_LATENCIES_MS: Final = ((50, 50), (20, 200))
#: Seconds after which it has learned.
_LEARNED_S: Final = 20


def table() -> Table:
    """One row per quota, and one per program that takes a part of it."""
    shown = Table(title="Learning the provider's limit, in virtual time")
    for column in ("provider", "configured", "other program", "answers after"):
        shown.add_column(column)
    for column in ("used", "refused\nper minute", "refused\nbefore", "full again\nafter"):
        shown.add_column(column, justify="right")
    for latency_ms in _LATENCIES_MS:
        for wall, quota in _WALLS:
            _row(shown, Scene(wall, quota, latency_ms=latency_ms))
        for wall in (30, 100, 500, 2000):
            scene = Scene(wall, wall, latency_ms=latency_ms, foreign_from=10, foreign_until=70)
            for part in (0.2, 0.5, 0.8):
                _row(shown, replace(scene, foreign=part))
    shown.caption = "Used: of what the provider lets through and another program leaves. Before: while it learned."
    return shown


def _row(shown: Table, scene: Scene) -> None:
    told = played(scene)
    start, stop = (_LEARNED_S, scene.seconds)
    if scene.foreign:
        start, stop = scene.foreign_from + _LEARNED_S, scene.foreign_until
    full = told.seconds_until_full(scene, scene.foreign_until) if scene.foreign else None
    shown.add_row(
        f"{scene.wall}/s",
        f"{scene.quota}/s",
        f"{scene.foreign:.0%} for 60 s" if scene.foreign else "none",
        f"{scene.latency_ms[0]} to {scene.latency_ms[1]} ms",
        f"{told.used(scene, start, stop):.1%}",
        f"{told.refused_per_minute(start, stop):.0f}",
        str(sum(told.refused[:start])),
        "" if full is None else f"{full} s",
    )
