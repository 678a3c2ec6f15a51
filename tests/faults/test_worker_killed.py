"""A worker is killed at every named step of a message's path: nothing is lost, nothing silently sent twice."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from redis.asyncio import Redis

from deploy.local.stack import Stack
from tests.brokers import declared
from tests.faults.accounts import judge
from tests.faults.kills import table
from tests.faults.points import POINTS
from tests.faults.publishing import Publishing, publisher
from tests.faults.requests import Mix
from tests.faults.resting import Resting
from tests.faults.settings import WORKER, in_books
from tests.faults.size import SEED, SIZE
from tests.faults.zygote import Death, Zygote, zygote
from tests.waiting import eventually
from worker.core.topology import Topology
from worker.limiter.keys import Keys
from worker.sandbox import Sandbox, SandboxSettings

#: Few at a time: the broker counts every kill against the delivery limit of each request in hand.
LIVES = {**WORKER, **{f"lanes.{lane}.prefetch": 4 for lane in ("otp", "notify", "marketing")}}
#: The latest passing of its point at which a worker dies.
LATEST = 6
#: A call takes this long, so that several are in flight.
LATENCY_S = 0.005
#: Points at which the ledger must say that a call is under way.
CALLING = ("claimed", "bytes left")
#: Requests that are published for a life beyond those that it needs to come to its end.
SPARE = 6


@pytest.mark.timeout(60 + SIZE.kills * len(POINTS) * 2)
async def test_a_worker_killed_at_any_step_loses_nothing_and_sends_nothing_twice_that_no_policy_chose(
    stack: Stack, amqp_url: str, redis_url: str, tmp_path: Path, show: Callable[[str], None]
) -> None:
    dice = Random(SEED)
    orders = [point for point in POINTS for _ in range(SIZE.kills)]
    dice.shuffle(orders)
    await declared(amqp_url, Topology())
    sandbox_settings = SandboxSettings(latency_s=LATENCY_S, jitter_s=LATENCY_S, seed=SEED)
    async with AsyncExitStack() as closing:
        sandbox = await closing.enter_async_context(Sandbox(sandbox_settings))
        addresses = {"broker.url": amqp_url, "redis.url": redis_url, "provider.endpoint": await sandbox.start()}
        publishing = await closing.enter_async_context(publisher(amqp_url))
        settings = {**LIVES, **addresses}
        zygotes = [
            await closing.enter_async_context(zygote(tmp_path / f"{number}.log", stack.environment, settings))
            for number in range(SIZE.workers)
        ]
        redis = await closing.enter_async_context(Redis.from_url(redis_url))
        lives = Lives(iter(orders), dice, Mix(SEED), publishing, sandbox, redis)
        await asyncio.gather(*(lives.live(one) for one in zygotes))

        resting = Resting(amqp_url)
        async with zygotes[0].worker():
            await resting.settle(publishing.published, timeout=60)
        verdict = judge(publishing.published, in_books(sandbox), await resting.take_all())

    show(table(lives.deaths, verdict))
    assert Counter(death.point for death in lives.deaths) == dict.fromkeys(POINTS, SIZE.kills)
    assert verdict.agrees, str(verdict)


@dataclass
class Lives:
    """What several parents of doomed workers share."""

    orders: Iterator[str]
    dice: Random
    mix: Mix
    publishing: Publishing
    sandbox: Sandbox
    redis: Redis
    deaths: list[Death] = field(default_factory=list)

    async def live(self, parent: Zygote) -> None:
        """One life after the other; each finds enough waiting to come to its end."""
        for point in self.orders:
            passing = self.dice.randint(1, LATEST)
            await self.publishing.publish(self.mix.draw() for _ in range(passing + SPARE))
            death = await parent.life(point, passing)
            assert death.is_as_ordered, f"{point}: {death}\n{parent.last_lines()}"
            assert death.point == point
            if point in CALLING:
                await self._look(death)
            self.deaths.append(death)

    async def _look(self, death: Death) -> None:
        """The worker was where it says: the ledger has its claim, and what left its machine arrived."""
        assert death.about is not None
        entry = await self.redis.get(Keys("sms").entry(death.about))
        assert b"calling" in (entry or b""), (death, entry)
        if death.point == "bytes left":
            await eventually(lambda: death.about in self.called(), 5, f"the sandbox got {death.about}")

    def called(self) -> set[str]:
        """Request ids of the latest calls."""
        account = self.sandbox.account
        return {entry.task_id for entry in account.entries(max(0, len(account) - 200), len(account))}
