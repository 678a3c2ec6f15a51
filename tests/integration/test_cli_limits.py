"""Changing limits from a shell, with a real Redis."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from tests.cli import Ran, sms_worker
from worker.cli.output import console
from worker.core.limits.overrides import Override, Overrides
from worker.errors import WorkerError
from worker.limiter.keys import Keys
from worker.limiter.overrides import LONGEST, written
from worker.operator import limits as limits_of
from worker.settings.load import load
from worker.settings.sections import Settings

GLOBE = "quota.send_message_to_globe"
CAPS = '[{limit = 1000, period = "day", prefix = "852"}]'
MANY = ",".join(f'{{limit = 1, period = "day", prefix = "{prefix}"}}' for prefix in range(1, 500))
KEYS = Keys("sms")


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", redis_url)
    monkeypatch.setattr(console, "width", 240)


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return Redis.from_url(redis_url)


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return load([], {}, {"redis.url": redis_url})


def limits(*arguments: str) -> Ran:
    return sms_worker("limits", *arguments)


def rows() -> dict[str, dict[str, Any]]:
    ran = limits("show", "--json")
    assert (ran.code, ran.err) == (0, "")
    return {row["key"]: row for row in ran.rows}


def test_what_nobody_changed_is_shown_as_it_is_configured() -> None:
    shown = rows()

    assert shown[GLOBE] == {
        "key": GLOBE, "configured": 30, "value": 30, "by": None, "since": None, "until": None, "ends_in_s": None,
        "shadow": None,
    }  # fmt: skip
    assert shown["limits.recipient"]["value"][0] == {"limit": 1, "period": "30s", "lanes": ["otp"]}
    assert limits("log").out == "Nothing was changed.\n"
    assert limits("reset", "--all").out == "Nothing is changed.\n"


def test_limits_are_changed_shown_logged_and_reset() -> None:
    ran = limits("set", f"{GLOBE}=20", "lanes.marketing.floor=0.1", "--for", "2h", "--by", "Ada")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        f"{GLOBE}: from 30 to 20, for 2.0 h; in all workers within a second\n"
        "lanes.marketing.floor: from 0.05 to 0.1, for 2.0 h; in all workers within a second\n"
    )
    assert limits("set", f"limits.caps={CAPS}").code == 0
    shown, table = rows(), limits("show").out

    assert (shown[GLOBE]["configured"], shown[GLOBE]["value"], shown[GLOBE]["by"]) == (30, 20, "Ada")
    assert 7190 < shown[GLOBE]["ends_in_s"] <= 7200
    assert abs((datetime.fromisoformat(shown[GLOBE]["since"]) - datetime.now(UTC)).total_seconds()) < 10
    assert shown["limits.caps"]["value"] == [{"limit": 1000, "period": "day", "prefix": "852"}]
    assert "@" in shown["limits.caps"]["by"]
    assert "in 120 min" in table
    assert '{limit = 1000, period = "day", prefix = "852"}' in table

    ran = limits("reset", GLOBE, "--by", "Bob")
    assert ran.out == f"{GLOBE}: from 20 to 30; in all workers within a second\n"
    assert rows()[GLOBE]["value"] == 30
    assert limits("reset", "--all").code == 0
    assert {key: row["by"] for key, row in rows().items() if row["by"]} == {}

    log = limits("log", "--json").rows
    assert [(row["key"], row["by"], row["from"], row["to"], row["for_s"]) for row in log[2:]] == [
        (GLOBE, "Bob", 20, 30, None),
        ("limits.caps", shown["limits.caps"]["by"], [], shown["limits.caps"]["value"], None),
        ("lanes.marketing.floor", "Ada", 0.05, 0.1, 7200.0),
        (GLOBE, "Ada", 30, 20, 7200.0),
    ]
    assert {row["key"] for row in log[:2]} == {"lanes.marketing.floor", "limits.caps"}
    assert limits("log", "--limit", "1", "--json").rows == log[:1]
    assert "Bob" in limits("log").out


def test_a_shadow_is_shown_beside_what_is_in_force_and_ends_when_its_value_takes_force() -> None:
    assert limits("set", f"limits.caps={CAPS}", "--shadow", "--for", "1d").code == 0
    row = rows()["limits.caps"]
    table = limits("show").out

    assert row["value"] == []
    assert row["shadow"]["value"] == [{"limit": 1000, "period": "day", "prefix": "852"}]
    assert (row["shadow"]["refused"], row["shadow"]["refused_by"]) == (0, {})
    assert "shadow, would have refused 0" in table

    assert limits("set", f"limits.caps={CAPS}").code == 0
    assert rows()["limits.caps"]["shadow"] is None
    assert limits("reset", "limits.caps", "--shadow").err == "sms-worker: limits.caps has no shadow\n"
    assert limits("reset", "limits.caps").code == 0
    assert [row["shadow"] for row in limits("log", "--json").rows] == [False, False, True]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([f"{GLOBE}=5000"], f"given: {GLOBE} = 5000: Input should be less than or equal to 4000"),
        ([f"{GLOBE}=fast"], f"given: {GLOBE} = 'fast': Input should be a valid integer"),
        ([f"{GLOBE}=true"], f"given: {GLOBE} = True: Input should be a valid integer"),
        (["lanes.otp.floor=0.6", "lanes.notify.floor=0.5"], "given: lanes: the floors of all lanes together"),
        (["lanes.otp.floor=nan"], "given: lanes.otp.floor = nan:"),
        (["lanes.otp.floor=0.9"], "given: lanes: the floors of all lanes together"),
        (["quota.send_messages=5"], "given: quota.send_messages is no key; did you mean quota.send_message_to_globe?"),
        (["no.thing=5"], "given: no.thing is no key; there are quota.send_message_to_globe, "),
        (["broker.url=amqp://hidden"], "given: broker.url cannot be changed while workers run; what can be: "),
        (["limits.caps=[{limit = 1"], "limits.caps: is not TOML: "),
        ([f"limits.caps={'[' * 9000}"], "limits.caps: is not TOML: it is nested too deeply"),
        ([f"limits.caps=[{'1' * 5000}]"], "limits.caps: is not TOML: Exceeds the limit"),
        ([f"{GLOBE}={'1' * 5000}"], f"given: {GLOBE} = '1111"),
        (["limits.caps=[{limit = 0, period = 'day'}]"], "given: limits.caps.0.limit"),
        (["limits.caps=[{limit = 1, period = 'year'}]"], "given: limits.caps.0.period"),
        (["limits.caps=[{limit = 1, period = 'day', colour = 'red'}]"], "given: limits.caps.0.colour is no key"),
        (["limits.caps=7"], "given: limits.caps = 7: Input should be a valid"),
        (["limits.recipient=[{limit = 1, period = '91d'}]"], "must be at most 90d"),
        ([f"{GLOBE}=20", "--for", "0s"], "must be at least 1s and at most 365d"),
        ([f"{GLOBE}=20", "--for", "999d"], "must be at least 1s and at most 365d"),
        ([f"{GLOBE}=20", "--for", "soon"], "must be a number and a unit"),
        ([f"{GLOBE}=20", "--shadow"], f"--shadow: {GLOBE} refuses nobody"),
        ([f"{GLOBE}=20", f"{GLOBE}=21"], f"{GLOBE}: is given twice; give it once"),
        ([f"{GLOBE}=20", "--by", ""], "--by: give 1 to 64 characters"),
        ([f"{GLOBE}=20", "--by", "a\nb"], "--by: give 1 to 64 characters"),
        ([f"{GLOBE}="], "write it as section.key=value"),
        ([GLOBE], "write it as section.key=value"),
        ([], "Missing argument 'KEY=VALUE...'"),
        ([f"limits.caps=[{MANY}]"], f"at most {LONGEST} are kept"),
    ],
)
def test_what_is_wrong_changes_nothing_and_says_what_to_do(redis: Redis, arguments: list[str], told: str) -> None:
    ran = limits("set", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert "hidden" not in ran.err
    assert redis.keys("*") == []


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "give keys, or say --all"),
        ([GLOBE, "--all"], 2, "give keys, or say --all"),
        ([GLOBE], 1, f"{GLOBE} is not changed"),
        (["quota.nothing"], 2, "given: quota.nothing is no key"),
    ],
)
def test_a_reset_of_nothing_is_told(arguments: list[str], code: int, told: str) -> None:
    ran = limits("reset", *arguments)

    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err


def test_what_would_be_wrong_when_a_change_ends_is_refused_at_once() -> None:
    assert limits("set", "lanes.notify.floor=0", "--for", "1h").code == 0
    ran = limits("set", "lanes.otp.floor=0.9")

    assert ran.code == 2
    assert "when the change of lanes.notify.floor ends, the limits have a fault" in ran.err


def test_what_workers_of_another_version_changed_is_kept_and_shown(redis: Redis) -> None:
    redis.set(KEYS.overrides, written(Overrides(7, (Override("later.key", 5, "Eve", 1),))))
    assert limits("set", f"{GLOBE}=20").code == 0

    assert rows()["later.key"]["value"] == 5
    assert limits("reset", "later.key").code == 0
    assert "later.key" not in rows()


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage", b"[]", b"{}x", b"\xff", b'{"version": "1"}', b"[" * 5000, b"1" * (LONGEST + 1),
        b'{"version": 1, "every": [{"key": "x"}]}',
        b'{"version": 1, "every": [{"key": "x", "value": 1, "by": "", "since_us": 1' + b"0" * 300 + b"}]}",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_changes_nothing_and_can_be_removed(redis: Redis, garbage: bytes) -> None:
    redis.set(KEYS.overrides, garbage)
    shown, changed = limits("show", "--json"), limits("set", f"{GLOBE}=20")

    assert (shown.code, changed.code) == (1, 1)
    for ran in (shown, changed):
        assert "what Redis has for changed limits cannot be read" in ran.err
        assert "sms-worker limits reset --all" in ran.err
    assert {row["key"]: row["value"] for row in shown.rows}[GLOBE] == 30
    assert redis.get(KEYS.overrides) == garbage
    assert limits("reset", "--all").code == 0
    assert rows()[GLOBE]["value"] == 30
    assert limits("set", f"{GLOBE}=20").code == 0


def test_keys_of_another_kind_are_told_or_replaced(redis: Redis) -> None:
    redis.rpush(KEYS.overrides, "x")
    redis.set(KEYS.changes, "x")
    redis.set(KEYS.shadowed, "x")

    assert "cannot be read" in limits("show").err
    assert limits("reset", "--all").code == 0
    assert limits("set", f"{GLOBE}=20").code == 0
    assert [row["key"] for row in limits("log", "--json").rows] == [GLOBE]
    redis.lpush(KEYS.changes, "x", '{"at_us": 1' + "0" * 300 + "}")
    assert [row["key"] for row in limits("log", "--json").rows] == [GLOBE]


def test_only_the_last_thousand_changes_are_kept(redis: Redis) -> None:
    for _ in range(3):
        assert limits("set", f"{GLOBE}=20").code == 0
    for _ in range(9):
        redis.rpush(KEYS.changes, *redis.lrange(KEYS.changes, 0, -1) * 2)
    assert redis.llen(KEYS.changes) > 1000
    assert limits("set", f"{GLOBE}=21").code == 0

    assert redis.llen(KEYS.changes) == 1000
    assert limits("log", "--json", "--limit", "1").rows[0]["to"] == 21


def changed_between(settings: Settings, key: str, value: Any, meanwhile: Callable[[int], None]) -> None:
    """Set *key*, while something happens between the look and the change; it hears how often it was looked."""
    plan, looks = limits_of.planned(settings, limits_of.Wanted({key: value}, "Ada")), 0

    def disturbed(overrides: Overrides, now_us: int) -> Any:
        nonlocal looks
        looks += 1
        meanwhile(looks)
        return plan(overrides, now_us)

    asyncio.run(limits_of.carry_out(settings, disturbed))


def put(redis: Redis, settings: Settings, key: str, value: Any, version: int) -> None:
    redis.set(KEYS.overrides, written(Overrides(version, (Override(key, value, "Bob", 1),))))


def test_two_who_change_different_limits_both_have_their_way(redis: Redis, settings: Settings) -> None:
    def meanwhile(look: int) -> None:
        if look == 1:
            put(redis, settings, "lanes.otp.floor", 0.2, 1)

    changed_between(settings, GLOBE, 20, meanwhile)

    assert (rows()[GLOBE]["value"], rows()["lanes.otp.floor"]["value"]) == (20, 0.2)


def test_two_who_change_the_same_limit_do_not_overwrite_each_other_unseen(redis: Redis, settings: Settings) -> None:
    def meanwhile(look: int) -> None:
        if look == 1:
            put(redis, settings, GLOBE, 5, 1)

    with pytest.raises(WorkerError, match=f"{GLOBE} was changed meanwhile by Bob; look at it"):
        changed_between(settings, GLOBE, 20, meanwhile)

    assert rows()[GLOBE]["value"] == 5


def test_floors_that_two_set_at_once_are_checked_together(redis: Redis, settings: Settings) -> None:
    def meanwhile(look: int) -> None:
        if look == 1:
            put(redis, settings, "lanes.otp.floor", 0.7, 1)

    with pytest.raises(WorkerError, match="the floors of all lanes together"):
        changed_between(settings, "lanes.marketing.floor", 0.5, meanwhile)


def test_who_is_disturbed_for_ever_gives_up(redis: Redis, settings: Settings) -> None:
    with pytest.raises(WorkerError, match="others change limits all the time"):
        changed_between(
            settings, GLOBE, 20, lambda look: put(redis, settings, "lanes.otp.floor", 0.1 + look / 100, look)
        )


def test_without_redis_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_WORKER__REDIS__URL", "redis://127.0.0.1:1/0")
    for arguments in (["show"], ["set", f"{GLOBE}=20"], ["reset", "--all"], ["log"]):
        ran = limits(*arguments)

        assert ran.code == 3
        assert ran.err.startswith("sms-worker: Redis cannot be reached")
