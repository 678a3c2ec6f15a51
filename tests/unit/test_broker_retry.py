"""Trying again: after which errors, with which pauses, and when it is enough."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from worker.broker.ack_timeout import ack_timeout
from worker.broker.retry import LONGEST_PAUSE, growing, until_it_works
from worker.errors import BrokerUnavailable, PublishUnconfirmed, TopologyMismatch, WorkerError


class Bench:
    """Something that fails as it is told, and pauses that only remember."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.pauses: list[float] = []
        self.told: list[WorkerError] = []

    async def attempt(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def run(self, enough: Callable[[WorkerError], bool] | None = None) -> str:
        return await until_it_works(
            self.attempt,
            on=(BrokerUnavailable,),
            wait=float,
            tell=self.told.append,
            enough=enough,
            sleep=self.sleep,
        )


async def test_it_is_tried_until_it_works_and_every_failure_is_told_before_its_pause() -> None:
    errors = [BrokerUnavailable("1"), PublishUnconfirmed("2")]
    bench = Bench(*errors)
    assert await bench.run() == "done"
    assert (bench.told, bench.pauses) == (errors, [1.0, 2.0])


@pytest.mark.parametrize("error", [TopologyMismatch("?"), KeyError("a bug")])
async def test_any_other_error_is_raised_at_once(error: Exception) -> None:
    bench = Bench(BrokerUnavailable("1"), error)
    with pytest.raises(type(error)) as raised:
        await bench.run()
    assert raised.value is error
    assert len(bench.pauses) == 1


async def test_when_it_is_enough_the_last_error_is_raised_with_its_cause() -> None:
    cause, last = OSError("why"), BrokerUnavailable("2")
    last.__cause__ = cause
    bench = Bench(BrokerUnavailable("1"), last, BrokerUnavailable("3"))
    with pytest.raises(BrokerUnavailable) as raised:
        await bench.run(lambda error: error is last)
    assert raised.value is last
    assert raised.value.__cause__ is cause
    assert len(bench.errors) == 1


async def test_a_cancellation_ends_it() -> None:
    started = asyncio.Event()

    async def attempt() -> None:
        started.set()
        await asyncio.Event().wait()

    trying = asyncio.create_task(until_it_works(attempt, on=(BrokerUnavailable,), wait=float, tell=lambda error: None))
    await started.wait()
    trying.cancel()
    await asyncio.wait([trying])
    assert trying.cancelled()


def test_pauses_double_up_to_the_longest_and_the_dice_shorten_them_by_up_to_a_half() -> None:
    assert [growing(timedelta(seconds=1), lambda: 1.0)(n) for n in range(1, 7)] == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert growing(timedelta(seconds=1), lambda: 0.0)(1) == 0.5
    assert growing(2 * LONGEST_PAUSE, lambda: 1.0)(1) == 30.0


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [
        (
            "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. …",
            1800,
        ),
        ("PRECONDITION_FAILED - consumer ack timed out on channel 3", None),
        ("PRECONDITION_FAILED - unknown delivery tag 4711", None),
        ("CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", None),
    ],
)
def test_the_patience_of_the_broker_is_read_where_it_is_told(reason: str, seconds: int | None) -> None:
    assert ack_timeout(reason) == (None if seconds is None else timedelta(seconds=seconds))
