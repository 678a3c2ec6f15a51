"""Whatever is published: the worker goes on, every message ends where it belongs, and its content is told nowhere."""

from collections import Counter
from collections.abc import Iterable

import orjson
from aiormq.abc import DeliveredMessage

from tests.brokers import take as take_all
from tests.hostile import collection
from tests.hostile_case import DONE, PREFIX, SECRET, UNROUTABLE, End, Hostile, case
from tests.raw_amqp import opened
from tests.system import System, running_system
from worker.core.outcome.outcome import DEAD_CLASSES, ErrorClass
from worker.telemetry.libraries import libraries_heard

#: An honest request follows every so many hostile messages.
HONEST_EVERY = 5
COLLECTION = collection()


def test_there_are_enough_hostile_messages_and_each_is_another() -> None:
    assert len(COLLECTION) >= 200
    assert len({hostile.what for hostile in COLLECTION}) == len(COLLECTION)
    assert len({hostile.body for hostile in COLLECTION}) == len(COLLECTION)


async def test_hostile_messages_end_where_they_belong_and_harm_nobody(amqp_url: str, redis_url: str) -> None:
    published = with_honest_ones(COLLECTION)
    ends = Counter(dead for hostile in published for dead, _ in hostile.ends)
    # The messages were made when the tests were collected, which may be long ago: nothing may expire for that.
    flags = {"brake.internal": 1.0, "brake.dead": 1.0, "lanes.otp.lifetime": "6h"}
    async with running_system(amqp_url, redis_url, flags=flags) as system:
        with libraries_heard(system.observed.events):
            await publish_all(amqp_url, published)
            depths = await system.settled(ends.total(), timeout=60)
            assert await letters_at_fault(amqp_url, system, published) == []
            assert depths == {queue_of(end): count for end, count in ends.items()}
            await sent_exactly(amqp_url, system, published)
            await goes_on(amqp_url, system)
        told_nothing(system, published)


def with_honest_ones(messages: Iterable[Hostile]) -> list[Hostile]:
    mixed = []
    for number, message in enumerate(messages):
        mixed.append(message)
        if number % HONEST_EVERY == 0:
            mixed.append(case(f"honest {number}", DONE))
    return mixed


def queue_of(end: ErrorClass) -> str:
    return "done" if end is ErrorClass.ACCEPTED else f"dead.{end.value}"


async def publish_all(url: str, messages: Iterable[Hostile]) -> None:
    async with opened(url) as wire:
        for message in messages:
            await wire.publish(message.exchange, message.key, message.properties, message.body)
        await wire.taken()


async def letters_at_fault(url: str, system: System, published: list[Hostile]) -> list[tuple[str, str, str]]:
    """What does not lie where it should, or for another reason: what it is, where it lies, and why."""
    expected = {message.body: message for message in published}
    assert len(expected) == len(published)
    found: dict[bytes, list[End]] = {}
    for dead in DEAD_CLASSES:
        queue = system.topology.dead_queue(dead)
        for letter in await take_all(url, queue, await system.depth(queue), timeout=30):
            found.setdefault(letter.body, []).append((dead, reason_of(letter)))
    assert found.keys() <= expected.keys(), "a body was changed"
    return [
        (message.what, dead.value, reason)
        for body, message in expected.items()
        for (dead, reason), (end, word) in zip_ends(found.get(body, []), message)
        if dead is not end or word not in reason
    ]


def zip_ends(found: list[End], message: Hostile) -> list[tuple[End, End]]:
    """The letters of *message* beside those that it should have."""
    dead = [end for end in message.ends if end != DONE]
    missing = [(ErrorClass.ACCEPTED, "it is not there")] * (len(dead) - len(found))
    surplus = [DONE] * (len(found) - len(dead))
    return list(zip(found + missing, dead + surplus, strict=True))


def reason_of(letter: DeliveredMessage) -> str:
    return str((letter.header.properties.headers or {}).get("x-sms-reason", ""))


async def sent_exactly(url: str, system: System, published: list[Hostile]) -> None:
    """Every message that may be sent was sent, once, and nothing else."""
    fields = [orjson.loads(message.body) for message in published if DONE in message.ends]
    done = await take_all(url, system.topology.done_queue, len(fields), timeout=30)

    assert sorted(orjson.loads(event.body)["id"] for event in done) == sorted(each["id"] for each in fields)
    numbers = sorted(entry.number for entry in system.sandbox.account if entry.accepted)
    assert numbers == sorted(each["to"].lstrip("+") for each in fields)
    assert system.sandbox.account.accepted == len(fields)


async def goes_on(url: str, system: System) -> None:
    """The worker never stumbled: its two first connections are its last, and one more request is sent."""
    await publish_all(url, [case("the last", DONE)])
    assert await system.settled(1) == {"done": 1}

    assert system.app.snapshot().consuming
    assert system.app.intake.in_hand == 0
    told = Counter(line["event"] for line in map(orjson.loads, system.log.getvalue().splitlines()))
    del told["delivery.settled"], told["limiter.available"], told["limiter.new"]
    assert told == {"broker.connected": 2, "worker.started": 1}


def told_nothing(system: System, published: list[Hostile]) -> None:
    log = system.log.getvalue().decode()

    assert log.count("delivery.settled") >= sum(message.ends != (UNROUTABLE,) for message in published)
    assert SECRET not in log
    assert PREFIX not in log
