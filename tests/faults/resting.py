"""Reads what the queues hold into the accounts."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPError

from tests.brokers import raw_channel, take
from tests.faults.accounts import DONE, Rest
from tests.waiting import eventually
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES
from worker.core.topology import Topology

_TOPOLOGY: Final = Topology()
#: Where a message goes no further.
_ENDS: Final = (_TOPOLOGY.done_queue, *(_TOPOLOGY.dead_queue(dead) for dead in DEAD_CLASSES))
#: From the top of the ladder down to the ends: what moves while it is read moves towards what is read later.
_ALL: Final = (
    *_TOPOLOGY.delay_queues(),
    *(queue for lane in Lane for queue in reversed(_TOPOLOGY.queues_of(lane))),
    *_ENDS,
)
#: Messages taken at once.
_MOST: Final = 500
#: What a broker that is away or starting was seen to raise.
_AWAY: Final = (AMQPError, OSError, RuntimeError, TimeoutError)


class Resting:
    """Takes the messages out of the queues of one virtual host, and remembers them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.rests: list[Rest] = []

    async def settle(self, copies: Mapping[str, int], timeout: float) -> None:  # noqa: ASYNC109 - a test's deadline
        """Wait until as many messages of each id as were published have come to an end, and nothing waits.

        Raises:
            AssertionError: it takes longer than *timeout* seconds.
        """
        await eventually(lambda: self._are_at_rest(copies), timeout, "everything has come to rest")

    async def take_all(self) -> list[Rest]:
        """Everything that is in any queue; for when no worker runs any more, and every channel of it is closed."""
        while await self._take(_ALL):
            pass
        return self.rests

    async def _are_at_rest(self, copies: Mapping[str, int]) -> bool:
        try:
            await self._take(_ENDS)
            if Counter(copies) - Counter(rest.id for rest in self.rests):
                await asyncio.sleep(0.2)  # a look at every queue costs the broker something, too
                return False
            return not any((await self._depths(_ALL)).values())
        except _AWAY:
            return False

    async def _take(self, queues: tuple[str, ...]) -> int:
        depths = await self._depths(queues)
        for queue, depth in depths.items():
            for most in [_MOST] * (depth // _MOST) + [depth % _MOST]:
                if most:
                    name = queue.split(".", 1)[1]
                    self.rests += [_rest(name, message) for message in await take(self._url, queue, most)]
        return sum(depths.values())

    async def _depths(self, queues: tuple[str, ...]) -> dict[str, int]:
        async with raw_channel(self._url) as channel:
            return {queue: (await channel.queue_declare(queue, passive=True)).message_count or 0 for queue in queues}


def _rest(queue: str, message: DeliveredMessage) -> Rest:
    body: Any = orjson.loads(message.body)
    headers: Mapping[str, Any] = message.header.properties.headers or {}
    unknowns = body["unknowns"] if queue == DONE else headers.get("x-sms-unknowns", 0)
    return Rest(queue, body["id"], unknowns)
