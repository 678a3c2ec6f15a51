"""The overrides in Redis: one string for all of them, a list of what was changed, and what shadows counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from worker.core.limits.overrides import Change, Override, Overrides
from worker.limiter import scripts
from worker.limiter.batcher import Batcher
from worker.limiter.border import translated, understood
from worker.limiter.keys import Keys
from worker.limiter.resp import Argument

#: All workers read them twice a second.
LONGEST: Final = 16_384
#: Whole numbers up to this are the same in every JSON; it is in the year 2255.
_LAST_US: Final = 2**53
_OVERRIDES: Final = TypeAdapter(Overrides)
_CHANGE: Final = TypeAdapter(Change)


def read(stored: bytes) -> Overrides:
    """The overrides that are *stored*.

    Raises:
        ValueError: they cannot be read; the text says why, and quotes nothing.
    """
    if not stored:
        return Overrides()
    if len(stored) > LONGEST:
        raise ValueError(f"it has {len(stored)} bytes, and at most {LONGEST} are read")
    try:
        overrides = _OVERRIDES.validate_json(stored, strict=True)
    except ValidationError as error:
        raise ValueError(error.errors(include_url=False, include_input=False)[0]["msg"]) from None
    if not all(0 <= us < _LAST_US for each in overrides.every for us in (each.since_us, each.until_us or 0)):
        raise ValueError("it has an instant that none can be")
    return overrides


def written(overrides: Overrides) -> bytes:
    """*overrides* as they are stored; nothing when there are none."""
    return _OVERRIDES.dump_json(overrides) if overrides.every else b""


def shadow_field(shadow: Override, limit: str = "") -> str:
    """Where it is counted what *limit* of *shadow* would refuse, or all of it."""
    return f"{shadow.since_us} {shadow.key} {limit}".rstrip()


@dataclass(frozen=True, slots=True)
class Seen:
    """What an operator has before the eyes."""

    stored: bytes
    #: Redis' clock.
    now_us: int
    #: By `shadow_field`.
    shadowed: Mapping[str, int]


class RedisOverrides:
    """For people: look, change, and look up what was changed.

    Every method raises LimiterUnavailable when Redis cannot be reached or refuses.
    """

    def __init__(self, client: Redis, batcher: Batcher, keys: Keys) -> None:
        self._client = client
        self._batcher = batcher
        self._keys = keys

    async def look(self) -> Seen:
        """What there is."""
        reply = await self._batcher.run(scripts.OVERRIDES, (self._keys.overrides, self._keys.shadowed), (0,))
        with translated():
            try:
                counted: dict[Any, Any] = await self._client.hgetall(self._keys.shadowed.decode())
            except ResponseError:  # it is no hash: nothing of ours
                counted = {}
        with understood:
            shadowed = {field.decode(): int(count) for field, count in counted.items()}
        return Seen(*told(reply), shadowed)

    async def change(self, seen: Seen, overrides: Overrides, changes: Sequence[Change]) -> bool:
        """Put *overrides* in the place of those *seen*, and keep the *changes*; False: they are others by now."""
        live = tuple(shadow_field(each) for each in overrides.every if each.shadow)
        outdated = [field for field in seen.shadowed if not field.startswith(live)] if live else [*seen.shadowed]
        keys = (self._keys.overrides, self._keys.shadowed, self._keys.changes)
        kept = [_CHANGE.dump_json(change) for change in changes]
        args: tuple[Argument, ...] = (seen.stored, written(overrides), len(kept), *kept, *outdated)
        done = await self._batcher.run(scripts.CHANGE, keys, args)
        return bool(done)

    async def changes(self) -> list[Change]:
        """What was changed, the newest first; what cannot be read is left out."""
        with translated():
            stored: list[Any] = await self._client.lrange(self._keys.changes.decode(), 0, -1)
        found = []
        for each in stored:
            try:
                found.append(_CHANGE.validate_json(each, strict=True))
            except ValidationError:
                continue
        return [each for each in found if 0 <= each.at_us < _LAST_US]


@understood
def told(reply: Any) -> tuple[bytes, int]:
    """What overrides.lua replies: the overrides as they are stored, and the time."""
    now_us, stored = reply
    return bytes(stored), int(now_us)
