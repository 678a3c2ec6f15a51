"""What ends a worker: signals, and parts that fail."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
import uvloop

from tests.fakes import RecordingEvents
from worker.errors import WorkerError
from worker.shutdown import SIGNALS, Parts, Shutdown, on_signals


def make() -> tuple[Shutdown, Parts, RecordingEvents]:
    events = RecordingEvents()
    shutdown = Shutdown(events)
    return shutdown, Parts(shutdown), events


async def forever() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise LookupError("a bug")


async def fail_in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(forever())
        group.create_task(fail())


async def end_at_once() -> None:
    return


def test_the_first_signal_drains_and_the_second_leaves_at_once() -> None:
    shutdown, _, events = make()
    shutdown.ask()
    assert (shutdown.drain.is_set(), shutdown.leave.is_set(), events.told) == (True, False, [])
    shutdown.ask()
    assert shutdown.leave.is_set()
    assert events.named("worker.second_signal")
    assert shutdown.failure is None


@pytest.fixture
def _own_handlers() -> Iterator[None]:
    """What a worker does to the signals of its process must not outlive the test."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_sigterm_and_sigint_are_heard_while_the_block_runs_and_change_nothing_afterwards(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    shutdown, _, _ = make()

    async def work() -> None:
        with on_signals(shutdown):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(shutdown.drain.wait(), 5)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(shutdown.leave.wait(), 5)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work())
        os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_signal_wakes_a_loop_that_has_nothing_to_do(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    shutdown, _, _ = make()
    sending = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))

    async def work() -> None:
        with on_signals(shutdown):
            sending.start()
            await shutdown.drain.wait()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work())
    sending.join()


def test_the_first_signal_after_a_failure_does_not_cut_the_drain_short() -> None:
    shutdown, _, _ = make()
    shutdown.fail(LookupError())
    shutdown.ask()

    assert not shutdown.leave.is_set()


@pytest.mark.parametrize("work", [fail, fail_in_a_group])
async def test_a_part_that_fails_drains_the_worker_and_its_error_is_kept(work: object) -> None:
    shutdown, parts, _ = make()
    parts.start(forever(), "watch")
    parts.start(work(), "dispatch")  # type: ignore[operator]  # a coroutine function
    await asyncio.wait_for(shutdown.drain.wait(), 5)

    assert isinstance(shutdown.failure, LookupError)
    await parts.aclose()


async def test_only_the_first_failure_is_kept() -> None:
    shutdown, parts, _ = make()
    shutdown.fail(WorkerError("first"))
    parts.start(fail(), "dispatch")
    await asyncio.sleep(0)
    await parts.aclose()

    assert str(shutdown.failure) == "first"


async def test_a_part_that_ends_by_itself_is_a_failure_unless_it_may() -> None:
    shutdown, parts, _ = make()
    await parts.start(end_at_once(), "start", ends=True)
    await asyncio.sleep(0)
    assert not shutdown.drain.is_set()
    await parts.start(end_at_once(), "broker consume")
    await asyncio.wait_for(shutdown.drain.wait(), 5)

    assert "ended by itself: broker consume" in str(shutdown.failure)


async def test_a_part_that_somebody_cancels_is_a_failure_but_not_while_the_worker_leaves() -> None:
    """A library that cancels what waits on it must not leave a worker that only looks alive."""
    shutdown, parts, _ = make()
    part = parts.start(forever(), "broker publish")
    await asyncio.sleep(0)
    part.cancel()
    await asyncio.wait_for(shutdown.drain.wait(), 5)
    assert "broker publish" in str(shutdown.failure)

    shutdown, parts, _ = make()
    part = parts.start(forever(), "start", ends=True)
    shutdown.ask()
    await asyncio.sleep(0)
    part.cancel()
    await asyncio.wait([part])
    assert shutdown.failure is None


async def test_closing_ends_every_part_and_is_no_failure() -> None:
    shutdown, parts, _ = make()
    tasks = [parts.start(forever(), name) for name in ("watch", "dispatch")]
    await parts.aclose()

    assert all(task.cancelled() for task in tasks)
    assert not shutdown.drain.is_set()
