"""How many messages and consumers queues have: free to ask, and nobody is disturbed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelNotFoundEntity

from worker.broker.connection import translated
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
