"""Status against a real RabbitMQ and Redis: what workers share, and what somebody holds."""

import asyncio

import pytest
from redis import Redis

from tests.brokers import declared, filled, looked_into, send
from tests.cli import sms_worker
from worker.core.limits.quota import Operation
from worker.core.outcome.outcome import ErrorClass
from worker.core.topology import Topology
from worker.limiter.keys import Keys

TOPOLOGY = Topology()
CONTENT = TOPOLOGY.dead_queue(ErrorClass.CONTENT)


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch, amqp_url: str, redis_url: str) -> None:
    monkeypatch.setenv("SMS_WORKER__BROKER__URL", amqp_url)
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", redis_url)
    asyncio.run(declared(amqp_url, TOPOLOGY))


def test_the_quota_is_that_which_workers_share(redis_url: str) -> None:
    assert "unknown" in sms_worker("status").out
    with Redis.from_url(redis_url) as redis:
        seconds = int(redis.execute_command("TIME")[0])
        given = {"seq": 1, "last": 0, "rate": 50, "hold": (seconds + 60) * 1_000_000}
        redis.hset(Keys("sms").rate(Operation.GLOBE).decode(), mapping=given)
    (status,) = sms_worker("status", "--json").rows
    globe = status["quota"][0]
    shown = " ".join(sms_worker("status").out.split())

    assert (globe["quota_per_s"], globe["quota_known"], globe["configured_per_s"]) == (50, True, 30)
    assert 1 < globe["opens_in_s"] <= 60
    assert "Workers send SendMessageToGlobe with a quota of 50, the configuration here says 30" in shown
    assert "No SendMessageToGlobe for" in shown


def test_letters_in_somebodys_hands_are_told_of(amqp_url: str) -> None:
    route = TOPOLOGY.to_dead(ErrorClass.CONTENT)
    asyncio.run(send(amqp_url, route.exchange, route.key, b"{}"))
    asyncio.run(filled(amqp_url, CONTENT))
    with looked_into(amqp_url, CONTENT):
        ran = sms_worker("status")

    assert (ran.code, ran.err) == (0, "")
    assert f"Somebody is looking into {CONTENT}: letters in their hands are not counted." in ran.out
    assert "queues are empty" not in ran.out
