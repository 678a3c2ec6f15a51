"""How many messages and consumers queues have: free to ask, and nobody is disturbed."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelNotFoundEntity

from worker.broker.connection import Connection, open_channel, translated
from worker.errors import BrokerUnavailable


@dataclass(frozen=True, slots=True)
class Depth:
    """One queue."""

    #: Ready messages; those in the hands of a consumer are not counted.
    messages: int
    consumers: int


async def depths(channel: AbstractChannel, queues: Iterable[str]) -> Mapping[str, Depth]:
    """Ask for each of *queues*.

    Raises:
        BrokerUnavailable: the connection broke, or a queue is not declared; *channel* is then closed.
    """
    return {queue: await depth_of(channel, queue) for queue in queues}


async def survey(connection: Connection, queues: Iterable[str]) -> tuple[Mapping[str, Depth], list[str]]:
    """Ask for each of *queues*: what is there, and the names of those that do not exist.

    Raises:
        BrokerUnavailable: the connection broke.
    """
    found: dict[str, Depth] = {}
    missing: list[str] = []
    channel = await open_channel(connection)
    for queue in queues:
        try:
            found[queue] = await depth_of(channel, queue)
        except BrokerUnavailable as error:
            if not _is_missing(error):
                raise
            missing.append(queue)
            channel = await open_channel(connection)  # RabbitMQ has closed the one that asked
    with suppress(BrokerUnavailable), translated("closing a channel"):
        await channel.close()
    return found, missing


def _is_missing(error: BrokerUnavailable) -> bool:
    return error.__cause__ is not None and isinstance(error.__cause__.__cause__, ChannelNotFoundEntity)


async def depth_of(channel: AbstractChannel, queue: str) -> Depth:
    """Ask for *queue*; raises what `depths` raises."""
    try:
        with translated(f"looking at {queue}"):
            answer = await channel.queue_declare(queue, passive=True)
    except BrokerUnavailable as error:
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            raise BrokerUnavailable(
                f"queue {queue} does not exist: start a worker, or run: sms-worker topology declare"
            ) from error
        raise
    return Depth(answer.message_count or 0, answer.consumer_count or 0)
