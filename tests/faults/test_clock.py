"""The worker's wall clock is stepped forward and back under load, as a bad time server or an operator would."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from tests.faults.requests import Mix, Publication
from tests.faults.scene import Stage
from tests.faults.size import SEED, SIZE
from tests.faults.stepped import Step
from worker.core.message.lane import Lane

#: Seconds that the clock is ahead, one step after the other. More than the provider's 15 minutes either way would make
#: every signature wrong; and with a clock far behind, a request that is to be sent in a second would wait as long.
STEPS = (600.0, 0.0, -5.0, 0.0)
#: Seconds that a call may take from the worker's last look at the clock to the sandbox, on a busy machine.
ON_ITS_WAY_S = 0.5
#: A call's last look at the clock is at most this old. Seconds.
LOOKED_S = 1.0
#: Seconds for one step with all that follows, on a busy machine.
STEP_S = 20


class Timetable(Mix):
    """A third of the requests has a deadline soon, a third may not be sent before soon."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, faults=False, repeats=False)
        self._when = Random(seed)
        #: By request id, in Unix seconds.
        self.deadlines: dict[str, float] = {}
        self.openings: dict[str, float] = {}

    def draw(self, lane: Lane | None = None, **changes: str) -> Publication:
        soon = datetime.now(UTC) + timedelta(seconds=self._when.uniform(0.5, 4))
        match self._when.randrange(3):
            case 0:
                publication = super().draw(lane, deadline=soon.isoformat(), **changes)
                self.deadlines[publication.id] = soon.timestamp()
            case 1:
                publication = super().draw(lane, not_before=soon.isoformat(), **changes)
                self.openings[publication.id] = soon.timestamp()
            case _:
                publication = super().draw(lane, **changes)
        return publication


class Steps:
    """How far ahead the worker's clock was, and when."""

    def __init__(self, path: Path) -> None:
        self.clock = Step(path)
        self._ahead: list[tuple[float, float]] = [(0.0, 0.0)]

    def to(self, ahead_s: float) -> None:
        self.clock.to(ahead_s)
        self._ahead.append((time.time(), ahead_s))

    def around(self, instant: float) -> tuple[float, float]:
        """The least and the most that the clock was ahead at a call's last look, whose call arrived at *instant*."""
        ends = [*(began for began, _ in self._ahead[1:]), float("inf")]
        seen = [
            ahead
            for (began, ahead), end in zip(self._ahead, ends, strict=True)
            if began <= instant and end >= instant - LOOKED_S
        ]
        return min(seen), max(seen)


@pytest.mark.timeout(120 + STEP_S * len(STEPS) * SIZE.rounds)
async def test_a_clock_that_is_stepped_costs_no_message_and_calls_none_later_than_its_clock_was_behind(
    stage: Stage, tmp_path: Path
) -> None:
    """By the true clock, no call arrives after its deadline, or before its time, by more than the worker's was wrong.

    With a clock that is right, or wrong on the safe side, that is not at all.
    """
    steps, timetable = Steps(tmp_path / "clock"), Timetable(SEED)
    async with stage.scene(timetable, order={"clock": str(steps.clock.path)}) as scene:
        async with scene.load():
            for ahead_s in STEPS * SIZE.rounds:
                steps.to(ahead_s)
                await scene.full_rate(STEP_S)
        verdict = await scene.verdict()
        calls = list(scene.sandbox.account)

    assert verdict.agrees, str(verdict)
    assert (verdict.twice, verdict.resends) == ({}, 0)
    late = [(call, call.arrived - at) for call in calls if (at := timetable.deadlines.get(call.task_id))]
    early = [(call, at - call.arrived) for call in calls if (at := timetable.openings.get(call.task_id))]
    assert [each for each in late if each[1] > max(0.0, -steps.around(each[0].arrived)[0]) + ON_ITS_WAY_S] == []
    assert [each for each in early if each[1] > max(0.0, steps.around(each[0].arrived)[1])] == []
    assert verdict.depths["dead.expired"] > 0, "no deadline passed: nothing was tested"
    assert min(by_s for _, by_s in late) < 0 < max(by_s for _, by_s in early), "the steps were not believed"
