"""Asks Redis whether it may throw away what it remembers: limits that are gone let too much through, silently."""

from typing import Final

from worker.errors import LimiterUnavailable
from worker.limiter.border import translated
from worker.limiter.connection import connect, disconnect, no_greeting
from worker.settings.sections import RedisSettings

#: Nothing is deleted: when the memory is full, writes are refused, and that is noticed.
_SAFE: Final = "noeviction"


async def eviction_policy(settings: RedisSettings) -> str | None:
    """The policy by which the server deletes keys when its memory is full; None when it deletes none.

    It is read from INFO, which is allowed where CONFIG is not, as on most hosted servers. A server that does not tell
    is left in peace: None as well.
    """
    client = connect(settings, no_greeting)
    try:
        with translated():
            try:
                memory = await client.info("memory")
            finally:
                await disconnect(client)
            policy = str(memory.get("maxmemory_policy", _SAFE))
            return policy if policy != _SAFE and memory.get("maxmemory") else None
    except LimiterUnavailable:
        return None
