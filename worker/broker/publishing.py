"""A channel for publishes: each is written as bytes with all others of the same turn, and waits for its confirm."""

import asyncio
from datetime import UTC, datetime

from worker.broker.confirms import Confirms, Verdict
from worker.broker.connection import Connection, why_closed
from worker.broker.direct import DirectChannel, open_direct
from worker.broker.message import properties_of
from worker.broker.wire.cutter import Event
from worker.broker.wire.frames import publish_frames
from worker.broker.wire.properties import write_properties
from worker.core.outgoing.envelope import Outgoing
from worker.errors import BrokerUnavailable, PublishUnconfirmed, Unpublishable


class PublishingChannel:
    """One channel with confirms."""

    def __init__(self, channel: DirectChannel, confirms: Confirms, patience_s: float) -> None:
        """*confirms* hears the channel; each publish waits *patience_s* for its confirm."""
        self.library = channel.library
        self._channel = channel
        self._confirms = confirms
        self._patience_s = patience_s
        channel.library.closing.add_done_callback(self._lost)

    @property
    def is_open(self) -> bool:
        """Whether a publish would be written."""
        return self._channel.is_open

    async def publish(self, message: Outgoing) -> Verdict:
        """Publish *message*, persistent and mandatory, and wait for the broker's verdict.

        Raises:
            Unpublishable: the message cannot be written.
            BrokerUnavailable: the channel was lost; its cause says why.
        """
        channel = self._channel
        if channel.socket.is_full:
            await self._until_writable()
        try:
            properties = write_properties(properties_of(message, datetime.now(UTC), self._confirms.next_id))
            route = message.route
            written = publish_frames(
                channel.number, route.exchange, route.key, properties, message.body, channel.frame_max
            )
        except Exception as error:
            raise Unpublishable(f"it cannot be written ({type(error).__name__})") from error
        channel.socket.write(written)
        return await self._confirms.expect()

    async def _until_writable(self) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._channel.socket.until_writable()
        except TimeoutError as error:
            raise PublishUnconfirmed("no confirm: no answer in time") from error
        if not self._channel.is_open:
            raise BrokerUnavailable("RabbitMQ is not connected")

    def _lost(self, _: "asyncio.Future[object]") -> None:
        self._confirms.fail(lambda: why_closed(self.library))


async def open_publishing(connection: Connection, patience_s: float) -> PublishingChannel:
    """Open a channel with confirms, for each of which *patience_s* seconds are waited.

    Raises:
        BrokerUnavailable: the connection broke.
    """
    confirms = Confirms(patience_s)

    def hear(event: Event) -> None:
        confirms.hear(event)

    return PublishingChannel(await open_direct(connection, hear, confirms=True), confirms, patience_s)
