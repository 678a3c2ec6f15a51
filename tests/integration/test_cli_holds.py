"""Holding and releasing from a shell, and what the workers make of it, with a real Redis."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cli import sms_worker
from tests.fakes import RecordingEvents
from worker.core.decision.feedback import Refused
from worker.core.limits.holds import HoldName
from worker.core.outcome.outcome import Scope
from worker.limiter.limiter import RedisLimiter
from worker.settings.load import load
from worker.settings.policy import lease_of, quotas_of


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", redis_url)


def rows() -> list[dict[str, Any]]:
    ran = sms_worker("holds", "list", "--json")
    assert (ran.code, ran.err) == (0, "")
    return ran.rows


def test_without_holds_there_is_nothing_to_list() -> None:
    assert sms_worker("holds", "list").out == "Nothing is held.\n"
    assert rows() == []


def test_an_operator_holds_and_releases_each_scope() -> None:
    held = [
        sms_worker("holds", "set", *name, "--reason", "a check", *more).out
        for name, more in ((["account"], []), (["sender", "ACME"], []), (["country", "+65"], ["--for", "2h"]))
    ]
    listed = rows()
    shown = sms_worker("holds", "list").out
    released = [sms_worker("holds", "release", *name) for name in (["account"], ["sender", "ACME"], ["country", "65"])]

    assert held == [
        "account is held until it is released\n",
        "sender ACME is held until it is released\n",
        "country 65 is held for 2.0 h\n",
    ]
    assert [(row["scope"], row["subject"], row["by"], row["remedy"]) for row in listed] == [
        ("account", None, "operator", "a check"),
        ("country", "65", "operator", "a check"),
        ("sender", "ACME", "operator", "a check"),
    ]
    assert [row["next_probe_in_s"] for row in listed] == [None, None, None]
    assert 7190 < listed[1]["ends_in_s"] <= 7200
    assert abs(datetime.now(UTC) - datetime.fromisoformat(listed[0]["since"])).total_seconds() < 10
    assert "waits for release" in shown
    assert "ends in 120 min" in shown
    assert [ran.code for ran in released] == [0, 0, 0]
    assert released[1].out == "sender ACME is released; it was held for 1 s because of a check\n"
    assert rows() == []


def test_releasing_what_is_not_held_says_so_and_leaves_with_1() -> None:
    ran = sms_worker("holds", "release", "sender", "ACME")

    assert (ran.code, ran.out, ran.err) == (1, "", "sms-worker: sender ACME is not held\n")


def test_a_hold_of_the_providers_is_listed_with_its_remedy_and_gives_way_to_the_operators(redis_url: str) -> None:
    settings = load([], {}, {"redis.url": redis_url})

    async def be_refused() -> None:
        limiter = RedisLimiter(
            settings.redis,
            quotas=quotas_of(settings),
            windows=(),
            caps=(),
            memory=settings.ledger.memory,
            lease=lease_of(settings),
            hold=settings.hold,
            events=RecordingEvents(),
        )
        await limiter.start()
        for _ in range(3):
            await limiter.holds.refused(Refused(HoldName(Scope.SENDER, "ACME"), "SENDERID_BLACKLISTED", ""))
        await limiter.aclose()

    asyncio.run(be_refused())
    (row,) = rows()
    over = sms_worker("holds", "set", "sender", "ACME", "--reason", "asked support").out
    (after,) = rows()

    assert (row["code"], row["by"], row["failed_probes"]) == ("SENDERID_BLACKLISTED", "provider", 0)
    assert 0 < row["next_probe_in_s"] <= settings.hold.slowest_probe.total_seconds()
    assert row["remedy"]
    assert over.endswith("it was held before because of SENDERID_BLACKLISTED\n")
    assert (after["code"], after["remedy"]) == ("operator", "asked support")


@pytest.mark.parametrize("command", [["list"], ["set", "account", "--reason", "x"], ["release", "account"]], ids=str)
def test_without_redis_every_command_says_so_in_a_sentence_and_leaves_with_3(
    monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", "redis://127.0.0.1:1/0")
    ran = sms_worker("holds", *command)

    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("sms-worker: Redis cannot be reached: ")
    assert ran.err.count("\n") == 1
