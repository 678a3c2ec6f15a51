"""Scripts over the connection taken from redis-py, on both event loops, to a real Redis through a bad network."""

import asyncio
import socket
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from tests.batching import ECHO, batching, echoes, script
from tests.scripted_server import NewLoop, on_both_loops, run
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from worker.errors import LimiterUnavailable
from worker.limiter.batcher import Batcher

COUNT: Final = script("count", "return redis.call('INCR', KEYS[1])")
FAILS: Final = script("fails", "return redis.call('INCR', KEYS[1], 'too many')")


class Dripping(TcpProxy):
    """Forwards byte by byte."""

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        sink.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            while byte := await source.read(1):
                sink.write(byte)
                await asyncio.sleep(0)  # what is written in one turn is read at once
        sink.close()


@on_both_loops
def test_each_gets_its_reply_though_they_come_byte_by_byte(new_loop: NewLoop, redis_url: str) -> None:
    async def scene() -> None:
        async with Dripping(redis_url) as proxy, batching(proxy.url) as batcher:
            for count in (1, 40, 300):
                await echoes(batcher, count)
            assert proxy.accepted == 1

    run(new_loop, scene())


@on_both_loops
def test_replies_larger_than_a_buffer_come_as_a_whole(new_loop: NewLoop, redis_url: str) -> None:
    async def scene() -> None:
        async with batching(redis_url) as batcher:
            await echoes(batcher, 300, size=20_000)

    run(new_loop, scene())


@on_both_loops
def test_an_error_in_the_middle_is_its_askers_alone(new_loop: NewLoop, redis_url: str, namespace: str) -> None:
    async def scene() -> list[Any]:
        async with batching(redis_url) as batcher:
            key = namespace.encode()
            scripts = [COUNT, COUNT, FAILS, COUNT]
            return await asyncio.gather(*(batcher.run(each, [key]) for each in scripts), return_exceptions=True)

    first, second, failed, last = run(new_loop, scene())

    assert (first, second, last) == (1, 2, 3)
    assert isinstance(failed, LimiterUnavailable)


@on_both_loops
def test_a_connection_cut_in_the_middle_fails_who_waits_and_nothing_runs_twice(
    new_loop: NewLoop, redis_url: str, namespace: str
) -> None:
    async def scene() -> None:
        async with (
            TcpProxy(redis_url) as proxy,
            Redis.from_url(redis_url) as client,
            batching(proxy.url) as batcher,
        ):
            key, asked = namespace.encode(), 1
            await batcher.run(COUNT, [key])
            for number in range(20):
                proxy.pause()  # what is asked now reaches Redis when the connection is cut, or not at all
                asks = [asyncio.ensure_future(batcher.run(COUNT, [key])) for _ in range(30)]
                asked += len(asks)
                await asyncio.sleep(0.001 * number)
                proxy.resume()
                await proxy.cut()
                replies = await asyncio.gather(*asks, return_exceptions=True)
                assert all(isinstance(reply, (int, LimiterUnavailable)) for reply in replies)
                answered = [reply for reply in replies if isinstance(reply, int)]
                assert answered == sorted(set(answered))
                assert await eventually(lambda: counted(batcher, key), 10, "the next connection is there")
                asked += 1
            assert int(await client.get(namespace) or 0) <= asked
            assert proxy.accepted > 10
            assert batcher.available

    run(new_loop, scene())


async def counted(batcher: Batcher, key: bytes) -> bool:
    """Whether one more was counted."""
    try:
        await batcher.run(COUNT, [key])
    except LimiterUnavailable:
        return False
    return True


@on_both_loops
@pytest.mark.parametrize("waiters", [1, 300])
def test_a_network_that_swallows_everything_is_given_up_in_time(
    new_loop: NewLoop, redis_url: str, waiters: int
) -> None:
    patience = timedelta(milliseconds=300)

    async def scene() -> float:
        async with TcpProxy(redis_url) as proxy, batching(proxy.url, patience) as batcher:
            await echoes(batcher, 1)
            proxy.pause()
            began, asks = monotonic(), []
            for number in range(waiters):
                asks.append(asyncio.ensure_future(batcher.run(ECHO, [], ("x", number))))
                if number % 50 == 0:
                    await asyncio.sleep(0)
            replies = await asyncio.gather(*asks, return_exceptions=True)
            lasted = monotonic() - began
            assert {str(reply) for reply in replies} == {"Redis cannot be reached: it did not answer within 0.3 s"}
            proxy.resume()
            await echoes(batcher, 3)
            return lasted

    assert 0.25 < run(new_loop, scene()) < 1.5


@on_both_loops
def test_a_connection_that_redis_ends_while_nobody_asks_costs_nobody_anything(
    new_loop: NewLoop, redis_url: str
) -> None:
    async def scene() -> None:
        async with (
            TcpProxy(redis_url) as proxy,
            batching(proxy.url) as batcher,
        ):
            for _ in range(5):
                await echoes(batcher, 3)
                await proxy.cut()
                await asyncio.sleep(0.02)
            assert proxy.accepted == 5

    run(new_loop, scene())
