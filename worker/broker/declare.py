"""Declares the topology, and says how the broker's differs from it.

The broker answers a declaration that does not fit by closing the channel, so every finding costs one. Bindings can be
made but not asked for over AMQP; a policy's arguments cannot be seen either.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final, TypeAlias, TypeVar

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed

from worker.broker.connection import ANSWER_S, open_channel, translated
from worker.broker.difference import Difference
from worker.core.topology import Binding, Exchange, Queue, Topology
from worker.errors import TopologyMismatch

#: Channels that declare side by side: a quorum queue is not made faster by more (measured: 1: 310 ms, 4 or 12: 170 ms).
_CHANNELS: Final = 4

Entity: TypeAlias = Exchange | Queue
_Item = TypeVar("_Item", Exchange, Queue, Binding)
_Answer: TypeAlias = Difference | None


async def declare(connection: AbstractConnection, topology: Topology) -> list[Difference]:
    """Declare everything that is not there yet; returns the differences that lose nothing.

    Raises:
        TopologyMismatch: something is there and differs so that messages can be lost; a sentence for each.
        BrokerUnavailable: the connection broke, or the account may not declare.
    """

    async def declare_entity(channel: AbstractChannel, entity: Entity) -> _Answer:
        return await _told(channel, entity, topology)

    differences = [
        *await _side_by_side(connection, topology.exchanges(), declare_entity),
        *await _side_by_side(connection, topology.queues(), declare_entity),
    ]
    _refuse(differences)
    await _side_by_side(connection, topology.bindings(), _bind)
    return differences


async def verify(connection: AbstractConnection, topology: Topology) -> list[Difference]:
    """Say what is missing or different; nothing is created.

    Without the right to configure, the broker tells what exists and not how it was made: that is said, too.

    Raises:
        BrokerUnavailable: the connection broke, or the account may not ask.
    """

    async def verify_entity(channel: AbstractChannel, entity: Entity) -> _Answer:
        try:
            await _declare(channel, entity, passive=True)
        except ChannelNotFoundEntity:
            return Difference.missing(entity)
        try:
            return await _told(channel, entity, topology)  # it exists: declaring compares
        except ChannelAccessRefused:
            return Difference.unknown(entity)

    return [
        *await _side_by_side(connection, topology.exchanges(), verify_entity),
        *await _side_by_side(connection, topology.queues(), verify_entity),
    ]


def _refuse(differences: Iterable[Difference]) -> None:
    fatal = [difference.sentence for difference in differences if difference.is_fatal]
    if fatal:
        raise TopologyMismatch("the broker's topology can lose messages:\n- " + "\n- ".join(fatal))


async def _told(channel: AbstractChannel, entity: Entity, topology: Topology) -> _Answer:
    try:
        await _declare(channel, entity)
    except ChannelPreconditionFailed as refusal:
        return Difference.told(entity, str(refusal), topology)
    return None


async def _declare(channel: AbstractChannel, entity: Entity, *, passive: bool = False) -> None:
    arguments = dict(entity.arguments)
    async with asyncio.timeout(ANSWER_S):
        if isinstance(entity, Queue):
            await channel.queue_declare(entity.name, durable=True, passive=passive, arguments=arguments)
        else:
            await channel.exchange_declare(
                entity.name, exchange_type=entity.kind, durable=True, passive=passive, arguments=arguments
            )


async def _bind(channel: AbstractChannel, binding: Binding) -> None:
    bind = channel.exchange_bind if binding.to_exchange else channel.queue_bind
    async with asyncio.timeout(ANSWER_S):
        await bind(binding.destination, binding.source, binding.key)


async def _side_by_side(
    connection: AbstractConnection,
    items: Iterable[_Item],
    act: Callable[[AbstractChannel, _Item], Awaitable[_Answer]],
) -> list[Difference]:
    """Act on all *items* over some channels, with a new channel after every finding."""
    waiting, found = iter(items), list[Difference]()
    try:
        async with asyncio.TaskGroup() as walkers:
            for number in range(_CHANNELS):
                walkers.create_task(_walk(connection, waiting, act, found), name=f"declare {number}")
    except ExceptionGroup as failures:
        first = failures.exceptions[0]  # one connection, one cause: the others say the same
        raise first from first.__cause__
    return found


async def _walk(
    connection: AbstractConnection,
    items: Iterator[_Item],
    act: Callable[[AbstractChannel, _Item], Awaitable[_Answer]],
    found: list[Difference],
) -> None:
    with translated("declaring the topology"):
        channel = await open_channel(connection)
        for item in items:
            difference = await act(channel, item)
            if difference is not None:
                found.append(difference)
                channel = await open_channel(connection)
        await channel.close()


async def undeclare(connection: AbstractConnection, topology: Topology) -> None:
    """Delete every queue and exchange of *topology*, with all messages: for namespaces that were made for a demo.

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
