"""Scripts of the tests' own, over a connection like the limiter's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha1
from typing import Final

from pydantic import SecretStr

from worker.limiter.batcher import Batcher
from worker.limiter.connection import connect, disconnect, no_greeting, opener
from worker.limiter.scripts import Script
from worker.settings.sections import RedisSettings

#: Longer than any answer is waited for, on a busy machine too.
PATIENT: Final = timedelta(seconds=20)


def script(name: str, text: str) -> Script:
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


ECHO: Final = script("echo", "return {ARGV[1], {tonumber(ARGV[2])}}")


@asynccontextmanager
async def batching(url: str, patience: timedelta = PATIENT) -> AsyncIterator[Batcher]:
    client = connect(RedisSettings(url=SecretStr(url), timeout=patience, connect_timeout=PATIENT), no_greeting)
    batcher = Batcher(opener(client), patience.total_seconds())
    yield batcher
    await batcher.aclose()
    await disconnect(client)


async def echoes(batcher: Batcher, count: int, size: int = 10) -> None:
    """Ask *count* at once, and make sure that each gets what it said."""
    said = [str(number).encode() * size for number in range(count)]
    replies = await asyncio.gather(*(batcher.run(ECHO, [], (word, n)) for n, word in enumerate(said)))
    assert replies == [[word, [n]] for n, word in enumerate(said)]
