"""Publishing a stream: nothing is lost on the way, and where to go on is known exactly."""

import asyncio
import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest

from worker.cli.requests import Line
from worker.cli.sending import IN_FLIGHT, Sending
from worker.client import Publisher
from worker.errors import BrokerUnavailable, UsageError


class FakePublisher:
    """Confirms at once, but for the ids that it is told to keep waiting, refuse or fail."""

    def __init__(self, *, slow: str = "", refused: str = "", failing: str = "") -> None:
        self.published: list[str] = []
        self._ids = {"slow": slow, "refused": refused, "failing": failing}

    async def publish(self, body: Mapping[str, Any]) -> None:
        await asyncio.sleep(0)
        match body["id"]:
            case one if one == self._ids["slow"]:
                await asyncio.Event().wait()
            case one if one == self._ids["refused"]:
                raise UsageError("to: is none")
            case one if one == self._ids["failing"]:
                raise BrokerUnavailable("gone")
            case one:
                self.published.append(one)


def lines(count: int) -> list[Line]:
    return [Line(number, {"id": f"r-{number}"}) for number in range(count)]


async def sent(publisher: FakePublisher, given: list[Line], skip: int = 0) -> tuple[Sending, list[Line]]:
    faults: list[Line] = []
    sending = Sending(iter(given), skip, faults.append)
    await sending.run(cast("Publisher", publisher), lambda: None)
    return sending, faults


async def test_every_line_is_published_once() -> None:
    publisher = FakePublisher()
    sending, faults = await sent(publisher, lines(1000))

    assert sorted(publisher.published) == sorted(f"r-{number}" for number in range(1000))
    assert (sending.confirmed, sending.faults, faults) == (1000, 0, [])


async def test_lines_at_fault_are_told_and_the_others_go_on() -> None:
    given = lines(10)
    given[3] = Line(3, fault="is no JSON")
    sending, faults = await sent(FakePublisher(refused="r-7"), given)

    assert sorted((line.number, line.fault) for line in faults) == [(3, "is no JSON"), (7, "to: is none")]
    assert (sending.confirmed, sending.faults, sending.resume_at, sending.repeated) == (8, 2, 10, 0)


async def test_what_is_skipped_is_not_published_and_counts() -> None:
    publisher = FakePublisher()
    sending, _ = await sent(publisher, lines(10), skip=7)

    assert sorted(publisher.published) == ["r-7", "r-8", "r-9"]
    assert (sending.confirmed, sending.resume_at) == (3, 10)


async def test_after_a_failure_one_goes_on_at_the_first_that_was_not_confirmed() -> None:
    """A request that is still waiting for its confirm counts, though later ones were confirmed."""
    sending = Sending(iter(lines(5000)), 100, lambda _: None)
    publisher = FakePublisher(slow="r-150", failing="r-2000")
    with pytest.raises(BrokerUnavailable, match="gone"):
        await sending.run(cast("Publisher", publisher), lambda: None)

    assert sending.resume_at == 150
    begun = {f"r-{number}" for number in range(100, sending.resume_at + sending.repeated)}
    assert set(publisher.published) < begun
    assert {f"r-{number}" for number in range(100, 150)} <= set(publisher.published)


async def test_only_so_many_wait_for_their_confirm_at_once() -> None:
    sending = Sending(iter(lines(5000)), 0, lambda _: None)

    class Silent(FakePublisher):
        async def publish(self, body: Mapping[str, Any]) -> None:
            self.published.append(body["id"])
            await asyncio.Event().wait()

    publisher = Silent()
    running = asyncio.create_task(sending.run(cast("Publisher", publisher), lambda: None))
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])

    assert len(publisher.published) == sending.repeated == IN_FLIGHT
    assert (sending.confirmed, sending.resume_at) == (0, 0)


# -- lines that one has to wait for -----------------------------------------------------------------------------------


class Tap:
    """Lines that come one by one; what waits for the next does so in another thread, until it is stopped."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[Line | Exception | None] = queue.SimpleQueue()
        self.give = self._lines.put
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True
        self.give(None)

    def __iter__(self) -> Iterator[Line]:
        while (line := self._lines.get(timeout=60)) is not None:
            if isinstance(line, Exception):
                raise line
            yield line


async def test_a_wait_for_lines_stops_nothing_else() -> None:
    tap, publisher, ended = Tap(), FakePublisher(), asyncio.Event()
    sending = Sending(iter(tap), 1, lambda _: None)
    running = asyncio.create_task(sending.run(cast("Publisher", publisher), ended.set, tap.stop))
    for line in lines(3):
        tap.give(line)
    await asyncio.wait_for(ended.wait(), 60)
    running.cancel()
    await asyncio.wait([running], timeout=60)

    assert running.cancelled()
    assert tap.is_stopped
    assert set(publisher.published) <= {"r-1", "r-2"}
    assert "ahead" not in {each.name for each in threading.enumerate()}


async def test_lines_that_one_has_to_wait_for_are_all_published_in_bounded_memory() -> None:
    tap, publisher = Tap(), FakePublisher()
    for line in lines(5_000):
        tap.give(line)
    tap.stop()
    sending = Sending(iter(tap), 0, lambda _: None)
    await sending.run(cast("Publisher", publisher), lambda: None, tap.stop)

    assert sorted(publisher.published) == sorted(f"r-{number}" for number in range(5_000))
    assert (sending.confirmed, sending.resume_at, sending.repeated) == (5_000, 5_000, 0)


async def test_an_error_of_the_lines_ends_publishing_with_it() -> None:
    tap = Tap()
    tap.give(Line(1, {"id": "r-1"}))
    tap.give(UsageError("is no text"))
    sending = Sending(iter(tap), 0, lambda _: None)
    with pytest.raises(UsageError, match="is no text"):
        await sending.run(cast("Publisher", FakePublisher()), lambda: None, tap.stop)
