"""What asking Redis costs the client: scripts over the limiter's own connection, next to a pipeline of redis-py."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from statistics import median
from typing import Any, Final, TypeAlias

from pydantic import SecretStr
from redis.asyncio import Redis
from rich.table import Table

from tests.bench.bed import REDIS_URL
from worker.limiter.batcher import Batcher
from worker.limiter.connection import connect, disconnect, no_greeting, opener
from worker.limiter.keys import Keys
from worker.limiter.scripts import CLOSE
from worker.limiter.server import forget
from worker.settings.sections import RedisSettings

#: Calls that are asked for in one turn of the event loop.
_AT_ONCE: Final = (1, 10, 50)
_CALLS: Final = 2000
_ROUNDS: Final = 7
_PATIENCE: Final = timedelta(seconds=5)

#: Runs CLOSE with these keys and arguments, one call for each.
Ask: TypeAlias = Callable[[Sequence[tuple[bytes, Sequence[bytes | str | int]]]], Awaitable[Any]]


async def table() -> Table:
    """CPU of this process per call, each way in turns."""
    url, namespace = SecretStr(REDIS_URL), f"bench-{secrets.token_hex(3)}"
    settings = RedisSettings(url=url, namespace=namespace, timeout=_PATIENCE, connect_timeout=_PATIENCE)
    client = connect(settings, no_greeting)
    batcher = Batcher(opener(client), _PATIENCE.total_seconds())
    ways: dict[str, Ask] = {"own connection": _batched(batcher), "redis-py": _pipelined(client)}
    shown = Table(title="A small script, CPU us of the client per call")
    for column in ("asked at once", *ways, "ratio"):
        shown.add_column(column, justify="right")
    keys = Keys(settings.namespace)
    try:
        await _batched(batcher)([(keys.of("0").closed, (0, 1, "LOADED"))])
        for at_once in _AT_ONCE:
            costs: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(_ROUNDS):
                for name, ask in ways.items():
                    costs[name].append(await _cost_us(ask, keys, at_once))
            ours, theirs = (median(costs[name]) for name in ways)
            shown.add_row(str(at_once), f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.2f}")
    finally:
        await batcher.aclose()
        await disconnect(client)
        await forget(settings)
    return shown


async def _cost_us(ask: Ask, keys: Keys, at_once: int) -> float:
    calls = [(keys.of(str(number)).closed, (0, 60, "CODE")) for number in range(at_once)]
    turns = _CALLS // at_once
    began = time.process_time()
    for _ in range(turns):
        await ask(calls)
    return (time.process_time() - began) / (turns * at_once) * 1e6


def _batched(batcher: Batcher) -> Ask:
    async def ask(calls: Sequence[tuple[bytes, Sequence[bytes | str | int]]]) -> None:
        await asyncio.gather(*(batcher.run(CLOSE, (key,), args) for key, args in calls))

    return ask


def _pipelined(client: Redis) -> Ask:
    async def ask(calls: Sequence[tuple[bytes, Sequence[bytes | str | int]]]) -> None:
        async with client.pipeline(transaction=False) as pipeline:
            for key, args in calls:
                pipeline.execute_command("EVALSHA", CLOSE.sha, 1, key, *args)
            await pipeline.execute()

    return ask
