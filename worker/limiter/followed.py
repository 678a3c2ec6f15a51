"""A worker follows the overrides in Redis: it reads them on each new connection, and whenever it is asked to."""

from collections.abc import Callable, Sequence
from typing import Final

from redis.asyncio.connection import AbstractConnection

from worker.errors import LimiterUnavailable
from worker.limiter import scripts
from worker.limiter.batcher import Batcher
from worker.limiter.border import translated
from worker.limiter.in_force import InForce
from worker.limiter.keys import Keys
from worker.limiter.overrides import told
from worker.limiter.resp import Argument


class FollowedOverrides:
    """Tells Redis' overrides to an `InForce`, and Redis what shadows counted."""

    def __init__(self, batcher: Batcher, keys: Keys, now_us: Callable[[], int], in_force: InForce | None) -> None:
        """Without *in_force* nothing is followed."""
        self._batcher = batcher
        self._keys: Final = (keys.overrides, keys.shadowed)
        self._now_us = now_us
        self._in_force = in_force

    async def greet(self, connection: AbstractConnection) -> None:
        """Before *connection* may grant anything: what are the limits?

        Raises:
            LimiterUnavailable: Redis cannot be reached or refuses.
        """
        if self._in_force is None:
            return
        script = scripts.OVERRIDES
        with translated(script):
            asked = (len(self._keys), *self._keys, self._now_us())
            await connection.send_command("EVAL", script.text, *asked, check_health=False)
            reply = await connection.read_response()
        self._in_force.take(*told(reply))

    async def poll(self) -> None:
        """Take over what there is, and tell what shadows counted since; raises as `greet` does."""
        if self._in_force is None:
            return
        counted = dict(self._in_force.shadowed)
        self._in_force.shadowed.clear()
        args: list[Argument] = [self._now_us()]
        for field, count in counted.items():
            args += [field, count]
        try:
            reply = await self._batcher.run(scripts.OVERRIDES, self._keys, args)
        except LimiterUnavailable:  # perhaps they were counted; rather twice than never
            self._in_force.shadowed.update(counted)
            raise
        self._in_force.take(*told(reply))

    def noted(self, windows: Sequence[str], caps: Sequence[str]) -> None:
        """A message was admitted that these windows and caps of a shadow would have refused."""
        if self._in_force is not None and (windows or caps):
            self._in_force.noted(windows, caps)
