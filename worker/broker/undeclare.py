"""Takes a topology away again, with everything in it: for namespaces that were made for a demo."""

from aio_pika.abc import AbstractConnection

from worker.broker.connection import open_channel, translated
from worker.core.topology import Topology


async def undeclare(connection: AbstractConnection, topology: Topology) -> None:
    """Delete every queue and exchange of *topology*.

    Raises:
        BrokerUnavailable: the connection broke.
    """
    channel = await open_channel(connection)
    with translated("deleting the topology"):
        for queue in topology.queues():
            await channel.queue_delete(queue.name)
        for exchange in topology.exchanges():
            await channel.exchange_delete(exchange.name)
        await channel.close()
