"""A publisher as publishers should be: what the broker does not confirm is published again, under the same id."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiormq
from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError
from pamqp.commands import Basic

from tests.faults.requests import Publication
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE
from worker.core.topology import Topology

_TOPOLOGY: Final = Topology()
#: What an interrupted publish raises; a closed channel is a RuntimeError of the library.
_BROKEN: Final = (AMQPError, OSError, RuntimeError, TimeoutError)
#: Seconds until a confirm is no longer waited for, and between two tries.
_CONFIRM_S: Final = 5.0
_PAUSE_S: Final = 0.1
#: Seconds that a goodbye may take: while an alarm lasts the broker does not answer it.
_GOODBYE_S: Final = 1.0


class Publishing:
    """Publishes until confirmed, and keeps the account of it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._channel: AbstractChannel | None = None
        #: How often each id was confirmed. Publishes without a confirm may be in the queue besides.
        self.published: Counter[str] = Counter()

    async def publish(self, publications: Iterable[Publication]) -> None:
        """Publish all of them, and return when each is confirmed."""
        waiting = list(publications)
        while waiting:
            try:
                channel = await self._open()
                sent = (_send(channel, publication) for publication in waiting)
                results = await asyncio.gather(*sent, return_exceptions=True)
            except _BROKEN:
                await self._drop()
                continue
            confirmed = [one for one, result in zip(waiting, results, strict=True) if not _is_broken(result)]
            self.published.update(publication.id for publication in confirmed)
            waiting = [one for one, result in zip(waiting, results, strict=True) if _is_broken(result)]
            if waiting:
                await self._drop()

    async def waiting(self) -> int:
        """Messages that are ready on all lanes; so many that nobody would add to them when the broker is away."""
        try:
            channel = await self._open()
            queues = [queue for lane in Lane for queue in _TOPOLOGY.queues_of(lane)]
            found = [await channel.queue_declare(queue, passive=True) for queue in queues]
        except _BROKEN:
            await self._drop()
            return sys.maxsize
        return sum(one.message_count or 0 for one in found)

    async def _open(self) -> AbstractChannel:
        if self._channel is None or self._channel.is_closed:
            connection = await aiormq.connect(self._url)
            self._channel = await connection.channel(publisher_confirms=True)
        return self._channel

    async def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            with suppress(*_BROKEN, asyncio.CancelledError):
                async with asyncio.timeout(_GOODBYE_S):
                    await channel.connection.close()
        await asyncio.sleep(_PAUSE_S)

    async def aclose(self) -> None:
        """Disconnect."""
        await self._drop()


async def _send(channel: AbstractChannel, publication: Publication) -> None:
    route = _TOPOLOGY.to_lane(publication.lane)
    properties = Basic.Properties(
        delivery_mode=2, message_type=MESSAGE_TYPE, content_type="application/json", correlation_id=publication.id
    )
    await channel.basic_publish(
        publication.body,
        exchange=route.exchange,
        routing_key=route.key,
        properties=properties,
        mandatory=True,
        timeout=_CONFIRM_S,
    )


def _is_broken(result: object) -> bool:
    if result is None or not isinstance(result, BaseException):
        return False
    if isinstance(result, (*_BROKEN, asyncio.CancelledError)):  # a cut connection cancels what waits on it
        return True
    raise result


@asynccontextmanager
async def publisher(url: str) -> AsyncIterator[Publishing]:
    """A publisher at *url*, disconnected afterwards."""
    publishing = Publishing(url)
    try:
        yield publishing
    finally:
        await publishing.aclose()
