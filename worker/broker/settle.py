"""The only place that acknowledges: first the broker confirms what was published, then the delivery is acknowledged.

Acknowledgements are written together, some milliseconds late (`broker/socket.py`). Each names its own delivery tag;
none speaks for the tags before it, so none can acknowledge a delivery that is still in hand.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, Protocol

from worker.broker.delivery import BrokerDelivery
from worker.broker.direct import DirectChannel
from worker.broker.retry import growing, until_it_works
from worker.core.outcome.catalog import catalog
from worker.core.outgoing.envelope import WORN_FROM, Outgoing, returned
from worker.core.outgoing.rest import at_rest
from worker.core.topology import Topology
from worker.errors import BrokerUnavailable, Unpublishable, Unroutable, WorkerError
from worker.ports import Delivery, Events

#: A message that ends its channel must not do so for ever. So many times it does with the channel for itself, so that
#: nothing else can be at fault; then it is put to rest. Not left to the broker's delivery limit: RabbitMQ 4.3 does not
#: count what is returned.
MOST_ROUNDS: Final = 3


class Publishes(Protocol):
    """What settling needs of the publisher."""

    async def publish(self, message: Outgoing) -> None:
        """Publish and wait for the confirm; raises BrokerUnavailable or Unroutable."""

    async def publish_alone(self, message: Outgoing) -> None:
        """The same with nothing beside it, so that an Unpublishable is about *message* itself."""


def acknowledge(channel: DirectChannel, tag: int) -> None:
    """Acknowledge the delivery *tag*: what it asked for is done, or is somewhere else."""
    channel.ack(tag)


class BrokerSettler:
    """What the way of a message knows as `ports.Settler`."""

    def __init__(
        self,
        publisher: Publishes,
        topology: Topology,
        events: Events,
        *,
        pause: timedelta,
        now: Callable[[], datetime],
        dice: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """After a failed publish a pause passes before it is tried again, or it would spin; it grows from *pause* on.

        *dice* gives numbers in [0, 1) and spreads the tries.
        """
        self._publisher = publisher
        self._topology = topology
        self._events = events
        self._pause = growing(pause, dice)
        self._sleep = sleep
        self._now = now
        self._stuck = 0

    @property
    def is_stuck(self) -> bool:
        """Whether something could not be published and is tried again: what is called now could not be settled."""
        return self._stuck > 0

    async def publish_and_ack(self, delivery: Delivery, message: Outgoing) -> None:
        """Publish *message*, wait for the broker's confirm, then acknowledge *delivery*.

        A failed publish is tried again here, as long as the delivery can still be acknowledged: what *message* says
        has happened and may have been paid for, and whoever had the delivery again would make it happen again. What
        cannot be published holds its place in the prefetch, so that no more is taken than can be settled. That a queue
        is missing or full, or that the broker takes nothing, is never the message's fault; one that ends every channel
        that it has for itself is put to rest as poison.

        Raises:
            BrokerUnavailable, Unroutable: *delivery* can no longer be acknowledged, it comes again.
        """
        own = _own(delivery)
        try:
            await self._publisher.publish(message)
        except (BrokerUnavailable, Unroutable) as error:
            await self._insist(own, message, error)
        acknowledge(own.channel, own.tag)

    async def _insist(self, own: BrokerDelivery, message: Outgoing, error: WorkerError) -> None:
        """Publish *message*, which failed with *error*, or its last form, until that is confirmed or *own* is lost.

        Raises:
            BrokerUnavailable, Unroutable: the last error, when *own* is lost.
        """
        suspicion, failed = _Suspicion(), [error]

        async def publish() -> None:
            if failed:
                raise failed.pop()
            if suspicion.rounds >= MOST_ROUNDS:
                await self._rest(own, message, suspicion)
            elif suspicion.is_suspect:
                await self._publisher.publish_alone(message)
            else:
                await self._publisher.publish(message)

        def tell(error: WorkerError) -> None:
            suspicion.note(error)
            self._tell(own, message, error)

        self._stuck += 1
        try:
            await until_it_works(
                publish,
                on=(BrokerUnavailable, Unroutable),
                wait=self._pause,
                tell=tell,
                enough=lambda _: not own.is_open,
                sleep=self._sleep,
            )
        finally:
            self._stuck -= 1

    async def _rest(self, own: BrokerDelivery, message: Outgoing, suspicion: "_Suspicion") -> None:
        """Publish the last form of the message, which shows too that the broker takes others; else doubt again."""
        suspicion.rounds = 0  # when even this is not taken, it was not the message
        await self._publisher.publish_alone(at_rest(own.raw, message, catalog(), self._topology, self._now()))
        fields = {"lane": own.raw.lane.value, "request_id": message.correlation_id}
        self._events.emit("broker.unpublishable", exchange=message.route.exchange, **fields)

    async def requeue(self, delivery: Delivery) -> None:
        """Return *delivery* to its queue as it came; never raises on a connection that is gone.

        After many deliveries a copy takes its place: the broker counts each return towards its limit, and a request
        that is only requeued must never die as poison. Where no copy can be published it stays in hand.
        """
        own = _own(delivery)
        if own.deliveries < WORN_FROM or not own.is_open:
            own.channel.requeue(own.tag)
            return
        with suppress(BrokerUnavailable, Unroutable):  # it was lost with its channel, and comes again
            await self.publish_and_ack(delivery, returned(own.raw, self._topology, self._now()))

    def _tell(self, delivery: BrokerDelivery, message: Outgoing, error: WorkerError) -> None:
        fields = {"lane": delivery.raw.lane.value, "request_id": message.correlation_id, "error": error}
        exchange, key = message.route.exchange, message.route.key
        if isinstance(error, Unroutable):
            self._events.emit("broker.unroutable", exchange=exchange, key=key, **fields)
        else:
            self._events.emit("broker.unconfirmed", kind=type(error).__name__, exchange=exchange, **fields)


class _Suspicion:
    """How sure it is that a message itself is at fault when it cannot be published."""

    def __init__(self) -> None:
        #: It was on a channel that ended; others were, too.
        self.is_suspect = False
        #: Times that it ended a channel that it had for itself.
        self.rounds = 0

    def note(self, error: WorkerError) -> None:
        """Hear why a publish failed."""
        if isinstance(error, Unpublishable):
            self.rounds += self.is_suspect
            self.is_suspect = True


def _own(delivery: Delivery) -> BrokerDelivery:
    if not isinstance(delivery, BrokerDelivery):
        raise TypeError(f"{type(delivery).__name__} is no delivery of RabbitMQ")
    return delivery
