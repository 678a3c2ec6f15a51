"""How many messages and consumers queues have: free to ask, and nobody is disturbed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiormq.abc import AbstractChannel

from worker.broker.connection import translated


@dataclass(frozen=True, slots=True)
class Depth:
    """One queue."""

    #: Ready messages; those in the hands of a consumer are not counted.
    messages: int
    consumers: int


async def depths(channel: AbstractChannel, queues: Iterable[str]) -> Mapping[str, Depth]:
    """Ask for each of *queues*.

    Raises:
        BrokerUnavailable: the connection broke, or a queue is not declared.
    """
    found = {}
    for queue in queues:
        with translated(f"looking at {queue} (is the topology declared?)"):
            answer = await channel.queue_declare(queue, passive=True)
        found[queue] = Depth(answer.message_count or 0, answer.consumer_count or 0)
    return found
