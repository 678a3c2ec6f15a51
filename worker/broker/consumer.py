"""Consumes the lanes and hands every delivery to the receiver, in a task of its own.

Not inside the library's callback: a callback is cancelled when the connection is cut, and with it a call to the
provider whose outcome nobody would learn. A lane that loses its channel or its consumer gets new ones, the others go
on; when the connection is lost all begin anew on the next one.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage

from worker.broker.connection import (
    LOST,
    Role,
    first_of,
    forever,
    open_channel,
    translated,
    transport_of,
    until_closed,
    why_closed,
)
from worker.broker.declare import declare
from worker.broker.delivery import BrokerDelivery, delivery_of
from worker.core.lane import Lane
from worker.core.topology import Topology
from worker.errors import BrokerUnavailable, WorkerError
from worker.ports import Events, Receiver
from worker.settings import BrokerSettings

_ROLE: Final[Role] = "consume"
#: The broker answers a cancel at once, or is gone. Seconds.
_CANCEL_S: Final = 3.0


class Intake:
    """One connection, and for each lane a channel, a prefetch and a consumer, kept for good."""

    def __init__(
        self,
        settings: BrokerSettings,
        topology: Topology,
        prefetch: Mapping[Lane, int],
        receiver: Receiver,
        events: Events,
        *,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """Consume the lanes of *prefetch*, each with so many unsettled deliveries at the most."""
        self._settings = settings
        self._topology = topology
        self._prefetch = prefetch
        self._receiver = receiver
        self._events = events
        self._dice = dice
        self._consumers: dict[Lane, tuple[AbstractChannel, str]] = {}
        self._in_hand: dict[asyncio.Task[None], Lane] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def in_hand(self) -> int:
        """Deliveries that were received and not yet settled, or given up with their connection."""
        return len(self._in_hand)

    def in_hand_by_lane(self) -> Mapping[Lane, int]:
        """What is in hand, lane by lane."""
        return Counter(self._in_hand.values())

    @property
    def is_consuming(self) -> bool:
        """Whether every lane has its consumer."""
        return self._consumers.keys() == self._prefetch.keys()

    async def run(self) -> None:
        """Consume until cancelled; for a task group. Else see `start`."""
        await forever(self._session, self._settings, _ROLE, self._events, self._dice)

    def start(self) -> None:
        """Run in a task of this object's own, which `aclose` ends."""
        self._task = asyncio.create_task(self.run(), name="broker consume")

    async def stop(self) -> None:
        """Let nothing new in; what is in hand goes on and can still be settled."""
        self._stopped.set()
        await asyncio.gather(*(_cancel(channel, tag) for channel, tag in self._consumers.values()))
        await asyncio.sleep(0)  # deliveries that came before the broker's answer reach `_take` in this turn

    async def wait_idle(self) -> None:
        """Return when nothing is in hand."""
        await self._idle.wait()

    async def aclose(self) -> None:
        """Leave at once: what is still in hand is not settled, and comes again."""
        await self.stop()
        tasks = [*self._in_hand, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _session(self, connection: AbstractConnection) -> None:
        if self._settings.declare:
            await declare(connection, self._topology)
        transport = transport_of(connection)
        lanes = [
            asyncio.create_task(self._keep(connection, lane), name=f"broker consume {lane.value}")
            for lane in self._prefetch
        ]
        try:
            await until_closed(transport)
            raise BrokerUnavailable(why_closed(transport))
        finally:
            self._consumers.clear()
            for lane in lanes:
                lane.cancel()

    async def _keep(self, connection: AbstractConnection, lane: Lane) -> None:
        """Consume *lane* on one channel after the other, as long as *connection* lives."""
        queue, transport = self._topology.lane_queue(lane), transport_of(connection)
        while not self._stopped.is_set():
            try:
                await self._consume(connection, lane, queue)
            except WorkerError as error:
                if transport.is_closed:
                    return  # told once, by the session
                self._events.emit("broker.lost", role=_ROLE, kind=type(error).__name__, error=error)
            finally:
                self._consumers.pop(lane, None)
            await asyncio.sleep(self._settings.reconnect_pause.total_seconds())
            await self._restore_queue(connection)

    async def _restore_queue(self, connection: AbstractConnection) -> None:
        """Somebody may have deleted the queue; when it cannot be restored, consuming says why."""
        if self._settings.declare:
            with suppress(WorkerError):
                await declare(connection, self._topology)

    async def _consume(self, connection: AbstractConnection, lane: Lane, queue: str) -> None:
        """Consume *queue* until its channel or its consumer is lost, which raises BrokerUnavailable."""
        channel, cancelled = await open_channel(connection), asyncio.Event()

        async def receive(message: DeliveredMessage) -> None:
            self._take(delivery_of(message, lane))

        channel.on_consumer_cancel_callbacks.add(lambda _: cancelled.set())
        with translated(f"consuming {queue}"):
            await channel.basic_qos(prefetch_count=self._prefetch[lane])
            tag = (await channel.basic_consume(queue, receive)).consumer_tag or ""
        self._consumers[lane] = channel, tag
        if self._stopped.is_set():
            await _cancel(channel, tag)
        await first_of(cancelled.wait(), until_closed(channel))
        if channel.is_closed:
            raise BrokerUnavailable(why_closed(channel))
        with translated(f"leaving {queue}"):
            await channel.close()
        raise BrokerUnavailable(f"RabbitMQ cancelled the consumer of {queue}: the queue was deleted")

    def _take(self, delivery: BrokerDelivery) -> None:
        name = f"delivery {delivery.raw.lane.value} {delivery.tag}"
        task = asyncio.create_task(self._receive(delivery), name=name)
        self._in_hand[task] = delivery.raw.lane
        self._idle.clear()
        task.add_done_callback(self._let_go)

    async def _receive(self, delivery: BrokerDelivery) -> None:
        await self._receiver(delivery)

    def _let_go(self, task: "asyncio.Task[None]") -> None:
        self._in_hand.pop(task, None)
        if not self._in_hand:
            self._idle.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The receiver promises not to raise: this is a bug. The delivery stays unsettled until its channel ends.
            self._events.emit("pipeline.failed", exception=type(error).__name__, error=error)


async def _cancel(channel: AbstractChannel, consumer_tag: str) -> None:
    with suppress(*LOST):
        await channel.basic_cancel(consumer_tag, timeout=_CANCEL_S)
