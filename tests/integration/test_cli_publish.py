"""Publishing from a shell, and what status tells of it, against a real RabbitMQ and Redis."""

import asyncio
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis import Redis

from tests.brokers import declared, depth, take
from tests.cli import sms_worker
from tests.fakes import RecordingEvents
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from worker.configuration import load
from worker.core.holds import ACCOUNT
from worker.core.lane import Lane
from worker.core.lesson import Refused
from worker.core.topology import Topology
from worker.limiter.limiter import RedisLimiter
from worker.terms import caps_of, lease_of, quotas_of, windows_of

TOPOLOGY = Topology()


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch, amqp_url: str, redis_url: str) -> None:
    monkeypatch.setenv("SMS_WORKER__BROKER__URL", amqp_url)
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", redis_url)
    asyncio.run(declared(amqp_url, TOPOLOGY))


def bodies(url: str, lane: Lane, count: int) -> list[dict[str, Any]]:
    found = asyncio.run(take(url, TOPOLOGY.lane_queue(lane), count))
    return [orjson.loads(message.body) for message in found]


def waiting() -> dict[str, int]:
    (status,) = sms_worker("status", "--json").rows
    return {row["lane"]: row["waiting"] for row in status["lanes"]}


def test_one_request_is_published_from_options(amqp_url: str) -> None:
    template = ["--template", "SMS_1", "--param", "name=Li", "--from", "Shop"]
    for ran in (
        sms_worker("publish", "--id", "a", "--to", "+85251234567", "--type", "OTP", "--text", "4711"),
        sms_worker("publish", "--id", "b", "--to", "8613812345678", "--type", "NOTIFY", *template),
    ):
        assert (ran.code, ran.err) == (0, "")
    assert ran.out == "published b\n"

    assert bodies(amqp_url, Lane.OTP, 1) == [{"id": "a", "to": "+85251234567", "type": "OTP", "text": "4711"}]
    (body,) = bodies(amqp_url, Lane.NOTIFY, 1)
    assert (body["template"], body["from"]) == ({"code": "SMS_1", "params": {"name": "Li"}}, "Shop")


def test_a_request_at_fault_is_not_published_and_its_values_are_not_told() -> None:
    ran = sms_worker("publish", "--id", "a", "--to", "5551234", "--type", "OTP", "--text", "")

    assert (ran.code, ran.out) == (2, "")
    assert "text: " in ran.err
    assert "5551234" not in ran.err
    assert waiting() == {"otp": 0, "notify": 0, "marketing": 0}


def test_a_file_is_published_but_for_its_faults_which_are_named(tmp_path: Path, amqp_url: str) -> None:
    file = tmp_path / "campaign.csv"
    file.write_text(
        'to,type,text,metadata.c\n+85251234567,MKT,"20%, ""off""",s\n123,OTP,x,\n+85251234568,OTP,x\n'
        "+85251234569,NOTIFY,y,\n",
        "utf-8-sig",
    )
    ran = sms_worker("publish", str(file))

    assert (ran.code, ran.out) == (1, "published 2 of 4 requests\n")
    assert re.findall(r"line (\d+):", ran.err) == ["3", "4"]
    assert waiting() == {"otp": 0, "notify": 1, "marketing": 1}
    (body,) = bodies(amqp_url, Lane.MARKETING, 1)
    assert (body["text"], body["metadata"]) == ('20%, "off"', {"c": "s"})


def test_a_broken_connection_tells_where_to_go_on_and_no_request_is_lost(
    tmp_path: Path, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = 3000
    ids = [f"r-{number}" for number in range(total)]
    file = tmp_path / "campaign.jsonl"
    file.write_bytes(
        b"\n".join(orjson.dumps({"id": one, "to": "85251234567", "type": "MKT", "text": "x"}) for one in ids)
    )
    queue = TOPOLOGY.lane_queue(Lane.MARKETING)

    async def cut_while_publishing() -> tuple[int, str]:
        async with TcpProxy(amqp_url) as proxy:
            monkeypatch.setenv("SMS_WORKER__BROKER__URL", proxy.url)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "worker", "publish", str(file)), stderr=asyncio.subprocess.PIPE
            )
            await eventually(lambda: has(300), 20, "some requests")
            await proxy.refuse()
            await proxy.cut()
            _, err = await asyncio.wait_for(process.communicate(), 20)
            return process.returncode or 0, err.decode()

    async def has(count: int) -> bool:
        return await depth(amqp_url, queue) >= count

    code, err = asyncio.run(cut_while_publishing())
    assert code == 3
    assert err.count("\n") == 1
    told = re.search(r"go on with --skip (\d+), after which up to (\d+) may be published already", err)
    assert told is not None, err
    skip, repeated = map(int, told.groups())
    monkeypatch.setenv("SMS_WORKER__BROKER__URL", amqp_url)
    resumed = sms_worker("publish", str(file), "--skip", str(skip))
    assert (resumed.code, resumed.out) == (0, f"published {total - skip} of {total - skip} requests\n")

    times = Counter(body["id"] for body in bodies(amqp_url, Lane.MARKETING, waiting()["marketing"]))
    assert set(times) == set(ids)
    again = [one for one, count in times.items() if count > 1]
    assert len(again) <= repeated <= 200
    assert set(again) <= set(ids[skip : skip + repeated])


# -- status -----------------------------------------------------------------------------------------------------------


def test_status_writes_nothing_into_an_empty_redis(redis_url: str) -> None:
    """A worker would otherwise not hear that Redis was emptied."""
    ran = sms_worker("status")

    assert ran.code == 0
    assert "Account: not held" in ran.out
    with Redis.from_url(redis_url) as redis:
        assert redis.dbsize() == 0


def test_status_tells_the_hold_and_its_code(redis_url: str) -> None:
    async def hold() -> None:
        settings = load([], {}, {"redis.url": redis_url})
        limiter = RedisLimiter(
            settings.redis,
            quotas=quotas_of(settings),
            windows=windows_of(settings),
            caps=caps_of(settings),
            memory=settings.ledger.memory,
            lease=lease_of(settings),
            hold=settings.hold,
            events=RecordingEvents(),
        )
        await limiter.start()
        await limiter.holds.refused(Refused(ACCOUNT, "AMOUNT_NOT_ENOUGH", "Add funds."))
        await limiter.aclose()

    asyncio.run(hold())
    (status,) = sms_worker("status", "--json").rows

    assert (status["account"], status["holds"][0]["code"]) == ("held", "AMOUNT_NOT_ENOUGH")
    assert "AMOUNT_NOT_ENOUGH" in sms_worker("status").out


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_what_can_be_asked_is_told_when_the_other_is_away(monkeypatch: pytest.MonkeyPatch, silent_port: int) -> None:
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", f"redis://127.0.0.1:{silent_port}")
    without_redis = sms_worker("status")
    assert without_redis.code == 3
    assert "marketing" in without_redis.out
    assert without_redis.err.startswith("sms-worker: Redis cannot be reached: ")
    monkeypatch.undo()

    monkeypatch.setenv("SMS_WORKER__BROKER__URL", f"amqp://127.0.0.1:{silent_port}")
    monkeypatch.setenv("SMS_WORKER__BROKER__CONNECT_TIMEOUT", "300ms")
    without_rabbitmq = sms_worker("status", "--json")
    assert without_rabbitmq.code == 3
    assert without_rabbitmq.rows[0]["lanes"] is None


@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "refusing"])
@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["dlq", "groups"],
        ["dlq", "replay", "content", "--all", "--yes"],
        ["topology", "verify"],
        ["publish", "--id", "a", "--to", "85251234567", "--type", "OTP", "--text", "x"],
        ["demo"],
    ],
    ids=" ".join,
)
def test_a_broker_that_is_away_is_one_sentence_in_bounded_time(
    command: list[str], is_silent: bool, monkeypatch: pytest.MonkeyPatch, silent_port: int, unused_tcp_port: int
) -> None:
    port = silent_port if is_silent else unused_tcp_port
    monkeypatch.setenv("SMS_WORKER__BROKER__URL", f"amqp://me:s3cret@127.0.0.1:{port}/")
    monkeypatch.setenv("SMS_WORKER__BROKER__CONNECT_TIMEOUT", "300ms")
    began = time.monotonic()
    ran = sms_worker(*command)

    assert time.monotonic() - began < 3
    assert ran.code == 3
    assert ran.err.count("\n") == 1
    assert ran.err.startswith(f"sms-worker: RabbitMQ at 127.0.0.1:{port}: ")
    assert "s3cret" not in ran.err + ran.out
