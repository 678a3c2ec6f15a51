"""Takes the keys of a namespace away again: for namespaces that were made for a demo."""

from typing import Final

from worker.limiter.border import translated
from worker.limiter.connection import connect, disconnect, no_greeting
from worker.limiter.keys import Keys
from worker.settings.sections import RedisSettings

#: Keys that are looked for, and deleted, at once.
_AT_ONCE: Final = 1000


async def forget(redis: RedisSettings) -> None:
    """Delete every key of the namespace of *redis*: its limits begin anew.

    Raises:
        LimiterUnavailable: Redis cannot be reached or refuses; perhaps some keys are left.
    """
    client = connect(redis, no_greeting)
    with translated():
        try:
            cursor, is_done = 0, False
            while not is_done:
                cursor, keys = await client.scan(cursor, match=Keys(redis.namespace).pattern, count=_AT_ONCE)
                if keys:
                    await client.unlink(*keys)
                is_done = cursor == 0
        finally:
            await disconnect(client)
