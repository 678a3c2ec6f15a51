"""What narrows the intake, among fakes: in which order, what is given back, and that it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from tests.fakes import RecordingEvents
from tests.waiting import eventually
from worker.core.limits.brake import Limits
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.outcome.disposition import Dead, Disposition, Done, Reason
from worker.core.outcome.outcome import Accepted, ErrorClass, Outcome, Unserved
from worker.delivery import intake_control
from worker.delivery.intake_control import PATIENCE_S, IntakeControl, Standstill

LIMITS = Limits(sample=20, pause=timedelta(seconds=30), trial=6)
WELL = Done(Accepted("1", "2", 1), History())
BAD = Dead(Reason(ErrorClass.INVALID, "INVALID_PARAMETERS", "", ""), History())


@dataclass
class FakeIntake:
    """Remembers what was asked of it."""

    asked: list[str | int | None] = field(default_factory=list)

    async def pause(self) -> None:
        self.asked.append("pause")

    def resume(self, most: int | None = None) -> None:
        self.asked.append(most)


@dataclass
class FakeQueue:
    """Lets go of everybody who is not wanted, when it is swept."""

    rooms: list[tuple[Callable[[], bool], "asyncio.Future[Outcome]"]] = field(default_factory=list)

    async def wait(self, is_wanted: Callable[[], bool]) -> Outcome:
        waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.rooms.append((is_wanted, waiting))
        return await waiting

    def waiting(self) -> Mapping[Lane, int]:
        return {Lane.OTP: len(self.rooms)}

    async def sweep(self) -> None:
        for is_wanted, waiting in list(self.rooms):
            if not is_wanted():
                self.rooms.remove((is_wanted, waiting))
                waiting.set_result(Unserved("not wanted"))


class Rig:
    def __init__(self, limits: Limits = LIMITS) -> None:
        self.now_s = 0.0
        self.intake, self.queue, self.events = FakeIntake(), FakeQueue(), RecordingEvents()
        self.standing: Standstill | None = None
        self.looks = 0
        self.control = IntakeControl(
            limits,
            self.queue,
            self.events,
            lanes=3,
            standstill=self._look,
            now_s=lambda: self.now_s,
        )

    def _look(self) -> Standstill | None:
        self.looks += 1
        return self.standing

    async def looked(self) -> None:
        """Wait until the intake is as wide as it should be now: until somebody looked after this."""
        before = self.looks
        await eventually(lambda: self.looks > before)

    def settle(self, disposition: Disposition, times: int) -> None:
        for _ in range(times):
            self.control.settled(disposition)

    def wait_for_a_turn(self) -> "asyncio.Task[Outcome]":
        return asyncio.create_task(self.queue.wait(self.control.lets_send))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_control, "_POLL_S", 0.005)
    monkeypatch.setattr(intake_control, "_EMPTYING_S", 0.001)


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[None]:
    task = asyncio.create_task(rig.control.run(rig.intake))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_brake_pauses_gives_back_tries_and_releases() -> None:
    rig = Rig()
    async with running(rig):
        waiting = rig.wait_for_a_turn()
        await asyncio.sleep(0)
        rig.settle(BAD, 20)
        assert rig.control.braked
        assert await asyncio.wait_for(waiting, 5) == Unserved("not wanted")
        assert rig.intake.asked == ["pause"]
        late = rig.wait_for_a_turn()  # it was pushed when the pause began
        await asyncio.sleep(0)
        await rig.queue.sweep()
        assert await late == Unserved("not wanted")

        rig.now_s = 30
        await eventually(lambda: rig.intake.asked == ["pause", 1])
        taken = rig.wait_for_a_turn()
        await asyncio.sleep(0)
        await rig.queue.sweep()
        assert not taken.done()
        rig.now_s = 31
        rig.settle(WELL, 6)
        await eventually(lambda: rig.intake.asked == ["pause", 1, None])
        taken.cancel()

    assert rig.control.braked is None
    told = {"internal": 0, "dead": 11, "settled": 11, "error_class": "invalid", "code": "INVALID_PARAMETERS"}
    assert rig.events.told == [
        ("brake.set", told | {"pause_s": 30.0}),
        ("brake.trial", {"most": 6}),
        ("brake.released", {"settled": 6, "duration_s": 31.0}),
    ]


async def test_a_trial_that_is_no_better_pauses_for_longer() -> None:
    rig = Rig()
    async with running(rig):
        rig.settle(BAD, 20)
        await eventually(lambda: rig.intake.asked == ["pause"])
        rig.now_s = 30
        await eventually(lambda: rig.intake.asked == ["pause", 1])
        rig.settle(BAD, 4)
        await eventually(lambda: rig.intake.asked == ["pause", 1, "pause"])
        rig.now_s = 89
        await rig.looked()
        assert rig.intake.asked == ["pause", 1, "pause"]

    assert [told["pause_s"] for told in rig.events.named("brake.set")] == [30, 60]
    assert rig.control.braked


async def test_a_trial_to_which_nothing_comes_ends_and_everything_is_let_in() -> None:
    rig = Rig()
    async with running(rig):
        rig.settle(BAD, 20)
        await eventually(lambda: rig.intake.asked == ["pause"])
        rig.now_s = 30
        await eventually(lambda: rig.intake.asked == ["pause", 1])
        rig.now_s = 90
        await eventually(lambda: rig.intake.asked == ["pause", 1, None])

    assert rig.control.braked is None
    assert rig.events.named("brake.released") == [{"settled": 0, "duration_s": 90.0}]


async def test_no_call_begins_from_the_moment_that_the_brake_is_set() -> None:
    """Not only when the loop that carries it out has its turn."""
    rig = Rig()
    waiting = rig.wait_for_a_turn()
    await asyncio.sleep(0)
    ((is_wanted, _),) = rig.queue.rooms

    assert is_wanted()
    rig.settle(BAD, 20)
    assert not is_wanted()
    waiting.cancel()


async def test_a_brake_that_is_switched_off_remembers_nothing() -> None:
    rig = Rig(Limits(internal=1, dead=1, sample=20))
    rig.settle(BAD, 1000)

    assert rig.control.braked is None


@pytest.mark.parametrize(
    ("why", "asked"),
    [(Standstill.LIMITER, ["pause"]), (Standstill.OUTCOMES, ["pause"]), (Standstill.HELD, ["pause", 2])],
)
async def test_a_standstill_gives_back_what_waits_once_and_holds_a_few_for_probes(
    why: Standstill, asked: list[str | int | None]
) -> None:
    rig = Rig()
    async with running(rig):
        waiting = rig.wait_for_a_turn()
        rig.standing = why
        await rig.looked()
        rig.now_s = PATIENCE_S - 0.1
        await rig.looked()
        assert (rig.intake.asked, waiting.done()) == ([], False)

        rig.now_s = PATIENCE_S
        assert await asyncio.wait_for(waiting, 5) == Unserved("not wanted")
        await eventually(lambda: rig.intake.asked == asked)
        assert rig.control.standstill is why
        if why is Standstill.HELD:
            probe = rig.wait_for_a_turn()
            await asyncio.sleep(0)
            await rig.queue.sweep()
            assert not probe.done()
            probe.cancel()
        rig.now_s = 1000
        await rig.looked()
        assert rig.intake.asked == asked

        rig.standing = None
        await eventually(lambda: rig.intake.asked == [*asked, None])

    assert rig.events.told == [("intake.paused", {"reason": why.value}), ("intake.resumed", {"reason": why.value})]


async def test_a_blink_is_waited_for_with_everything_in_hand() -> None:
    rig = Rig()
    async with running(rig):
        for second in range(10):
            rig.now_s = 3.0 * second
            rig.standing = Standstill.LIMITER if second % 2 else None
            await rig.looked()

    assert (rig.intake.asked, rig.events.told) == ([], [])


async def test_of_brake_and_standstill_the_narrower_counts() -> None:
    rig = Rig()
    async with running(rig):
        rig.standing = Standstill.HELD
        await rig.looked()
        rig.now_s = 10
        await eventually(lambda: rig.intake.asked == ["pause", 2])
        rig.settle(BAD, 20)
        await eventually(lambda: rig.intake.asked == ["pause", 2, "pause"])
        rig.now_s = 40
        await eventually(lambda: rig.intake.asked == ["pause", 2, "pause", 1])
        rig.standing = None
        rig.settle(WELL, 6)
        await eventually(lambda: rig.intake.asked[4:] in ([None], [2, None]))
