"""Status against a real RabbitMQ and Redis: what workers share, and what somebody holds."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import orjson
import pytest
from redis import Redis

from tests.brokers import declared, filled, looked_into, raw_channel, send
from tests.cli import sms_worker
from tests.makers import make_fields
from tests.system import running_system
from tests.waiting import eventually
from worker.core.limits.holds import ACCOUNT
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.core.topology import Topology
from worker.limiter.keys import Keys

PROGRAM = (sys.executable, "-m", "worker")
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


async def test_a_worker_tells_what_it_has_in_hand_and_what_it_was_refused(
    amqp_url: str, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BROKER", "REDIS"):
        monkeypatch.setenv(f"SMS_WORKER__{name}__NAMESPACE", namespace)
    flags = {"redis.namespace": namespace, "broker.namespace": namespace}
    async with running_system(amqp_url, redis_url, flags=flags | {"quota.send_message_to_globe": 30}) as system:
        await system.app.limiter.holds.stop(ACCOUNT, "check", None)
        await system.publish("otp", make_fields(id="r-1"), timestamp=datetime.now(UTC) - timedelta(seconds=60))
        await system.app.limiter.throttled(Operation.GLOBE, None)
        await eventually(lambda: system.app.snapshot().in_hand.get(Lane.OTP), because="it is in hand")

        async def told() -> dict[str, Any]:
            looking = await asyncio.create_subprocess_exec(*PROGRAM, "status", "--json", stdout=subprocess.PIPE)
            out, _ = await looking.communicate()
            status: dict[str, Any] = orjson.loads(out)
            return status if status["lanes"][0]["in_hand"] else {}

        status = await eventually(told, because="the worker tells it")
    otp, notify, _ = status["lanes"]
    globe = status["quota"][0]

    assert (otp["waiting"], otp["in_hand"], otp["workers"], otp["telling_workers"]) == (0, 1, 1, 1)
    assert 59 <= otp["oldest_in_hand_s"] < 120
    assert (notify["in_hand"], notify["oldest_in_hand_s"]) == (0, None)
    assert (status["account"], status["brake"], status["unknown"]) == ("held", "released", [])
    assert [(worker["pid"], worker["in_hand"]) for worker in status["workers"]] == [(os.getpid(), 1)]
    assert (globe["throttled_last_60_s"], globe["in_force_per_s"]) == (1, 30)
    assert globe["learned_per_s"] < 30
    assert 0 < globe["foreign_ratio"] < 0.5


def test_what_is_delayed_is_told_and_stays_where_it_is(amqp_url: str) -> None:
    route = TOPOLOGY.to_lane_after(timedelta(hours=1), Lane.OTP)
    asyncio.run(send(amqp_url, route.exchange, route.key, b"{}"))
    asyncio.run(filled(amqp_url, route.exchange))
    looks = [sms_worker("status", "--json").rows[0]["delayed"] for _ in range(2)]

    assert looks[0] == looks[1]
    assert (looks[0]["messages"], looks[0]["by_queue"][0]["queue"]) == (1, route.exchange)
    assert 3600 <= looks[0]["next_due_within_s"] == looks[0]["all_due_within_s"] < 2 * 3600
    assert "Delayed: 1 request; the next is due within 68 min, all within 68 min." in sms_worker("status").out


def test_a_queue_that_is_missing_is_named_and_the_others_are_told_of(amqp_url: str) -> None:
    async def delete() -> None:
        async with raw_channel(amqp_url) as channel:
            await channel.queue_delete(TOPOLOGY.due_queue(Lane.OTP))

    asyncio.run(delete())
    ran = sms_worker("status", "--json")
    otp, notify, _ = ran.rows[0]["lanes"]

    assert (ran.code, ran.rows[0]["account"]) == (3, "not held")
    assert (otp["waiting"], otp["due"], notify["waiting"]) == (None, None, 0)
    assert "queue sms.due.otp does not exist: start a worker, or run: sms-worker topology declare" in ran.err
    assert "unknown" in sms_worker("status").out


def test_without_any_queue_it_is_told_how_many_are_missing() -> None:
    ran = sms_worker("--set", "broker.namespace=nobodys", "status")

    assert ran.code == 3
    assert "queues nobodys.send.otp, nobodys.due.otp, nobodys.send.notify and " in ran.err


@pytest.mark.parametrize(
    ("away", "known", "unknown"),
    [
        ("redis.url=redis://127.0.0.1:1/0", "lanes", "without Redis"),
        ("broker.url=amqp://guest:guest@127.0.0.1:1/", "holds", "without RabbitMQ"),
    ],
)
def test_when_one_of_them_is_away_the_other_is_asked_all_the_same(away: str, known: str, unknown: str) -> None:
    ran = sms_worker("--set", away, "status", "--json")
    text = sms_worker("--set", away, "status")

    assert (ran.code, text.code) == (3, 3)
    assert ran.rows[0][known] is not None
    assert [sentence.split(" nobody")[0] for sentence in ran.rows[0]["unknown"]][:1] == [unknown]
    assert f"Not known: {unknown}" in text.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_that_is_no_terminal_writes_block_after_block_until_it_is_interrupted(number: int) -> None:
    with subprocess.Popen([*PROGRAM, "status", "--watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        lines = iter(watch.stdout.readline, b"")
        blocks = list(islice((line for line in lines if line.startswith(b"Account: ")), 3))
        watch.send_signal(number)
        _, complaints = watch.communicate(timeout=30)

    assert (watch.returncode, complaints, len(blocks)) == (0, b"", 3)


def test_a_watch_in_json_writes_a_line_for_each_look() -> None:
    with subprocess.Popen([*PROGRAM, "status", "--watch", "--json"], stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        looks = [orjson.loads(watch.stdout.readline()) for _ in range(2)]
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=30)

    assert (watch.returncode, [look["account"] for look in looks]) == (0, ["not held"] * 2)


def test_a_watch_goes_on_without_a_server_and_leaves_as_after_its_last_look() -> None:
    away = "broker.url=amqp://guest:guest@127.0.0.1:1/"
    with subprocess.Popen(
        [*PROGRAM, "--set", away, "status", "--watch", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as watch:
        assert watch.stdout is not None
        looks = [orjson.loads(watch.stdout.readline()) for _ in range(2)]
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=30)

    assert (watch.returncode, [look["lanes"] for look in looks]) == (3, [None, None])


def test_a_terminal_is_redrawn_and_left_as_it_was() -> None:
    controller, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "LINES": "60", "COLUMNS": "140"}
    with subprocess.Popen([*PROGRAM, "status", "--watch"], stdout=terminal, stderr=terminal, env=environment) as watch:
        os.close(terminal)
        shown = read_until(controller, lambda text: text.count(b"Account:") >= 3)
        watch.send_signal(signal.SIGINT)
        shown += read_until(controller, lambda _: False)
        watch.wait(timeout=30)
    os.close(controller)

    assert watch.returncode == 0
    assert b"\x1b[1A" in shown, "it goes up again to draw over what is there"
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l"), "the cursor is shown again"
    assert b"Traceback" not in shown


def read_until(terminal: int, is_enough: Callable[[bytes], bool]) -> bytes:
    """What *terminal* shows until that is enough, or the other end closes it."""
    shown = b""
    while not is_enough(shown):
        try:
            shown += os.read(terminal, 65_536)
        except OSError:  # how Linux tells the end
            break
    return shown
