"""Limits that an operator changes, seen from the queues of a running worker."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from typing import Any

import orjson
import pytest

from tests.makers import make_fields
from tests.system import System, running_system
from tests.waiting import eventually
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane

CAP = '[{limit = 2, period = "day", prefix = "852"}]'


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", redis_url)


async def limits(*arguments: str) -> list[dict[str, Any]]:
    """Run the command as a process: the worker's event loop goes on meanwhile."""
    asked = [sys.executable, "-m", "worker", "limits", *arguments]
    ran = await asyncio.create_subprocess_exec(*asked, stdout=PIPE, stderr=PIPE)
    out, err = await ran.communicate()
    assert (ran.returncode, err) == (0, b"")
    return [orjson.loads(line) for line in out.splitlines()] if "--json" in arguments else []


async def publish(system: System, numbers: range, lane: Lane = Lane.NOTIFY) -> None:
    for number in numbers:
        await system.publish(lane.value, make_fields(lane, id=f"r-{number}", to=f"8529{number:07}"))


async def test_a_rate_is_lowered_while_a_backlog_is_sent_and_raised_again(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url, flags={"quota.send_message_to_globe": 300}) as system:
        await publish(system, range(900))
        account = system.sandbox.account
        await eventually(lambda: account.accepted > 150, because="the backlog is sent")
        await limits("set", "quota.send_message_to_globe=10", "--by", "Ada")
        await asyncio.sleep(2.2)  # in force after one, and what was booked by then is called after another at most
        before = account.accepted
        await asyncio.sleep(3)
        slowly = account.accepted - before
        await limits("reset", "--all")
        assert await system.settled(900) == {"done": 900}

        assert 20 <= slowly <= 31
        assert before < 850
        told = [(line["key"], line["before"], line["after"]) for line in system.lines("limits.changed")]
        assert told == [
            ("quota.send_message_to_globe", "300", "10"),
            ("quota.send_message_to_globe", "10", "300"),
        ]


async def test_a_shadow_cap_refuses_nobody_and_says_how_many_it_would(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url) as system:
        await limits("set", f"limits.caps={CAP}", "--shadow")
        await eventually(lambda: system.lines("limits.changed"), because="it is counted")
        await publish(system, range(5))
        assert await system.settled(5) == {"done": 5}

        async def counted() -> int:
            row = next(row for row in await limits("show", "--json") if row["key"] == "limits.caps")
            return int(row["shadow"]["refused"])

        await eventually(counted, because="Redis was told")
        assert await counted() == 3
        exposed = system.observed.metrics.exposition()[0].decode()
        assert 'sms_shadow_refused_total{limit="limits.caps"} 3.0' in exposed


async def test_a_cap_that_is_set_is_kept_by_a_running_worker(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url) as system:
        await limits("set", f"limits.caps={CAP}", "--for", "1h")
        await eventually(lambda: system.lines("limits.changed"), because="it is in force")
        await publish(system, range(5), Lane.OTP)  # which cannot wait for tomorrow

        assert await system.settled(5) == {"done": 2, "dead.limited": 3}


async def test_batch_calls_are_begun_and_ended_while_a_worker_runs(amqp_url: str, redis_url: str) -> None:
    def calls() -> set[int]:
        return {entry.call for entry in system.sandbox.account if entry.action == Operation.BATCH}

    async with running_system(amqp_url, redis_url, flags={"quota.send_message_to_globe": 20}) as system:
        await publish(system, range(150))
        await eventually(lambda: system.sandbox.account.accepted > 20, because="singles are sent")
        singles_only = len(calls())
        await limits("set", "batch.size=200", "quota.guard=20ms")
        await publish(system, range(150, 500))  # who came before goes alone
        assert await system.settled(500) == {"done": 500}
        begun = len(calls())
        await limits("reset", "--all")
        await eventually(lambda: len(system.lines("limits.changed")) == 4, because="both have ended")
        await publish(system, range(500, 540))
        assert await system.settled(540) == {"done": 540}

        assert (singles_only, len(calls())) == (0, begun)
        assert begun >= 1
