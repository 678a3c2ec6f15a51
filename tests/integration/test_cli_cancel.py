"""Cancelling from a shell, and taking it back, with a real Redis."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.cli import sms_worker
from tests.limiters import started
from tests.makers import NOW, make_request
from worker.core.limits.cancels import CLAIM_S, until_certain
from worker.core.limits.ledger import Token
from worker.core.limits.quota import Admission, Admitted
from worker.core.outcome.outcome import Acceptance, Accepted, Cancelled
from worker.limiter.keys import Keys

ANSWER = Acceptance(Accepted("m-1", "R-1", 1), 1, NOW)
CONNECT = timedelta(milliseconds=100)


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", redis_url)
    monkeypatch.setenv("SMS_WORKER__PROVIDER__CONNECT_TIMEOUT", "100ms")


def a_worker_calls(redis_url: str) -> None:
    """The ledger has an id of each state."""

    async def call() -> None:
        async with started(redis_url, "sms", None) as limiter:
            for request_id, news in (("calling", ...), ("sent", ANSWER), ("unknown", "local.timeout"), ("free", None)):
                claim = await limiter.admit(make_request(id=request_id), Token(f"t-{request_id}"))
                assert isinstance(claim, Admitted)
                if news is not ...:
                    await limiter.record(claim, news)

    asyncio.run(call())


def asked(redis_url: str, request_id: str, campaign: str = "") -> Admission:
    async def ask() -> Admission:
        async with started(redis_url, "sms", None) as limiter:
            metadata = {"campaign": campaign} if campaign else {}
            return await limiter.admit(make_request(id=request_id, metadata=metadata), Token("t-new"))

    return asyncio.run(ask())


def test_each_id_is_answered_what_the_ledger_says(redis_url: str) -> None:
    a_worker_calls(redis_url)
    ids = ("free", "never-seen", "calling", "sent", "unknown")
    ran = sms_worker("cancel", *ids)
    rows = sms_worker("cancel", "--json", *ids).rows

    assert ran.out.splitlines() == [
        "free: cancelled",
        "never-seen: cancelled",
        "calling: call under way",
        "sent: already sent",
        "unknown: outcome unknown",
        "5 ids; cancelled: 2, already sent: 1, call under way: 1, outcome unknown: 1",
    ]
    assert (ran.code, ran.err) == (1, "")
    assert [row["result"] for row in rows] == [line.partition(": ")[2] for line in ran.out.splitlines()[:5]]
    assert asked(redis_url, "free") == Cancelled(0)


def test_a_cancel_is_taken_back_and_the_id_is_free_again(redis_url: str) -> None:
    assert sms_worker("cancel", "a").out == "a: cancelled\n"
    undone, again = sms_worker("cancel", "--undo", "a"), sms_worker("cancel", "--undo", "a")

    assert (undone.code, undone.out) == (0, "a: taken back\n")
    assert (again.code, again.out) == (1, "a: was not cancelled\n")
    assert isinstance(asked(redis_url, "a"), Admitted)


def test_a_campaign_is_answered_when_no_claim_from_before_can_be_used_any_more(redis_url: str) -> None:
    began = time.monotonic()
    ran = sms_worker("cancel", "--campaign", "spring", "--json")
    took = time.monotonic() - began

    assert (ran.code, ran.rows) == (0, [{"campaign": "spring", "result": "cancelled"}])
    assert "spring: waiting 1 s for calls" in ran.err
    assert took >= until_certain(CONNECT).total_seconds() >= CLAIM_S + 2 * CONNECT.total_seconds()
    assert asked(redis_url, "a", "spring") == Cancelled(0)
    assert isinstance(asked(redis_url, "b", "summer"), Admitted)
    assert isinstance(asked(redis_url, "c"), Admitted)
    undone = sms_worker("cancel", "--undo", "--campaign", "spring")
    assert (undone.code, undone.out) == (0, "campaign spring: taken back\n")
    assert isinstance(asked(redis_url, "a", "spring"), Admitted)
    assert sms_worker("cancel", "--undo", "--campaign", "spring").code == 1


def ttl(redis_url: str, key: bytes) -> int:
    async def look() -> int:
        async with Redis.from_url(redis_url) as client:
            return int(await client.ttl(key))

    return asyncio.run(look())


def test_a_cancel_is_remembered_as_long_as_the_ledger_or_as_the_operator_says(redis_url: str) -> None:
    keys = Keys("sms")
    sms_worker("cancel", "a")
    sms_worker("cancel", "b", "--for", "31d")

    assert 259_190 < ttl(redis_url, keys.cancelled(keys.entry("a"))) <= 259_200
    assert 2_678_390 < ttl(redis_url, keys.cancelled(keys.entry("b"))) <= 2_678_400


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.txt", "a\n\n b \nc\na\n"),
        ("ids", "\ufeffa\r\nb\r\nc\r\n"),
        ("requests.csv", "id,to,type,text,deadline\na,+85251234567,MKT,Hi,2020-01-01T00:00:00Z\nb,,,,\nc,,,,\n"),
        ("requests.jsonl", '{"id": "a"}\n{"id": "b", "to": "1"}\n{"id": "c"}\n'),
    ],
)
def test_a_file_names_ids_or_is_one_of_requests(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content, "utf-8")
    ran = sms_worker("cancel", "--file", str(file), "--json")

    assert (ran.code, ran.err) == (0, "")
    assert [row["id"] for row in ran.rows] == ["a", "b", "c"]


def test_standard_input_has_one_id_a_line() -> None:
    ran = sms_worker("cancel", "--file", "-", answer="a\nb\n")

    assert (ran.code, ran.out.splitlines()[-1]) == (0, "2 ids; cancelled: 2")


def test_lines_at_fault_are_named_and_the_others_are_cancelled(tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_bytes(b"a\ntwo words\n\xff\nb\n")
    ran = sms_worker("cancel", "--file", str(file))

    assert ran.code == 1
    assert ran.out.splitlines() == ["a: cancelled", "b: cancelled", "2 ids; cancelled: 2"]
    assert [line[:20] for line in ran.err.splitlines()] == [
        "sms-worker: line 2: ",
        "sms-worker: line 3: ",
        "sms-worker: 2 lines ",
    ]


def test_of_many_ids_only_those_are_named_that_may_have_been_called_for(redis_url: str, tmp_path: Path) -> None:
    a_worker_calls(redis_url)
    file = tmp_path / "ids.txt"
    file.write_text("\n".join([*(f"r-{number}" for number in range(10_000)), "sent"]), "utf-8")
    began = time.monotonic()
    ran = sms_worker("cancel", "--file", str(file))

    assert time.monotonic() - began < 10
    assert ran.out.splitlines() == ["sent: already sent", "10001 ids; cancelled: 10000, already sent: 1"]
    assert asked(redis_url, "r-9999") == Cancelled(0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give ids, --campaign, or --file"),
        (["a", "--campaign", "b"], "give ids, --campaign, or --file"),
        (["two words"], "two words: is no request id"),
        (["--campaign", ""], "--campaign: give 1 to 256 characters"),
        (["--campaign", "x" * 257], "--campaign: give 1 to 256 characters"),
        (["a", "--undo", "--for", "1h"], "--for: does not go with --undo"),
        (["a", "--for", "400d"], "is longer than 366 days"),
        (["--file", "/nowhere/ids.txt"], "/nowhere/ids.txt: No such file"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], says: str) -> None:
    ran = sms_worker("cancel", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


@pytest.mark.parametrize(
    "command", [["a"], ["--campaign", "b"], ["--undo", "a"], ["--undo", "--campaign", "b"]], ids=str
)
def test_without_redis_every_command_says_so_and_leaves_with_3(
    monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", "redis://127.0.0.1:1/0")
    ran = sms_worker("cancel", *command)

    assert ran.code == 3
    assert "Redis cannot be reached: " in ran.err
