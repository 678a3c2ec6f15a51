"""Publishing from a shell, and what status tells of it, against a real RabbitMQ and Redis."""

import asyncio
import os
import re
import signal
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
from worker.core.decision.feedback import Refused
from worker.core.limits.holds import ACCOUNT
from worker.core.message.lane import Lane
from worker.core.topology import Topology
from worker.limiter.limiter import RedisLimiter
from worker.settings.load import load
from worker.settings.policy import caps_of, lease_of, quotas_of, windows_of

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
    ran = sms_worker(
        "publish", "--id", "a", "--to", "+85251234567", "--type", "OTP", "--text", "x", "--from", "no good"
    )
    assert ran.err.startswith("sms-worker: the request cannot be sent: from: must be up to 11 letters")
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


# -- files as people write them ---------------------------------------------------------------------------------------

FILES = Path(__file__).parents[1] / "data" / "requests"
ROWS = "".join(f"r-{number},+8525123456{number},MKT,x\n" for number in range(5))
CSV = f"id,to,type,text\n{ROWS}"


@pytest.mark.parametrize("name", ["excel-unicode.csv", "powershell.jsonl"])
def test_utf_16_goes_out_as_it_was_written(name: str, amqp_url: str) -> None:
    assert sms_worker("publish", str(FILES / name)).out == "published 5 of 5 requests\n"
    texts = {body["text"] for body in bodies(amqp_url, Lane.NOTIFY, 5)}
    assert {"Hello one", "Grüße für dich", "Emoji \U0001f600 ok", "Preis 5 €"} < texts


def test_a_file_in_another_encoding_is_refused_before_anything_is_published(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(f"{CSV}a,+85251234567,MKT,Grüße\nb,+85251234567,MKT,Grüße\n".encode("cp1252"))
    ran = sms_worker("publish", str(tmp_path / "x.csv"))

    assert (ran.code, ran.out) == (2, "")
    assert "is not UTF-8, it looks like Windows-1252 or the like" in ran.err
    assert waiting()["marketing"] == 0


def test_an_unclosed_quote_is_named_and_costs_one_request(amqp_url: str) -> None:
    ran = sms_worker("publish", str(FILES / "inch-mark-at-end.csv"))

    assert (ran.code, ran.out) == (1, "published 5 of 6 requests\n")
    assert ran.err.startswith("sms-worker: line 3: has a quote that is not closed: line 4 would be part of its text\n")
    texts = {body["id"]: body["text"] for body in bodies(amqp_url, Lane.NOTIFY, 5)}
    assert texts == {f"uy-{n}": f"Message {n}" for n in (1, 3, 5, 6)} | {"uy-4": 'pipe of 5"'}


def test_every_spoiled_number_is_told_with_its_line_and_without_its_digits() -> None:
    ran = sms_worker("publish", str(FILES / "excel.csv"))

    assert (ran.code, ran.out) == (1, "published 3 of 9 requests\n")
    assert sorted(re.findall(r"line (\d+): the request cannot be sent: to: ", ran.err), key=int) == [
        *("2", "3", "4", "5", "6", "10")
    ]
    assert not re.search(r"\d{5}|\^|\[", ran.err)


def test_an_id_twice_is_told_and_the_other_content_not_published(amqp_url: str) -> None:
    ran = sms_worker("publish", str(FILES / "repeated-id.csv"))

    assert (ran.code, ran.out) == (1, "published 2 of 3 requests\n")
    assert "line 3: has the id of line 2 with another content" in ran.err
    assert {body["id"]: body["text"] for body in bodies(amqp_url, Lane.NOTIFY, 2)} == {"d-1": "A", "d-2": "A"}


def test_warnings_are_told_and_are_no_failure(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f'{CSV}r-1,+85251234561,MKT,x\na,+85251234567,MKT,"one\ntwo"\n')
    ran = sms_worker("publish", str(tmp_path / "x.csv"))

    assert (ran.code, ran.out) == (0, "published 7 of 7 requests\n")
    assert "line 7: is the same request as line 3; it is sent once" in ran.err
    assert "1 request of more than one line, which may be a quote that is not closed; they begin in lines: 8" in ran.err


def test_a_fault_of_a_request_that_spans_lines_names_them_all(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f'{CSV}a,123,MKT,"one\ntwo\nthree"\n')
    ran = sms_worker("publish", str(tmp_path / "x.csv"))

    assert (ran.code, ran.out) == (1, "published 5 of 6 requests\n")
    assert "sms-worker: lines 7-9: the request cannot be sent: to: has 3 digits" in ran.err


def test_all_faults_beyond_the_first_are_named_by_their_lines(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,to,type,text\n" + "".join("a,b,c,d\n" for _ in range(75)) + ROWS)
    ran = sms_worker("publish", str(tmp_path / "x.csv"))

    assert (ran.code, ran.out) == (1, "published 5 of 80 requests\n")
    told = {int(number) for number in re.findall(r"line (\d+):", ran.err)}
    (rest,) = re.findall(r"lines at fault as well: (.*)\n", ran.err)
    for part in rest.split(", "):
        first, _, last = part.partition("-")
        told |= set(range(int(first), int(last or first) + 1))
    assert told == set(range(2, 77))


def test_a_deadline_that_has_passed_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,to,type,text,deadline\na,+85251234567,MKT,x,2020-01-01T00:00:00Z\n")
    ran = sms_worker("publish", str(tmp_path / "x.csv"))
    assert (ran.code, ran.out) == (1, "published 0 of 1 request\n")
    assert "line 2: deadline: has passed already" in ran.err

    one = ["--id", "a", "--to", "+85251234567", "--type", "OTP", "--text", "x", "--deadline", "2020-01-01T00:00:00Z"]
    ran = sms_worker("publish", *one)
    assert (ran.code, ran.out) == (2, "")
    assert "deadline: has passed already" in ran.err
    assert waiting() == {"otp": 0, "notify": 0, "marketing": 0}


def test_to_skip_more_than_there_is_says_how_many_there_are(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(CSV)
    ran = sms_worker("publish", str(tmp_path / "x.csv"), "--skip", "6")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith("x.csv has only 5 requests\n")
    assert sms_worker("publish", str(tmp_path / "x.csv"), "--skip", "5").out == "published 0 of 0 requests\n"

    ran = sms_worker("publish", "-", "--skip", "6", answer=CSV)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "sms-worker: --skip 6: standard input had only 5 requests\n"


def test_a_type_may_be_written_small(amqp_url: str) -> None:
    assert sms_worker("publish", "--id", "a", "--to", "+85251234567", "--type", "otp", "--text", "4711").code == 0
    (body,) = bodies(amqp_url, Lane.OTP, 1)
    assert body["type"] == "OTP"


# -- standard input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "options"),
    [
        (CSV, []),
        (CSV, ["--format", "csv"]),
        (CSV.replace(",", "\t"), ["--format", "CSV"]),
        ("".join(f'{{"id":"r-{n}","to":"+8525123456{n}","type":"MKT","text":"x"}}\n' for n in range(5)), []),
    ],
)
def test_standard_input_is_published_in_either_format(given: str, options: list[str], amqp_url: str) -> None:
    ran = sms_worker("publish", "-", *options, answer=given)

    assert (ran.code, ran.out, ran.err) == (0, "published 5 requests\n", "")
    found = [(body["id"], body["to"]) for body in bodies(amqp_url, Lane.MARKETING, 5)]
    assert sorted(found) == [(f"r-{n}", f"+8525123456{n}") for n in range(5)]


def test_faults_on_standard_input_are_those_of_its_lines_or_refuse_all_of_it() -> None:
    ran = sms_worker("publish", "-", answer=f"{CSV}a,b,c\n")
    assert (ran.code, ran.out) == (1, "published 5 requests\n")
    assert "line 7: has 3 cells, the header has 4" in ran.err

    ran = sms_worker("publish", "-", answer="id,txet\na,b\n")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("sms-worker: standard input line 1: there is no field 'txet'")
    assert ran.err.endswith("; nothing was published\n")


@pytest.mark.parametrize("stopping", [signal.SIGINT, signal.SIGTERM])
def test_what_comes_is_published_at_once_and_a_wait_for_more_can_be_interrupted(
    stopping: signal.Signals, amqp_url: str
) -> None:
    """A pipe whose writer is silent stops neither publishing nor signals."""

    async def interrupted() -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "publish", "-"),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )
        assert process.stdin is not None
        process.stdin.write(CSV.encode())
        await process.stdin.drain()
        await eventually(has_five, 60, "what was written is published")
        process.send_signal(stopping)
        code = await asyncio.wait_for(process.wait(), 60)
        assert process.stderr is not None
        return code, (await process.stderr.read()).decode()

    async def has_five() -> bool:
        return await depth(amqp_url, TOPOLOGY.lane_queue(Lane.MARKETING)) == 5

    code, err = asyncio.run(interrupted())

    assert code == 130
    assert err == "sms-worker: interrupted; 5 requests confirmed; go on with --skip 5\n"


def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.csv")
    ran = sms_worker("publish", str(tmp_path / "x.csv"))

    assert ran.code == 2
    assert "is a named pipe; publish a file, or standard input: sms-worker publish - <" in ran.err


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
