"""A Redis that may delete what limits are made of is told of, on a real one."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from deploy.local.stack import Stack
from tests.system import running_system
from tests.waiting import eventually
from worker.limiter.server import eviction_policy
from worker.settings.sections import RedisSettings


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[Redis]:
    """A Redis whose memory and policy are as before when the test is over."""
    async with Redis.from_url(redis_url) as client:
        yield client
    async with Redis.from_url(redis_url) as client:  # it may have been restarted
        await client.config_set("maxmemory", "0")
        await client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("memory", "policy", "told"),
    [
        ("100mb", "noeviction", None),
        ("100mb", "allkeys-lru", "allkeys-lru"),
        ("100mb", "volatile-ttl", "volatile-ttl"),
        ("0", "allkeys-lru", None),
    ],
)
async def test_a_policy_that_deletes_keys_is_found(
    server: Redis, redis_url: str, memory: str, policy: str, told: str | None
) -> None:
    await server.config_set("maxmemory", memory)
    await server.config_set("maxmemory-policy", policy)

    assert await eviction_policy(RedisSettings(url=SecretStr(redis_url))) == told


async def test_a_server_that_does_not_tell_or_does_not_answer_is_left_in_peace(
    server: Redis, redis_url: str, unused_tcp_port: int
) -> None:
    await server.acl_setuser("mute", enabled=True, nopass=True, commands=["+select"])
    mute = redis_url.replace("redis://", "redis://mute:x@")
    try:
        assert await eviction_policy(RedisSettings(url=SecretStr(mute))) is None
    finally:
        await server.acl_deluser("mute")
    assert await eviction_policy(RedisSettings(url=SecretStr(f"redis://127.0.0.1:{unused_tcp_port}/0"))) is None


async def test_a_worker_tells_it_at_the_start_and_whenever_redis_comes_back(
    server: Redis, amqp_url: str, redis_url: str, stack: Stack
) -> None:
    await server.config_set("maxmemory", "100mb")
    await server.config_set("maxmemory-policy", "allkeys-lfu")
    async with running_system(amqp_url, redis_url) as system:
        (told,) = await eventually(lambda: system.lines("limiter.may_evict"))
        assert (told["policy"], told["level"]) == ("allkeys-lfu", "error")

        await asyncio.to_thread(stack.redis.kill)
        await eventually(lambda: system.lines("limiter.unavailable"))
        await asyncio.to_thread(stack.redis.start)
        await eventually(lambda: len(system.lines("limiter.available")) == 2)
        assert len(system.lines("limiter.may_evict")) == 1, "it came back with the policy of its configuration"
