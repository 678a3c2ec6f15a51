"""All that is asked of Redis, asked by a user with exactly the rights that `config redis-acl` prints, of a real one."""

import asyncio
import shlex
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from tests.fakes import RecordingEvents
from tests.limiters import GLOBE, LEASE, uses_of
from tests.makers import make_fields
from tests.system import running_system
from tests.waiting import eventually
from worker.core.limits.quota import Cap, Quota, Shadow, Window
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Period
from worker.errors import LimiterUnavailable
from worker.limiter import scripts
from worker.limiter.in_force import InForce
from worker.limiter.limiter import RedisLimiter
from worker.limiter.rights import acl_command
from worker.settings.policy import caps_of, quotas_of, windows_of
from worker.settings.sections import HoldSettings, RedisSettings, Settings

PASSWORD = "only for this test"


@pytest.fixture
async def administrator(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def redis(redis_url: str, namespace: str, administrator: Redis) -> AsyncIterator[RedisSettings]:
    """The address of a user of the test's own, with the rights of a worker."""
    user = f"user-{namespace}"
    address = redis_url.replace("redis://", f"redis://{user}:{PASSWORD.replace(' ', '%20')}@")
    settings = RedisSettings(url=SecretStr(address), namespace=namespace, timeout=timedelta(seconds=5))
    await ask(administrator, *shlex.split(acl_command(settings)), f">{PASSWORD}")
    yield settings
    await administrator.acl_deluser(user)


async def ask(administrator: Redis, *words: str) -> None:
    await administrator.execute_command(*words)  # type: ignore[no-untyped-call]


def limiter_of(redis: RedisSettings) -> RedisLimiter:
    events = RecordingEvents()
    limiter: RedisLimiter

    def change(settings: Settings, shadow: Shadow) -> None:
        limiter.limits.change(quotas_of(settings), windows_of(settings), caps_of(settings), shadow)

    limiter = RedisLimiter(
        redis,
        quotas={GLOBE: Quota(500, floors={Lane.MARKETING: 0.1})},
        windows=[Window(1000, Period.DAY, frozenset(Lane)), Window(1000, timedelta(minutes=5), frozenset(Lane))],
        caps=[Cap(100_000, Period.DAY), Cap(100_000, Period.MONTH)],
        hold=HoldSettings(sender_failures=2),
        memory=timedelta(hours=72),
        lease=LEASE,
        events=events,
        in_force=InForce(Settings(), events, change),
    )
    return limiter


async def test_every_script_and_everything_else_runs_with_these_rights(
    redis: RedisSettings, administrator: Redis
) -> None:
    await administrator.script_flush()
    limiter = limiter_of(redis)
    for _ in range(4):  # a second time finds what the first one wrote
        for use in uses_of(limiter, redis):
            await use()
    await limiter.aclose()

    assert await administrator.script_exists(*(script.sha for script in scripts.EVERY)) == [True] * len(scripts.EVERY)


async def test_a_worker_and_its_operator_need_no_other_rights(
    redis: RedisSettings, namespace: str, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = redis.url.get_secret_value()
    environment = {"REDIS__URL": url, "REDIS__NAMESPACE": namespace, "BROKER__URL": amqp_url}
    for name, value in environment.items():
        monkeypatch.setenv(f"SMS_WORKER__{name}", value)
    flags = {"redis.namespace": namespace, "quota.send_message_to_globe": 50}

    async with running_system(amqp_url, url, flags=flags) as system:
        await system.publish("otp", make_fields(id="r-1"))
        await system.publish("notify", make_fields(Lane.NOTIFY, id="r-2", to="+85251234568"))
        assert await system.settled(2) == {"done": 2}
        lines: tuple[str, ...] = (
            "status",
            "holds set country 65 --reason check",
            "holds list",
            "holds release country 65",
        )
        lines += ("limits set limits.caps=[] --shadow", "limits show", "limits reset --all", "limits log")
        for line in lines:
            argv = (sys.executable, "-m", "worker", *line.split())
            ran = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=STDOUT)
            out, _ = await ran.communicate()
            assert ran.returncode == 0, out


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("-hset", "run HSET"),
        ("-smembers", "run SMEMBERS"),
        ("-hincrby", "run HINCRBY"),
        ("-lpush", "run LPUSH"),
        ("-lrange", "run LRANGE"),
        ("-evalsha", "run EVALSHA"),
        ("-script|load", "run SCRIPT|LOAD"),
        ("-set", "run SET"),
        ("-select", "run SELECT"),
        ("resetkeys", "use the keys of redis.namespace"),
    ],
)
async def test_a_right_that_is_missing_is_told_with_where_to_look(
    redis: RedisSettings, administrator: Redis, namespace: str, rule: str, told: str
) -> None:
    await administrator.script_flush()
    await ask(administrator, "ACL", "SETUSER", f"user-{namespace}", rule)
    faults = set()
    limiter = limiter_of(redis)
    for use in uses_of(limiter, redis):
        try:
            await use()
        except LimiterUnavailable as error:
            faults.add(str(error))
    await limiter.aclose()

    wanted = f"Redis does not allow the user of redis.url to {told}: give it what `sms-worker config redis-acl` prints"
    assert wanted in faults
    assert not [fault for fault in faults if "ResponseError" in fault or "user_script" in fault]


async def test_a_worker_says_which_right_its_user_lacks(
    redis: RedisSettings, administrator: Redis, namespace: str, amqp_url: str
) -> None:
    url = redis.url.get_secret_value()
    async with running_system(amqp_url, url, flags={"redis.namespace": namespace}) as system:
        await ask(administrator, "ACL", "SETUSER", f"user-{namespace}", "-set")
        await eventually(lambda: system.lines("limiter.unavailable"), because="it is told")
        (line,) = system.lines("limiter.unavailable")
        await ask(administrator, "ACL", "SETUSER", f"user-{namespace}", "+set")
        await eventually(lambda: system.app.snapshot().limiter, because="it goes on")

    assert "run SET:" in line["kind"]
    assert "config redis-acl" in line["kind"]
