"""Exchanges and queues: declared, verified, and a wrong one noticed before anything is taken."""

import asyncio

import pytest

from tests.brokers import raw_channel
from tests.cli import sms_worker
from worker.core.message.lane import Lane
from worker.core.topology import Topology


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch, amqp_url: str, redis_url: str) -> None:
    monkeypatch.setenv("SMS_WORKER__BROKER__URL", amqp_url)
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", redis_url)


def declare_wrong(url: str, queue: str) -> None:
    async def declare() -> None:
        async with raw_channel(url) as channel:
            await channel.queue_declare(queue, durable=True)

    asyncio.run(declare())


def test_what_is_missing_is_told_declared_and_then_as_designed() -> None:
    missing = sms_worker("topology", "verify")
    assert missing.code == 1
    assert "do not exist" in missing.out
    assert "run: sms-worker topology declare" in missing.out
    ran = sms_worker("status")
    assert ran.code == 3
    assert "do not exist: start a worker, or run: sms-worker topology declare" in ran.err, "it asks for all of them"
    for command in (["dlq", "groups"], ["dlq", "list", "content"], ["publish", "--id", "a", "--to", "8"]):
        ran = sms_worker(*command)
        assert ran.code == 3
        assert "does not exist: start a worker, or run: sms-worker topology declare" in ran.err

    declared = sms_worker("topology", "declare")
    assert (declared.code, declared.out, declared.err) == (0, "The topology is declared.\n", "")
    verified = sms_worker("topology", "verify")
    assert (verified.code, verified.out) == (0, "The topology is as designed.\n")
    assert sms_worker("topology", "verify", "--json").rows == []


def test_a_queue_that_can_lose_messages_is_named_and_stops_a_worker(amqp_url: str) -> None:
    queue = Topology().lane_queue(Lane.OTP)
    declare_wrong(amqp_url, queue)

    verified = sms_worker("topology", "verify", "--json")
    assert verified.code == 1
    (row,) = [row for row in verified.rows if row["argument"]]
    assert (row["name"], row["can_lose_messages"]) == (queue, True)
    for command in (["topology", "declare"], ["--set", "http.port=0", "run"]):
        ran = sms_worker(*command)
        assert ran.code == 3
        assert ran.err.startswith("sms-worker: the broker's topology can lose messages:\n- queue sms.send.otp: ")


def test_a_worker_that_may_not_declare_leaves_when_nothing_is_declared() -> None:
    ran = sms_worker("--set", "http.port=0", "--set", "broker.declare=false", "run")

    assert ran.code == 3
    assert "does not exist; run: sms-worker topology declare\n" in ran.err
    assert ran.err.endswith("more\n")
    assert ran.err.count("\n") == 7, "the first of some sixty"
