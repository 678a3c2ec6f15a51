"""Looking into dead-letter queues of a real RabbitMQ, bringing back, throwing away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from tests.brokers import TOPOLOGY, declared, depth, filled, outgoing, publishing, raw_channel, send, settings_for, take
from tests.fakes import RecordingEvents
from tests.makers import make_raw
from tests.waiting import eventually
from worker.broker.dead_letters import DeadLetters, chosen_by, open_dead_letters
from worker.broker.depths import Depth
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES, ErrorClass
from worker.errors import BrokerUnavailable, InUse, UsageError

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CONTENT_QUEUE = TOPOLOGY.dead_queue(ErrorClass.CONTENT)


@asynccontextmanager
async def letters_at(url: str) -> AsyncIterator[DeadLetters]:
    async with open_dead_letters(settings_for(url), TOPOLOGY, RecordingEvents(), now=lambda: NOW) as letters:
        yield letters


async def bury(url: str, *ids: str) -> None:
    """Put a dead letter of class content for each id, as the worker would."""
    await declared(url)
    given = {
        "x-sms-code": "SMS_CONTENT_ILLEGAL",
        "x-sms-reason": "The content is not allowed.",
        "x-sms-remedy": "Change the text.",
        "x-sms-lane": "notify",
        "x-sms-died": "2026-11-23T11:00:00.000+00:00",
        "x-sms-attempts": 2,
    }
    async with publishing(url) as publisher:
        for one in ids:
            message = outgoing(TOPOLOGY.to_dead(ErrorClass.CONTENT), make_raw(Lane.NOTIFY, id=one).body)
            await publisher.publish(message._replace(headers=given | {"own": one}, correlation_id=one))


async def ids_in(url: str, queue: str, count: int) -> list[str | None]:
    return [message.header.properties.correlation_id for message in await take(url, queue, count)]


async def test_looking_three_times_changes_neither_order_nor_headers_nor_bodies(amqp_url: str) -> None:
    ids = [f"r-{number}" for number in range(200)]
    await bury(amqp_url, *ids)
    async with letters_at(amqp_url) as letters:
        looks = [await letters.scan(ErrorClass.CONTENT) for _ in range(3)]

    for look in looks:
        assert [letter.request_id for letter in look] == ids
        assert [letter.position for letter in look] == list(range(1, 201))
        assert [letter.body for letter in look] == [make_raw(Lane.NOTIFY, id=one).body for one in ids]
        assert [letter.headers["own"] for letter in look] == ids
    assert [look[0].deliveries for look in looks] == [0, 1, 2]
    assert await ids_in(amqp_url, CONTENT_QUEUE, 200) == ids


async def test_a_letter_tells_what_died_why_and_what_to_do(amqp_url: str) -> None:
    await bury(amqp_url, "r-1")
    async with letters_at(amqp_url) as letters:
        letter = await letters.show(ErrorClass.CONTENT, "r-1")

    assert letter is not None
    assert (letter.code, letter.reason, letter.remedy) == (
        "SMS_CONTENT_ILLEGAL",
        "The content is not allowed.",
        "Change the text.",
    )
    assert (letter.lane, letter.died) == (Lane.NOTIFY, datetime(2026, 11, 23, 11, 0, tzinfo=UTC))
    assert letter.history.attempts == 2


async def test_counting_costs_no_look(amqp_url: str) -> None:
    await bury(amqp_url, "r-1", "r-2")
    async with letters_at(amqp_url) as letters:
        groups = await letters.groups()
        (first, _) = await letters.scan(ErrorClass.CONTENT)

    assert groups == dict.fromkeys(DEAD_CLASSES, Depth(0, 0)) | {ErrorClass.CONTENT: Depth(2, 0)}
    assert first.deliveries == 0


async def test_a_look_is_bounded_and_an_empty_queue_answers_at_once(amqp_url: str) -> None:
    await bury(amqp_url, "r-1", "r-2", "r-3")
    async with letters_at(amqp_url) as letters:
        assert [letter.request_id for letter in await letters.scan(ErrorClass.CONTENT, limit=2)] == ["r-1", "r-2"]
        assert await letters.scan(ErrorClass.EXPIRED) == []
        assert await letters.show(ErrorClass.CONTENT, 3) is not None
        assert await letters.show(ErrorClass.CONTENT, "nobody") is None
        with pytest.raises(UsageError, match="between 1 and"):
            await letters.scan(ErrorClass.CONTENT, limit=0)


async def test_replayed_letters_are_on_their_lane_with_fresh_counters_and_the_others_stay_in_order(
    amqp_url: str,
) -> None:
    await bury(amqp_url, *(f"r-{number}" for number in range(1, 7)))
    async with letters_at(amqp_url) as letters:
        back = await letters.replay(ErrorClass.CONTENT, chosen_by("r-2", 5))

    assert [letter.request_id for letter in back] == ["r-2", "r-5"]
    messages = await take(amqp_url, TOPOLOGY.lane_queue(Lane.NOTIFY), 2)
    assert {message.body for message in messages} == {make_raw(Lane.NOTIFY, id=one).body for one in ("r-2", "r-5")}
    for message in messages:
        headers = message.header.properties.headers or {}
        assert set(headers) == {"own", "x-sms-published", "x-sms-replays", "x-sms-history"}
        assert headers["x-sms-replays"] == 1
        assert "SMS_CONTENT_ILLEGAL" in str(headers["x-sms-history"])
    assert await ids_in(amqp_url, CONTENT_QUEUE, 4) == ["r-1", "r-3", "r-4", "r-6"]


async def test_discarded_letters_are_gone_and_the_others_stay_in_order(amqp_url: str) -> None:
    await bury(amqp_url, *(f"r-{number}" for number in range(1, 6)))
    async with letters_at(amqp_url) as letters:
        gone = await letters.discard(ErrorClass.CONTENT, chosen_by("r-1", "r-4"))

    assert [letter.request_id for letter in gone] == ["r-1", "r-4"]
    assert await ids_in(amqp_url, CONTENT_QUEUE, 3) == ["r-2", "r-3", "r-5"]


async def test_one_at_a_time_looks_and_the_other_is_told_so(amqp_url: str) -> None:
    await bury(amqp_url, "r-1", "r-2")
    async with letters_at(amqp_url) as letters, letters_at(amqp_url) as others:
        export = letters.export(ErrorClass.CONTENT)
        assert (await anext(export)).request_id == "r-1"
        with pytest.raises(InUse, match=r"somebody else is looking into sms\.dead\.content"):
            await others.scan(ErrorClass.CONTENT)
        with pytest.raises(InUse):
            await others.discard(ErrorClass.CONTENT, chosen_by("r-1"))
        assert (await others.groups())[ErrorClass.CONTENT] == Depth(0, 1)
        assert await others.scan(ErrorClass.EXPIRED) == [], "another class is nobody's concern"
        await export.aclose()

        assert [letter.request_id for letter in await others.scan(ErrorClass.CONTENT)] == ["r-1", "r-2"]
        assert len(await letters.discard(ErrorClass.CONTENT, chosen_by("r-1", "r-2"))) == 2
        assert await others.scan(ErrorClass.CONTENT) == []


async def test_many_who_look_at_once_see_all_letters_or_that_somebody_looks(amqp_url: str) -> None:
    ids = [f"r-{number}" for number in range(20)]
    await bury(amqp_url, *ids)
    async with letters_at(amqp_url) as letters, letters_at(amqp_url) as others:
        for _ in range(5):
            looks = (each.scan(ErrorClass.CONTENT) for each in (letters, others, letters))
            for found in await asyncio.gather(*looks, return_exceptions=True):
                assert isinstance(found, InUse) or {letter.request_id for letter in found} == set(ids)  # type: ignore[union-attr]  # anything else fails
        await eventually(lambda: depth(amqp_url, CONTENT_QUEUE), because="given back")
        assert {letter.request_id for letter in await letters.scan(ErrorClass.CONTENT)} == set(ids)


async def test_an_export_that_is_left_early_returns_everything(amqp_url: str) -> None:
    await bury(amqp_url, "r-1", "r-2", "r-3")
    async with letters_at(amqp_url) as letters:
        export = letters.export(ErrorClass.CONTENT)
        first = await anext(export)
        await export.aclose()
        assert first.request_id == "r-1"
        assert [letter.request_id for letter in await letters.scan(ErrorClass.CONTENT)] == ["r-1", "r-2", "r-3"]


async def test_a_letter_without_a_lane_is_replayed_only_to_a_lane_that_is_named(amqp_url: str) -> None:
    await declared(amqp_url)
    await send(amqp_url, "sms.send", "otpp", make_raw(Lane.OTP, id="lost").body, message_type="sms.request.v1")
    async with letters_at(amqp_url) as letters:
        await filled(amqp_url, TOPOLOGY.dead_queue(ErrorClass.UNROUTABLE))
        (letter,) = await letters.scan(ErrorClass.UNROUTABLE)
        assert (letter.request_id, letter.lane, letter.code) == ("lost", None, "local.unroutable")
        with pytest.raises(UsageError, match="name a lane"):
            await letters.replay(ErrorClass.UNROUTABLE, chosen_by("lost"))
        await letters.replay(ErrorClass.UNROUTABLE, chosen_by("lost"), lane=Lane.OTP)

    (message,) = await take(amqp_url, TOPOLOGY.lane_queue(Lane.OTP))
    assert message.header.properties.message_type == "sms.request.v1"


async def test_a_poisonous_letter_knows_the_lane_in_which_it_died(amqp_url: str) -> None:
    await declared(amqp_url)
    route = TOPOLOGY.to_lane(Lane.MARKETING)
    await send(amqp_url, route.exchange, route.key, b"{}", expiration="1")
    async with letters_at(amqp_url) as letters:
        await filled(amqp_url, TOPOLOGY.dead_queue(ErrorClass.POISON))
        (letter,) = await letters.scan(ErrorClass.POISON)

    assert (letter.lane, letter.code) == (Lane.MARKETING, "local.poison")
    assert "AMQP expiration" in (letter.reason or "")
    assert letter.died is not None


async def test_a_replay_that_finds_no_lane_queue_loses_nothing(amqp_url: str) -> None:
    await bury(amqp_url, "r-1")
    async with letters_at(amqp_url) as letters:
        async with raw_channel(amqp_url) as channel:
            await channel.exchange_delete("sms.due")
        with pytest.raises(BrokerUnavailable):
            await letters.replay(ErrorClass.CONTENT, chosen_by("r-1"))
        assert [letter.request_id for letter in await letters.scan(ErrorClass.CONTENT)] == ["r-1"]


async def test_a_missing_topology_is_told_by_its_queue(amqp_url: str) -> None:
    async with letters_at(amqp_url) as letters:
        with pytest.raises(BrokerUnavailable, match=r"sms\.dead\.internal"):
            await letters.groups()
