"""Takes outcome events out of the done queue, as the publishers of requests would."""

import asyncio
from typing import Any, Final

import orjson
from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage

from worker.broker.connection import open_channel, translated
from worker.broker.depths import depths
from worker.core.topology import Topology

#: An event that does not come for so long was taken by somebody else. Seconds.
_PATIENCE_S: Final = 5.0


async def take_outcomes(connection: AbstractConnection, topology: Topology) -> list[dict[str, Any]]:
    """Take all outcome events that wait now; they are gone from the queue.

    Raises:
        BrokerUnavailable: the connection broke.
    """
    channel = await open_channel(connection)
    waiting = (await depths(channel, [topology.done_queue]))[topology.done_queue].messages
    arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
    events: list[dict[str, Any]] = []
    with translated("reading outcome events"):
        await channel.basic_consume(topology.done_queue, arrived.put, no_ack=True)
        async with asyncio.timeout(_PATIENCE_S) as patience:
            while len(events) < waiting:
                events.append(orjson.loads((await arrived.get()).body))
                patience.reschedule(asyncio.get_running_loop().time() + _PATIENCE_S)
        await channel.close()
    return events
