"""Publishes, and knows that the broker has what was published.

On a connection of its own: while an alarm of memory or disk lasts the broker reads nothing from a connection that
publishes, and acknowledgements on it would wait too.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn, Self

from aiormq.abc import AbstractConnection as Transport
from aiormq.exceptions import (
    ChannelPreconditionFailed,
    ConnectionCommandInvalid,
    ConnectionFrameError,
    ConnectionInternalError,
    ConnectionNotImplemented,
    ConnectionSyntaxError,
    ConnectionUnexpectedFrame,
)

from worker.broker.confirms import Verdict
from worker.broker.connection import (
    Connection,
    Role,
    forever,
    together,
    translated,
    transport_of,
    until_closed,
    why_closed,
)
from worker.broker.declare import declare
from worker.broker.publishing import PublishingChannel, open_publishing
from worker.core.outgoing.envelope import Outgoing
from worker.core.topology import Topology
from worker.errors import BrokerUnavailable, PublishUnconfirmed, Unpublishable, Unroutable
from worker.ports import Events
from worker.settings.sections import BrokerSettings

_ROLE: Final[Role] = "publish"
#: How often the connection is asked whether an alarm blocks it: the library tells of it in its log only. Seconds.
_POLL_S: Final = 0.25
#: A channel of one message is closed within this time, or left alone. Seconds.
_CLOSE_S: Final = 3.0
#: Why the broker closes a channel or a connection for what is in a message; never for its rights, a missing exchange,
#: a full queue or its own troubles (403, 404, 320 …).
_ITS_OWN_FAULT: Final = (
    ChannelPreconditionFailed,  # 406, larger than the broker takes
    ConnectionFrameError,  # 501, headers that do not fit into a frame
    ConnectionSyntaxError,  # 502
    ConnectionCommandInvalid,  # 503
    ConnectionUnexpectedFrame,  # 505
    ConnectionNotImplemented,  # 540
    ConnectionInternalError,  # 541, a value that the broker itself fails on
)


class BrokerPublisher:
    """One connection and one channel with confirms, kept for good; any number of publishes at once."""

    def __init__(
        self, settings: BrokerSettings, topology: Topology, events: Events, *, dice: Callable[[], float] = random.random
    ) -> None:
        """Nothing is opened yet; *dice* gives numbers in [0, 1) and spreads reconnections."""
        self._settings = settings
        self._topology = topology
        self._events = events
        self._dice = dice
        self._timeout_s = settings.publish_timeout.total_seconds()
        self._connection: Connection | None = None
        self._channel: PublishingChannel | None = None
        #: Held by the one message that has a channel for itself.
        self._alone = asyncio.Lock()
        #: Set when no queue took a message: something of the topology is missing.
        self._missing = asyncio.Event()
        self._connected = asyncio.Event()
        self._blocked = False
        self._task: asyncio.Task[NoReturn] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a publish would be tried now."""
        return self._channel is not None and self._channel.is_open

    @property
    def blocked(self) -> bool:
        """Whether an alarm of memory or disk lasts at the broker, so that it takes no publishes."""
        return self._blocked

    async def run(self) -> NoReturn:
        """Keep the connection until cancelled; for a task group. Else see `start`."""
        await forever(self._session, self._settings, _ROLE, self._events, self._dice)

    def start(self) -> None:
        """Run in a task of this object's own, which `aclose` ends."""
        self._task = asyncio.create_task(self.run(), name="broker publish")

    async def aclose(self) -> None:
        """End what `start` began; publishes in flight raise PublishUnconfirmed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def __aenter__(self) -> Self:
        """Start; `wait_connected` says when publishing can begin."""
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def wait_connected(self) -> None:
        """Return as soon as publishing can begin.

        Raises:
            BrokerUnavailable: it could not begin within the connect timeout.
        """
        patience_s = self._settings.connect_timeout.total_seconds()
        try:
            async with asyncio.timeout(patience_s):
                await self._connected.wait()
        except TimeoutError:
            raise BrokerUnavailable(f"RabbitMQ could not be connected within {patience_s:g} s") from None

    async def publish(self, message: Outgoing) -> None:
        """Publish *message*, persistent and mandatory, and wait for the broker's confirm.

        Raises:
            Unroutable: no queue took it.
            PublishUnconfirmed: it was sent, and no confirm came: it may or may not be there.
            BrokerUnavailable: it was not sent: not connected, or blocked by an alarm.
        """
        await self._publish(self._usable(), message)

    async def publish_alone(self, message: Outgoing) -> None:
        """Publish *message* on a channel of its own, after others that want the same.

        Raises:
            Unpublishable: the message itself is at fault, for nothing else was on its channel.
            BrokerUnavailable, PublishUnconfirmed, Unroutable: as `publish` does.
        """
        async with self._alone:
            self._usable()
            if self._connection is None:
                raise BrokerUnavailable("RabbitMQ is not connected")
            channel = await open_publishing(self._connection, self._timeout_s)
            try:
                await self._publish(channel, message)
            finally:
                with suppress(BrokerUnavailable), translated("closing"):
                    await channel.library.close(timeout=_CLOSE_S)

    async def _publish(self, channel: PublishingChannel, message: Outgoing) -> None:
        try:
            verdict = await channel.publish(message)
        except PublishUnconfirmed:
            raise
        except BrokerUnavailable as failure:
            raise _told(failure) from failure.__cause__
        if verdict is Verdict.TAKEN:
            return
        match verdict:
            case Verdict.REFUSED:
                raise PublishUnconfirmed("RabbitMQ refused the message: a queue is full or has no majority")
            case Verdict.LATE:
                raise PublishUnconfirmed("no confirm: no answer in time")
            case Verdict.RETURNED:
                self._missing.set()
                route = message.route
                raise Unroutable(f"no queue takes what exchange {route.exchange} gets with key {route.key}")

    def _usable(self) -> PublishingChannel:
        if self._blocked:
            raise BrokerUnavailable("RabbitMQ takes no publishes: an alarm of memory or disk")
        if self._channel is None or not self._channel.is_open:
            raise BrokerUnavailable("RabbitMQ is not connected")
        return self._channel

    async def _session(self, connection: Connection) -> None:
        if self._settings.declare:
            await declare(connection, self._topology)
        transport, channel = transport_of(connection), await open_publishing(connection, self._timeout_s)
        self._connection, self._channel = connection, channel
        self._connected.set()
        try:
            await together(
                transport, _until_lost(channel, transport), self._watch_alarm(transport), self._keep_whole(connection)
            )
        finally:
            self._connection, self._channel, self._blocked = None, None, False
            self._connected.clear()

    async def _keep_whole(self, connection: Connection) -> None:
        """Declare the topology again when something of it was missing; at most once in a pause."""
        while True:
            await self._missing.wait()
            self._missing.clear()
            if self._settings.declare:
                await declare(connection, self._topology)
            await asyncio.sleep(self._settings.reconnect_pause.total_seconds())

    async def _watch_alarm(self, transport: Transport) -> None:
        """Note when the connection is blocked, so that nothing more is written into it."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_POLL_S)
            try:
                async with asyncio.timeout(0):
                    await transport.ready()
            except TimeoutError:
                since, self._blocked = loop.time(), True
                self._events.emit("broker.blocked", role=_ROLE)
                await transport.ready()
                self._blocked = False
                self._events.emit("broker.unblocked", role=_ROLE, duration_s=loop.time() - since)


async def _until_lost(channel: PublishingChannel, transport: Transport) -> NoReturn:
    await until_closed(channel.library)
    raise why_closed(channel.library, transport)


def _told(failure: BrokerUnavailable) -> PublishUnconfirmed:
    """What it means for a publish that its channel was lost."""
    kind = Unpublishable if isinstance(failure.__cause__, _ITS_OWN_FAULT) else PublishUnconfirmed
    return kind(f"no confirm: {failure}")
