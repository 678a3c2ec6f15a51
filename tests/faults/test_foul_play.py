"""Whatever the other end of a connection does, at each step of its handshake and life, no part of the worker ends."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import pytest
import uvloop

from tests.brokers import TOPOLOGY, Recorder, declared, outgoing, send_to, settings_for
from tests.fakes import RecordingEvents
from tests.faults.size import SEED, SIZE
from tests.foul_proxy import Blow, Foul, FoulProxy, apart, loop_apart
from tests.waiting import eventually
from worker import client
from worker.broker.connection import connected
from worker.broker.consumer import Intake
from worker.broker.dead_letters import open_dead_letters
from worker.broker.declare import declare, verify
from worker.broker.outcomes import take_outcomes
from worker.broker.publisher import BrokerPublisher
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.errors import WorkerError
from worker.settings.sections import BrokerSettings

#: From the greeting over tuning, opening, channels, quality of service and consumers to the first deliveries.
STEPS: Final = (*range(1, 13), 16, 20)
#: So many of these for each foul besides the first, drawn anew for each part; all of them in ``make faults``.
DRAWN: Final = 3 if SIZE.rounds == 1 else len(STEPS)
#: Blows that side by side fit onto a small machine.
AT_ONCE: Final = 12
#: Longer than heartbeats of a second need to notice a silent end, on a busy machine. Seconds.
PATIENCE: Final = 60
Part: TypeAlias = Callable[[BrokerSettings, FoulProxy, RecordingEvents], Awaitable[None]]


def impatient(url: str, **changes: Any) -> BrokerSettings:
    timeouts = {"heartbeat": "1s", "connect_timeout": "1s", "publish_timeout": "1s"}
    return settings_for(url, **{"declare": False} | timeouts | changes)


async def every_blow(url: str, part: Part, **changes: Any) -> None:
    """Let *part* live through each foul at each step, on two connections each."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(blow: Blow) -> str | None:
        events = RecordingEvents()
        async with gate, apart(FoulProxy(url, blow, most=2), loop) as proxy:
            try:
                async with asyncio.timeout(PATIENCE):
                    await part(impatient(proxy.url, **changes), proxy, events)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - all are told together
                return f"{blow}: {error!r}; {events.told[-3:]}"
        return None

    dice = random.Random(f"{part.__name__} {SEED}")
    blows = [Blow(foul, step) for foul in Foul for step in (0, *dice.sample(STEPS, DRAWN))]
    with loop_apart() as loop:
        failures = [failure for failure in await asyncio.gather(*map(one, blows)) if failure]
    assert not failures, f"{len(failures)} of {len(blows)}:\n" + "\n".join(failures[:20])


@asynccontextmanager
async def running(part: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """The part in a task, as a worker has it; it must not have ended when the block does."""
    task = asyncio.create_task(part.run())
    try:
        yield task
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def consume(settings: BrokerSettings, proxy: FoulProxy, events: RecordingEvents) -> None:
    """Deliveries come in the end, however the first connections went; then a drain ends it in good order."""
    receiver = Recorder()
    receiver.open.set()
    intake = Intake(settings, TOPOLOGY, dict.fromkeys(Lane, 1), receiver, events)
    async with running(intake):
        await eventually(lambda: intake.is_consuming and receiver.got and proxy.struck.is_set(), PATIENCE)
        await intake.stop()
        await intake.wait_idle()


async def publish(settings: BrokerSettings, proxy: FoulProxy, events: RecordingEvents) -> None:
    """A publish is confirmed in the end, and fails by nothing but errors of ours until then."""
    publisher = BrokerPublisher(settings, TOPOLOGY, events)
    async with running(publisher):

        async def is_confirmed() -> bool:
            try:
                await publisher.publish(outgoing(TOPOLOGY.to_done(Lane.OTP)))
                await publisher.publish_alone(outgoing(TOPOLOGY.to_done(Lane.OTP)))
            except WorkerError:
                return False
            return proxy.struck.is_set()

        await eventually(is_confirmed, PATIENCE)


async def operate(settings: BrokerSettings, proxy: FoulProxy, events: RecordingEvents) -> None:
    """What a command does fails by errors of ours, and works in the end."""

    async def works() -> bool:
        try:
            async with connected(settings, "operate") as connection:
                await verify(connection, TOPOLOGY)
                await take_outcomes(connection, TOPOLOGY)
            async with open_dead_letters(settings, TOPOLOGY, events, now=lambda: datetime.now(UTC)) as letters:
                await letters.groups()
                await letters.scan(ErrorClass.UNKNOWN)
        except WorkerError:
            return False
        return True

    await eventually(works, PATIENCE)


async def declare_all(settings: BrokerSettings, proxy: FoulProxy, events: RecordingEvents) -> None:
    async def works() -> bool:
        try:
            async with connected(settings, "operate") as connection:
                await declare(connection, TOPOLOGY)
        except WorkerError:
            return False
        return True

    await eventually(works, PATIENCE)


async def publish_as_a_program(settings: BrokerSettings, proxy: FoulProxy, events: RecordingEvents) -> None:
    second = timedelta(seconds=1)
    publisher = client.Publisher(
        settings.url.get_secret_value(), TOPOLOGY.namespace, timeout=second, connect_timeout=5 * second
    )

    async def works() -> bool:
        try:
            async with publisher:
                fields = {"id": "r", "to": "+85251234567", "type": "OTP", "text": "x"}
                await publisher.publish(fields)
        except WorkerError:
            return False
        return True

    await eventually(works, PATIENCE)


@pytest.fixture
def _answers_come_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not answered is given up sooner than a worker would."""
    for name in ("connection.ANSWER_S", "declare.ANSWER_S", "consumer._CONSUME_S", "outcomes._PATIENCE_S"):
        monkeypatch.setattr(f"worker.broker.{name}", 2.0)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("_answers_come_soon")
@pytest.mark.parametrize("part", [consume, publish, operate, declare_all, publish_as_a_program])
def test_no_foul_play_ends_a_part_of_the_worker(amqp_url: str, part: Part) -> None:
    """On the worker's own event loop: of the same end of a connection it makes other errors than asyncio's."""

    async def play() -> None:
        await declared(amqp_url)
        if part is consume:
            await send_to(amqp_url, Lane.OTP, *(f"r-{number}" for number in range(3000)))
        await every_blow(amqp_url, part)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())
