"""What tests against a real RabbitMQ share: settings, raw AMQP, and a receiver that remembers."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiormq
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from pamqp.commands import Basic
from pydantic import SecretStr

from tests.fakes import RecordingEvents
from tests.makers import make_raw
from tests.waiting import eventually
from worker.broker.connection import connected
from worker.broker.consumer import Intake
from worker.broker.declare import declare
from worker.broker.publisher import BrokerPublisher
from worker.broker.settle import BrokerSettler
from worker.core.message.lane import Lane
from worker.core.outgoing.envelope import Outgoing
from worker.core.topology import Route, Topology
from worker.ports import Delivery
from worker.settings.sections import BrokerSettings

PAUSE = timedelta(milliseconds=50)
#: The smallest ladder that has several hops: it is declared three times as fast as the whole one.
TOPOLOGY = Topology(levels=4)


def settings_for(url: str, **changes: Any) -> BrokerSettings:
    return BrokerSettings(url=SecretStr(url), reconnect_pause=PAUSE, **changes)


@asynccontextmanager
async def raw_channel(url: str) -> AsyncIterator[Channel]:
    """A bare channel, for what a publisher or an operator does."""
    connection = await aiormq.connect(url)
    channel = await connection.channel()
    assert isinstance(channel, Channel)
    try:
        yield channel
    finally:
        await connection.close()


async def declared(url: str, topology: Topology = TOPOLOGY) -> None:
    async with connected(settings_for(url), "operate") as connection:
        await declare(connection, topology)


async def depth(url: str, queue: str) -> int:
    """Messages of *queue* that are ready."""
    async with raw_channel(url) as channel:
        return (await channel.queue_declare(queue, passive=True)).message_count or 0


async def filled(url: str, queue: str, count: int = 1) -> None:
    """Wait until so many messages of *queue* are ready."""

    async def look() -> bool:
        return await depth(url, queue) >= count

    _: bool = await eventually(look, because=f"{queue} with {count} messages")


async def send(url: str, exchange: str, key: str, *bodies: bytes, **properties: Any) -> None:
    """Publish as any AMQP client would."""
    async with raw_channel(url) as channel:
        for body in bodies:
            await channel.basic_publish(
                body, exchange=exchange, routing_key=key, properties=Basic.Properties(delivery_mode=2, **properties)
            )


async def send_to(
    url: str, lane: Lane, *ids: str, topology: Topology = TOPOLOGY, back: bool = False, **properties: Any
) -> None:
    """Publish a request for each id, as a publisher; or, where it comes *back*, as a worker that returns it."""
    route, bodies = (
        (topology.back_to_lane if back else topology.to_lane)(lane),
        [make_raw(lane, id=one).body for one in ids],
    )
    await send(url, route.exchange, route.key, *bodies, **{"message_type": "sms.request.v1"} | properties)


async def take(url: str, queue: str, count: int = 1, timeout: float = 10) -> list[DeliveredMessage]:  # noqa: ASYNC109 - a test's deadline
    """Consume and acknowledge so many messages."""
    async with raw_channel(url) as channel:
        arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        await channel.basic_qos(prefetch_count=count)
        await channel.basic_consume(queue, arrived.put)
        async with asyncio.timeout(timeout):
            taken = [await arrived.get() for _ in range(count)]
        for message in taken:
            await channel.basic_ack(message.delivery_tag or 0)
        await asyncio.sleep(0.05)  # a quorum queue loses acknowledgements when their channel is closed at once
        return taken


@contextmanager
def looked_into(url: str, queue: str) -> Iterator[None]:
    """Somebody else, in a thread, holds the first message of *queue* during the block."""
    holds, done = threading.Event(), threading.Event()

    async def look() -> None:
        async with raw_channel(url) as channel:
            held: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
            await channel.basic_qos(prefetch_count=1)
            await channel.basic_consume(queue, held.put)
            await held.get()
            holds.set()
            await asyncio.to_thread(done.wait)

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(asyncio.run, look())
        try:
            assert holds.wait(10), looking
            yield
        finally:
            done.set()
            looking.result()


def outgoing(route: Route, body: bytes = b"{}", **headers: Any) -> Outgoing:
    return Outgoing(route, body, headers, "sms.request.v1", "application/json", "r-1")


@dataclass
class Recorder:
    """A receiver that keeps every delivery in hand until the test says what becomes of it."""

    got: list[Delivery] = field(default_factory=list)
    arrived: "asyncio.Queue[Delivery]" = field(default_factory=asyncio.Queue)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, delivery: Delivery) -> None:
        self.got.append(delivery)
        self.arrived.put_nowait(delivery)
        await self.open.wait()

    async def next(self) -> Delivery:
        async with asyncio.timeout(10):
            return await self.arrived.get()


@asynccontextmanager
async def publishing(url: str, events: RecordingEvents | None = None, **changes: Any) -> AsyncIterator[BrokerPublisher]:
    """A connected publisher."""
    async with BrokerPublisher(settings_for(url, **changes), TOPOLOGY, events or RecordingEvents()) as publisher:
        await publisher.wait_connected()
        yield publisher


@asynccontextmanager
async def consuming(
    url: str, receiver: Any, events: RecordingEvents | None = None, prefetch: int = 50, **changes: Any
) -> AsyncIterator[Intake]:
    """An intake that has begun."""
    lanes = dict.fromkeys(Lane, prefetch)
    intake = Intake(settings_for(url, **changes), TOPOLOGY, lanes, receiver, events or RecordingEvents())
    intake.start()
    try:
        yield intake
    finally:
        await intake.aclose()


def settler_for(publisher: Any, events: RecordingEvents | None = None, *, impatient: bool = False) -> BrokerSettler:
    """A settler; when it is *impatient* its pauses do not grow."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01) if impatient else seconds)

    told = events or RecordingEvents()
    return BrokerSettler(publisher, TOPOLOGY, told, pause=PAUSE, now=lambda: datetime.now(UTC), sleep=sleep)
