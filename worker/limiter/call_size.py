"""How large a batch call may be, in the language of call_size.lua.

Nobody documents how long an address the provider's gateway takes, with the members of a batch call in its query. So the
size is found by slow start, once for all workers.
"""

from collections.abc import Callable
from typing import Final

from worker.limiter import scripts
from worker.limiter.batcher import Batcher
from worker.limiter.border import understood
from worker.limiter.keys import Keys

#: What gateways commonly take; about a hundred texts of 40 letters.
FIRST_BYTES: Final = 7_500


class RedisCallSize:
    """Implements `ports.CallSize`."""

    def __init__(self, batcher: Batcher, keys: Keys, most_bytes: int, now_us: Callable[[], int]) -> None:
        """Never more than *most_bytes*."""
        self._batcher = batcher
        self._keys = keys
        self._most_bytes = most_bytes
        self._now_us = now_us

    async def most(self) -> int:
        """Bytes of a call; see `ports.CallSize`."""
        return await self._run("look", 0)

    async def accepted(self, size: int) -> None:
        """A call of *size* bytes was accepted; see `ports.CallSize`."""
        await self._run("accepted", size)

    async def refused(self, size: int, *, certainly: bool) -> None:
        """A call of *size* bytes was too large; see `ports.CallSize`."""
        await self._run("refused" if certainly else "cut", size)

    async def _run(self, news: str, size: int) -> int:
        first = min(FIRST_BYTES, self._most_bytes)
        args = (self._now_us(), first, self._most_bytes, news, size)
        reply = await self._batcher.run(scripts.CALL_SIZE, (self._keys.call_size,), args)
        with understood:
            return int(reply)
