"""The demo agrees with itself, and leaves nothing behind however it ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from redis import Redis

from deploy.local.stack import Stack

DEMO = [sys.executable, "-m", "worker", "demo", "--requests", "150"]


@pytest.fixture
def environment(stack: Stack, amqp_url: str, redis_url: str) -> dict[str, str]:
    addresses = {"SMS_WORKER__BROKER__URL": amqp_url, "SMS_WORKER__REDIS__URL": redis_url}
    # Of no use to the demo's own workers: they would refuse to be given one key twice, or listen on one port.
    foreign = {"SMS_WORKER__HTTP__PORT": "9464", "SMS_WORKER__LOG__LEVEL": "error"}
    return {**stack.environment, **addresses, **foreign}


@pytest.fixture(autouse=True)
def _nothing_is_left(stack: Stack, amqp_url: str, redis_url: str, namespace: str) -> Iterator[None]:
    yield
    assert stack.rabbitmq.ctl("list_queues", "--vhost", namespace, "name").split() == []
    exchanges = stack.rabbitmq.ctl("list_exchanges", "--vhost", namespace, "name").split()
    assert [name for name in exchanges if name.startswith("demo")] == []
    with Redis.from_url(redis_url) as redis:
        assert redis.keys() == []


def are_gone(pids: list[str]) -> bool:
    return not any(os.path.exists(f"/proc/{pid}") for pid in pids)  # noqa: PTH110 - no path, a question


def pids_in(out: str) -> list[str]:
    found = re.search(r"process ids ([\d, ]+)", out)
    assert found is not None, out
    return found[1].split(", ")


def test_the_demo_ends_with_every_request_accounted_for(environment: dict[str, str]) -> None:
    ran = subprocess.run(DEMO, env=environment, capture_output=True, text=True, timeout=90, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    assert "Everything agrees" in ran.stdout
    assert "NO" not in re.findall(r"│ (yes|NO) ", ran.stdout)
    assert re.search(r"in all +│ +│ +150 │", ran.stdout)
    for error_class in ("unknown", "unroutable", "malformed", "invalid", "recipient", "content", "limited", "expired"):
        assert f"dead.{error_class}" in ran.stdout
    assert len(pids_in(ran.stdout)) == 2
    assert are_gone(pids_in(ran.stdout))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_takes_its_workers_queues_and_keys_with_it(
    environment: dict[str, str], number: signal.Signals
) -> None:
    with subprocess.Popen(DEMO, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        seen = ""
        while "publishing" not in seen:
            line = demo.stdout.readline()
            assert line, "the demo ended by itself"
            seen += line
        demo.send_signal(number)
        out, err = demo.communicate(timeout=60)

    assert demo.returncode == 130
    assert out == "Cleaning up ...\n"
    assert err == ""
    assert are_gone(pids_in(seen))
