"""The private servers keep what they promised across a kill, keep apart, and leave nothing behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import aio_pika
from redis.asyncio import Redis

from deploy.local import given, reaper
from deploy.local.stack import Stack
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


@contextmanager
def started(script: str, environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A stack of its own with a shell script beside it, and the script's output."""
    command = [sys.executable, "-m", "deploy.local", "run", "--", "sh", "-c", script]
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def names_of(pids: list[int]) -> set[str]:
    return {Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() for pid in pids}


async def test_a_killed_rabbitmq_has_its_confirmed_messages_again_after_the_start(stack: Stack, amqp_url: str) -> None:
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"hello", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "kept")

    stack.rabbitmq.flush()
    stack.rabbitmq.kill()
    await asyncio.to_thread(stack.rabbitmq.start)

    connection = await aio_pika.connect(amqp_url)
    async with connection:
        queue = await (await connection.channel()).get_queue("kept")
        kept = await queue.get(timeout=10)
        await kept.ack()
        assert kept.body == b"hello"


async def test_a_killed_redis_has_its_keys_again_after_the_start(stack: Stack, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        await client.set("kept", "hello")

        async def is_written() -> bool:
            """It is, at once; while the disk is busy Redis puts it off for up to two seconds."""
            return not (await client.info("persistence"))["aof_buffer_length"]

        await eventually(is_written)

    stack.redis.kill()
    stack.redis.start()

    async with Redis.from_url(redis_url) as client:
        assert await client.get("kept") == b"hello"


async def test_wiping_redis_empties_every_database(stack: Stack, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        await client.set("gone", "hello")
        stack.redis.wipe()

        assert await client.get("gone") is None


def test_rabbitmqctl_reaches_the_private_node(stack: Stack, amqp_url: str, namespace: str) -> None:
    assert namespace in stack.rabbitmq.ctl("list_vhosts", "name").splitlines()


def test_the_private_node_runs_with_the_shipped_dead_letter_confirm_timeout(stack: Stack) -> None:
    value = stack.rabbitmq.ctl("eval", "application:get_env(rabbit, dead_letter_worker_publisher_confirm_timeout).")

    assert value.strip() == "{ok,3000}"


async def test_a_second_stack_runs_beside_the_first_and_leaves_nothing_behind_after_sigint(stack: Stack) -> None:
    with started("echo $SMS_STACK_DIRECTORY $SMS_WORKER__BROKER__URL; exec sleep 60", {}) as (second, output):
        name, url = output.readline().split()
        directory = Path(name)
        there = {"beam.smp", "epmd", "erl_child_setup", "redis-server", "sleep"}
        await eventually(lambda: names_of(list(reaper.belonging_to(directory))) >= there)
        assert url != stack.rabbitmq.url

        second.send_signal(signal.SIGINT)

        assert second.wait(30) == 128 + signal.SIGINT
    assert list(reaper.belonging_to(directory)) == []
    await eventually(lambda: not directory.exists())
    assert "sms@localhost" in stack.rabbitmq.ctl("cluster_status")


async def test_a_stack_ends_even_when_whoever_started_it_is_killed(stack: Stack) -> None:
    with started("echo $SMS_STACK_DIRECTORY; exec sleep 60", {given.AMQP: stack.rabbitmq.url}) as (second, output):
        directory = Path(output.readline().strip())
        there = {"redis-server", "sleep"}
        await eventually(lambda: names_of(list(reaper.belonging_to(directory))) == there)

        second.kill()

        await eventually(lambda: not directory.exists(), timeout=30)
    assert list(reaper.belonging_to(directory)) == []
