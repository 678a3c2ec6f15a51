"""Each user of PRODUCTION.md's table of RabbitMQ rights does its work with exactly those rights, on a real RabbitMQ."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import aio_pika
import aiormq
import pytest

from deploy.local.stack import Stack
from tests.brokers import declared
from tests.makers import make_fields
from tests.system import running_system
from worker.client import Publisher
from worker.core.topology import Topology

PRODUCTION = Path(__file__).parents[2] / "deploy" / "PRODUCTION.md"
PASSWORD = "only-for-this-test"
Rights: TypeAlias = tuple[str, str, str]


def table() -> dict[str, Rights]:
    """The rows of the checklist: rights to configure, write and read, by the first word of their user."""
    text = PRODUCTION.read_text("utf-8")
    rows = re.findall(r"^\| ([a-z]+)[^|]*\| `(\S+)`, `(\S+)`, `(\S+)` \|$", text, re.MULTILINE)
    return {user: (configure, write, read) for user, configure, write, read in rows}


@pytest.fixture
def urls(stack: Stack, namespace: str, amqp_url: str) -> Iterator[Mapping[str, str]]:
    """The address of each user, in a virtual host of the test's own."""
    found = {}
    for user, rights in table().items():
        name = f"{user}-{namespace}"
        stack.rabbitmq.management.add_user(name, PASSWORD, namespace, rights)
        address = urlsplit(amqp_url)
        place = address.netloc.rpartition("@")[2]
        found[user] = address._replace(netloc=f"{name}:{PASSWORD}@{place}").geturl()
    yield found
    for user in found:
        stack.rabbitmq.management.delete_user(f"{user}-{namespace}")


def test_the_table_has_everybody_who_needs_rights() -> None:
    assert set(table()) == {"workers", "publishers", "operators", "readers"}


async def test_everybody_can_work(urls: Mapping[str, str], redis_url: str) -> None:
    async with running_system(urls["workers"], redis_url) as system:
        async with Publisher(urls["publishers"]) as publisher:
            await publisher.publish(make_fields(id="r-done"))
            await publisher.publish(make_fields(id="r-late", to="85291991021"))  # through the retry-delay queues
            await publisher.publish(make_fields(id="r-dead", to="85290990033"))
        assert await system.settled(3) == {"done": 2, "dead.recipient": 1}

        lines = ("status", "dlq groups", "dlq list recipient", "dlq show recipient r-dead")
        for line in (*lines, "dlq replay recipient --all --yes"):
            await sms_worker(line, urls["operators"], redis_url)
        assert await system.settled(3) == {"done": 2, "dead.recipient": 1}
        await sms_worker("dlq discard recipient --all --yes", urls["operators"], redis_url)
        assert await system.depths() == {"done": 2}

        async with await aio_pika.connect(urls["readers"]) as connection:
            channel = await connection.channel()
            done = await channel.get_queue(system.topology.done_queue, ensure=False)
            message = await done.get(timeout=10)
            assert message is not None
            await message.ack()


@pytest.mark.parametrize(
    ("user", "exchanges", "queues"),
    [
        (
            "publishers",
            ["sms.due", "sms.dead", "sms.done", "sms.delay.05", "sms.unroutable"],
            ["sms.done", "sms.send.otp"],
        ),
        (
            "operators",
            ["sms.send", "sms.dead", "sms.done", "sms.delay.05"],
            ["sms.done", "sms.send.otp", "sms.delay.05"],
        ),
        ("readers", ["sms.send", "sms.due", "sms.dead", "sms.done"], ["sms.send.otp", "sms.dead.invalid"]),
        ("workers", ["amq.direct"], ["theirs"]),
    ],
)
async def test_nobody_can_do_more(
    urls: Mapping[str, str], amqp_url: str, user: str, exchanges: list[str], queues: list[str]
) -> None:
    await declared(amqp_url, Topology())
    async with await aio_pika.connect(amqp_url) as connection:
        await (await connection.channel()).declare_queue("theirs", durable=True)

    async with await aio_pika.connect(urls[user]) as connection:
        for exchange in exchanges:
            channel = await connection.channel()
            with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
                await (await channel.get_exchange(exchange, ensure=False)).publish(aio_pika.Message(b""), "otp")
        for queue in queues:
            channel = await connection.channel()
            with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
                await (await channel.get_queue(queue, ensure=False)).get(fail=False)
        channel = await connection.channel()
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            await channel.declare_queue("new", durable=True)


async def sms_worker(line: str, broker: str, redis: str) -> None:
    """Run a command line as the user of *broker*, and see it succeed."""
    environment = os.environ | {"SMS_WORKER__BROKER__URL": broker, "SMS_WORKER__REDIS__URL": redis}
    argv = (sys.executable, "-m", "worker", *line.split())
    ran = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=STDOUT, env=environment)
    out, _ = await ran.communicate()
    assert ran.returncode == 0, out
