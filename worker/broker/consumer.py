"""Consumes the lanes and hands every delivery to the receiver, in a task of its own.

A lane has two queues: what is new, and what is due. Each has its own consumer and prefetch, so that a due request does
not wait until the new ones in hand have gone; both are on one channel.

Not inside the library's callback: a callback is cancelled when the connection is cut, and with it a call to the
provider whose outcome nobody would learn. A lane that loses its channel or its consumer gets new ones, the others go
on; when the connection is lost all begin anew on the next one.

A lane whose intake is paused keeps its channel, for what is in hand can be settled on that alone, and has no consumer.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from math import ceil
from typing import Final

from aiormq.abc import AbstractConnection as Transport
from aiormq.abc import DeliveredMessage

from worker.broker.ack_timeout import ack_timeout
from worker.broker.connection import (
    Connection,
    Role,
    first_of,
    forever,
    tell_lost,
    together,
    translated,
    transport_of,
    until_closed,
    why_closed,
)
from worker.broker.declare import declare
from worker.broker.delivery import BrokerDelivery, delivery_of
from worker.broker.direct import DirectChannel, open_direct
from worker.broker.wire.cutter import Delivered, Event
from worker.core.message.age import oldest_s
from worker.core.message.lane import Lane
from worker.core.topology import Topology
from worker.errors import BrokerUnavailable, WorkerError
from worker.ports import Events, Receiver
from worker.settings.sections import BrokerSettings

_ROLE: Final[Role] = "consume"
#: The broker answers a cancel at once, or is gone. Seconds.
_CANCEL_S: Final = 3.0
#: A queue that has just lost its leader has another one by then. Seconds.
_CONSUME_S: Final = 10.0
#: How the tags of consumers begin, of what is due and of what is new.
_DUE: Final = "due-"
_NEW: Final = "new-"


class Intake:
    """One connection, and for each lane a channel with a consumer for each of its queues, kept for good."""

    def __init__(
        self,
        settings: BrokerSettings,
        topology: Topology,
        prefetch: Mapping[Lane, int],
        receiver: Receiver,
        events: Events,
        *,
        dice: Callable[[], float] = random.random,
        impatient: Callable[[timedelta], None] | None = None,
    ) -> None:
        """Consume the lanes of *prefetch*, each with so many unsettled deliveries at the most from each of its queues.

        *impatient* hears the broker's ``consumer_timeout`` when that closed a channel: no delivery may wait so long.
        """
        self._settings = settings
        self._topology = topology
        self._prefetch = prefetch
        self._receiver = receiver
        self._events = events
        self._dice = dice
        self._impatient = impatient
        #: Deliveries of each lane that may be in hand; None leaves it to the prefetch.
        self._most: int | None = None
        #: Set, and replaced, when that changes.
        self._turned = asyncio.Event()
        self._consumers: dict[Lane, list[tuple[DirectChannel, str]]] = {}
        self._serial = count()
        #: Held by whoever gives a lane its consumers, or takes them away.
        self._locks = {lane: asyncio.Lock() for lane in prefetch}
        #: Lanes that are as they should be: with their consumers, or paused.
        self._ready: set[Lane] = set()
        self._in_hand: dict[asyncio.Task[None], BrokerDelivery] = {}
        #: Of the tasks of each lane.
        self._names = {lane: f"delivery {lane.value}" for lane in prefetch}
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        #: Of the session: to ask for it with each delivery is a system call each time (CPython 3.11).
        self._loop: asyncio.AbstractEventLoop

    @property
    def in_hand(self) -> int:
        """Deliveries that were received and not yet settled, or given up with their connection."""
        return len(self._in_hand)

    def in_hand_by_lane(self) -> Mapping[Lane, int]:
        """What is in hand, of every lane that is consumed."""
        counts = Counter(delivery.raw.lane for delivery in self._in_hand.values())
        return {lane: counts[lane] for lane in self._prefetch}

    def oldest_s(self) -> Mapping[Lane, float]:
        """How many seconds ago the oldest in hand was published first, of each lane where one tells it."""
        return oldest_s((delivery.raw for delivery in self._in_hand.values()), datetime.now(UTC))

    @property
    def is_consuming(self) -> bool:
        """Whether every lane has its consumers, or would have them but for a pause."""
        return self._ready == self._prefetch.keys()

    @property
    def is_paused(self) -> bool:
        """Whether nothing is let in, on this connection and on the next."""
        return self._most == 0

    async def run(self) -> None:
        """Consume until cancelled; for a task group. Else see `start`."""
        await forever(self._session, self._settings, _ROLE, self._events, self._dice)

    def start(self) -> None:
        """Run in a task of this object's own, which `aclose` ends."""
        self._task = asyncio.create_task(self.run(), name="broker consume")

    async def pause(self) -> None:
        """Let nothing new in until `resume`; what is in hand goes on and can still be settled."""
        self._turn(0)
        await self._shut()

    def resume(self, most: int | None = None) -> None:
        """Let deliveries in again, *most* of each lane at a time, or as many as the prefetch allows.

        Each of a lane's two queues gets half of *most*, rounded up. With fewer than before, those in hand stay.
        """
        self._turn(most)

    async def stop(self) -> None:
        """Let nothing new in any more; what is in hand goes on and can still be settled."""
        self._stopped.set()
        await self._shut()

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

    async def _session(self, connection: Connection) -> None:
        self._loop = asyncio.get_running_loop()
        if self._settings.declare:
            await declare(connection, self._topology)
        transport = transport_of(connection)
        try:
            await together(transport, *(self._keep(connection, transport, lane) for lane in self._prefetch))
        finally:
            self._ready.clear()
            self._consumers.clear()

    async def _keep(self, connection: Connection, transport: Transport, lane: Lane) -> None:
        """Consume *lane* on one channel after the other, as long as the connection lives."""
        while not self._stopped.is_set():
            try:
                await self._consume(connection, lane)
            except WorkerError as error:
                if transport.is_closed:
                    return  # told once, by the session
                tell_lost(self._events, _ROLE, error)
                self._heed(str(error))
            finally:
                self._ready.discard(lane)
                self._consumers.pop(lane, None)
            await asyncio.sleep(self._settings.reconnect_pause.total_seconds())
            await self._restore_queue(connection)
        await until_closed(transport)  # for the other lanes; this one lost its channel while the worker leaves

    def _heed(self, reason: str) -> None:
        """Note when RabbitMQ closed a channel because a delivery waited too long to be settled."""
        timeout = ack_timeout(reason)
        if timeout is not None and self._impatient is not None:
            self._impatient(timeout)

    async def _restore_queue(self, connection: Connection) -> None:
        """Somebody may have deleted the queue; when it cannot be restored, consuming says why."""
        if self._settings.declare:
            with suppress(WorkerError):
                await declare(connection, self._topology)

    async def _consume(self, connection: Connection, lane: Lane) -> None:
        """Consume *lane* until its channel or a consumer is lost, which raises BrokerUnavailable."""

        def hear(event: Event) -> None:
            if isinstance(event, Delivered) and event.consumer in library.consumers:
                due = event.consumer.startswith(_DUE)
                self._take(delivery_of(event, lane, self._topology, channel, due=due))

        channel, cancelled = await open_direct(connection, hear), asyncio.Event()
        library = channel.library
        library.on_consumer_cancel_callbacks.add(lambda _: cancelled.set())
        while True:
            turned = self._turned
            await self._open(channel, lane)
            self._ready.add(lane)
            await first_of(cancelled.wait(), until_closed(library), turned.wait())
            if library.is_closed:
                raise why_closed(library)
            if cancelled.is_set():
                with translated(f"leaving the lane {lane.value}"):
                    await library.close(timeout=_CANCEL_S)
                raise BrokerUnavailable(
                    f"RabbitMQ cancelled a consumer of the lane {lane.value}: its queue was deleted"
                )

    async def _open(self, channel: DirectChannel, lane: Lane) -> None:
        """Give *lane* the consumers that it should have now: their prefetch holds for new ones only."""
        async with self._locks[lane]:
            await self._cancel(lane)
            prefetch = self._wanted(lane)
            if prefetch:
                await self._subscribe(channel, lane, self._topology.due_queue(lane), prefetch, due=True)
                await self._subscribe(channel, lane, self._topology.lane_queue(lane), prefetch, due=False)

    async def _subscribe(self, channel: DirectChannel, lane: Lane, queue: str, prefetch: int, *, due: bool) -> None:
        # Named before the broker knows it: deliveries may be heard before the library reads that they were asked for.
        tag = f"{_DUE if due else _NEW}{next(self._serial)}"
        with translated(f"consuming {queue}"):  # not for ever: who shuts the intake waits for the lock
            await channel.library.basic_qos(prefetch_count=prefetch, timeout=_CONSUME_S)
            await channel.library.basic_consume(queue, _by_the_library, consumer_tag=tag, timeout=_CONSUME_S)
        self._consumers.setdefault(lane, []).append((channel, tag))

    def _wanted(self, lane: Lane) -> int:
        """Deliveries of each of *lane*'s queues that may be in hand."""
        if self._stopped.is_set():
            return 0
        own = self._prefetch[lane]
        return own if self._most is None else min(ceil(self._most / 2), own)

    def _turn(self, most: int | None) -> None:
        if most != self._most:
            self._most = most
            self._turned.set()
            self._turned = asyncio.Event()

    async def _shut(self) -> None:
        """Take their consumers from all lanes; none gets a new one, for `_wanted` says so already."""
        await asyncio.gather(*map(self._shut_lane, self._prefetch))

    async def _shut_lane(self, lane: Lane) -> None:
        async with self._locks[lane]:
            await self._cancel(lane)

    async def _cancel(self, lane: Lane) -> None:
        for channel, tag in self._consumers.pop(lane, []):
            with suppress(BrokerUnavailable), translated("cancelling a consumer"):
                await channel.library.basic_cancel(tag, timeout=_CANCEL_S)

    def _take(self, delivery: BrokerDelivery) -> None:
        task = self._loop.create_task(self._receiver(delivery), name=self._names[delivery.raw.lane])
        self._in_hand[task] = delivery
        self._idle.clear()
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._in_hand.pop(task, None)
        if not self._in_hand:
            self._idle.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The receiver promises not to raise: this is a bug. The delivery stays unsettled until its channel ends.
            self._events.emit("pipeline.failed", exception=type(error).__name__, error=error)


async def _by_the_library(_: DeliveredMessage) -> None:
    """Never called: what is delivered is heard before the library, which needs a callback for every consumer."""
