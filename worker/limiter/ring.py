"""Reads what workers share of a quota: its rate, which slots were granted lately, and how many a second."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from worker.core.limits.bucket import SECOND_US
from worker.core.limits.quota import Operation
from worker.limiter.border import translated, understood
from worker.limiter.keys import Keys

#: As grant.lua has it.
CELLS: Final = 4096
_CELL: Final = 8
#: A rate is the mean of this long, or of what the ring holds when that is less. Seconds.
_RATE_OVER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Shared:
    """How the quota of an operation stands."""

    #: Calls per second of the worker that was granted the latest slots, 0 without a limit; None when nobody told it.
    rate: int | None
    #: Until the next slot may be granted, when that is not now. Seconds.
    opens_in_s: float


async def shared(client: Redis, keys: Keys, operation: Operation) -> Shared:
    """What the workers share; raises LimiterUnavailable when Redis cannot be reached or refuses."""
    with translated():
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.hmget(keys.rate(operation).decode(), ["rate", "hold"])
            pipeline.time()
            (rate, hold), (seconds, microseconds) = await pipeline.execute()
    now = seconds * SECOND_US + microseconds
    return Shared(None if rate is None else int(float(rate)), max(0.0, float(hold or 0) - now) / SECOND_US)


async def recent_slots(client: Redis, keys: Keys, operation: Operation) -> tuple[list[int], int]:
    """The instants of the latest slots of *operation*, at most `CELLS`, oldest first, and Redis' time; microseconds.

    Raises:
        LimiterUnavailable: Redis cannot be reached or refuses.
    """
    with translated():
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.hget(keys.rate(operation).decode(), "seq")
            pipeline.get(keys.ring(operation).decode())
            pipeline.time()
            replies = await pipeline.execute()
    with understood:
        booked, ring, (seconds, microseconds) = replies
        count, cells = int(booked or 0), ring or b""
        latest = [
            round(struct.unpack_from("<d", cells, number % CELLS * _CELL)[0])
            for number in range(max(0, count - CELLS), count)
            if number % CELLS * _CELL + _CELL <= len(cells)
        ]
        return latest, int(seconds) * SECOND_US + int(microseconds)


def rate_per_s(slots: Sequence[int], now: int) -> float:
    """Slots per second that were due lately, of the instants that `recent_slots` gives.

    At a high quota the ring holds less than the time over which a rate is taken: then over what it holds.
    """
    since = now - round(_RATE_OVER_S * SECOND_US)
    if len(slots) == CELLS and slots[0] > since:
        since = slots[0]
    if since >= now:
        return 0.0
    return sum(since < slot <= now for slot in slots) * SECOND_US / (now - since)
