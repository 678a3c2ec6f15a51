"""A publisher may write into headers what it likes: what is ours must come the way that only workers go."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.brokers import TOPOLOGY, declared, filled, send, settings_for
from tests.fakes import RecordingEvents
from tests.makers import make_fields, make_raw
from tests.system import System, running_system
from worker.broker.dead_letters import DeadLetters, chosen_by, open_dead_letters
from worker.broker.letter import Letter
from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE
from worker.core.outcome.outcome import ErrorClass

#: Its call is accepted, and the reply is lost.
LOST = "85291992002"
NO_WINDOWS = "[limits]\nrecipient = []"
CLAIMS = {
    "x-sms-class": "limited",
    "x-sms-code": "OK",
    "x-sms-reason": "Nothing is wrong.",
    "x-sms-remedy": "run: dlq replay --all",
    "x-sms-lane": "marketing",
    "x-sms-died": "2020-01-01T00:00:00+00:00",
    "x-sms-attempts": 7,
    "x-sms-history": '[["2020-01-01T00:00:00Z","OK","accepted"]]',
    "x-death": [{"queue": "sms.send.marketing", "reason": "expired", "time": datetime(2020, 1, 1, tzinfo=UTC)}],
}


async def publish(system: System, lane: Lane, headers: dict[str, Any], **fields: Any) -> None:
    await system.publish(lane.value, make_fields(lane, **fields), headers=headers)


def letters_at(url: str) -> Any:
    return open_dead_letters(settings_for(url), TOPOLOGY, RecordingEvents(), now=lambda: datetime.now(UTC))


async def only_letter(letters: DeadLetters, error_class: ErrorClass) -> Letter:
    (letter,) = await letters.scan(error_class)
    return letter


def forged(system: System) -> float:
    text = system.observed.metrics.exposition()[0].decode()
    lines = [line for line in text.splitlines() if line.startswith("sms_forged_headers_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_a_publisher_that_counts_unknown_calls_gets_none_for_it(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url, toml=NO_WINDOWS) as system:
        for unknowns in (0, 1, 2, 3):
            await publish(system, Lane.NOTIFY, {"x-sms-unknowns": unknowns, "own": "kept"}, id="notice", to=LOST)
        assert await system.settled(4) == {"dead.unknown": 4}

        assert (system.sandbox.account.calls, system.sandbox.account.accepted) == (1, 1)
        letter = await system.take(TOPOLOGY.dead_queue(ErrorClass.UNKNOWN))
        assert letter.headers["own"] == "kept"
        assert forged(system) == 4


async def test_a_million_unknown_calls_that_never_were_do_not_keep_a_letter_from_its_replay(
    amqp_url: str, redis_url: str
) -> None:
    async with running_system(amqp_url, redis_url, toml=NO_WINDOWS) as system:
        await publish(system, Lane.NOTIFY, {"x-sms-unknowns": 1_000_000}, id="notice", to="85291993002")
        assert await system.settled(1) == {"dead.unknown": 1}
        async with letters_at(amqp_url) as letters:
            assert (await only_letter(letters, ErrorClass.UNKNOWN)).history.unknowns == 1
            assert len(await letters.replay(ErrorClass.UNKNOWN, chosen_by("notice"))) == 1
        assert await system.settled(1) == {"done": 1}
        assert system.sandbox.account.calls == 2, "the operator chose one more"


@pytest.mark.parametrize("kind", [ErrorClass.UNROUTABLE, ErrorClass.POISON])
async def test_a_letter_that_rabbitmq_made_shows_nothing_of_the_publishers_as_ours(
    amqp_url: str, kind: ErrorClass
) -> None:
    await declared(amqp_url)
    body = make_raw(Lane.OTP, id="r-1").body
    given: dict[str, Any] = {"headers": CLAIMS, "correlation_id": "another", "message_type": MESSAGE_TYPE}
    if kind is ErrorClass.POISON:  # it expires before anybody consumes it
        await send(amqp_url, "sms.send", "otp", body, **given, expiration="1")
    else:
        await send(amqp_url, "sms.send", "nowhere", body, **given)
    await filled(amqp_url, TOPOLOGY.dead_queue(kind))
    async with letters_at(amqp_url) as letters:
        letter = await only_letter(letters, kind)

    assert letter.code == f"local.{kind.value}"
    assert letter.lane is (Lane.OTP if kind is ErrorClass.POISON else None)
    assert (letter.request_id, letter.history.attempts, letter.history.entries) == ("r-1", 0, ())
    assert "dlq replay --all" not in f"{letter.reason}{letter.remedy}{letter.headers}"
    assert not any(name.startswith("x-sms-") for name in letter.headers)
    assert letter.died is None or letter.died.year > 2020


async def test_a_letter_that_rabbitmq_made_takes_no_forged_header_along_when_it_is_replayed(
    amqp_url: str, redis_url: str
) -> None:
    await declared(amqp_url)
    body = make_raw(Lane.NOTIFY, id="r-1", to=LOST).body
    await send(amqp_url, "sms.send", "nowhere", body, headers={"x-sms-unknowns": 3}, message_type=MESSAGE_TYPE)
    async with running_system(amqp_url, redis_url, toml=NO_WINDOWS) as system:
        async with letters_at(amqp_url) as letters:
            await letters.replay(ErrorClass.UNROUTABLE, lambda _: True, lane=Lane.NOTIFY)
        assert await system.settled(1) == {"dead.unknown": 1}
        async with letters_at(amqp_url) as letters:
            assert (await only_letter(letters, ErrorClass.UNKNOWN)).history.unknowns == 1


async def test_what_an_older_version_returned_to_its_lane_is_sent(amqp_url: str, redis_url: str) -> None:
    """It comes through the publishers' exchange; what waits in the delays comes through the workers' own."""
    before = {"x-sms-attempts": 2, "x-sms-retries": 2, "x-sms-published": datetime.now(UTC).isoformat()}
    await declared(amqp_url)
    waiting, delayed = (make_raw(Lane.OTP, id=one, to=f"8525123456{n}").body for n, one in enumerate(("old", "late")))
    await send(amqp_url, "sms.send", "otp", waiting, headers=before, message_type=MESSAGE_TYPE)
    await send(amqp_url, "sms.delay.00", "0." * 21 + "1.otp", delayed, headers=before, message_type=MESSAGE_TYPE)
    async with running_system(amqp_url, redis_url) as system:
        assert await system.settled(2) == {"done": 2}
        attempts = {line["request_id"]: line["attempt"] for line in system.lines("delivery.settled")}

    assert attempts == {"old": 1, "late": 3}


async def test_another_content_under_an_id_that_was_sent_is_dead_and_not_told_the_first_ones_answer(
    amqp_url: str, redis_url: str
) -> None:
    async with running_system(amqp_url, redis_url) as system:
        await publish(system, Lane.NOTIFY, {}, id="code", to="85251230001", text="one")
        await system.settled(1)
        await publish(system, Lane.NOTIFY, {}, id="code", to="85251230002", text="one")
        await publish(system, Lane.NOTIFY, {}, id="code", to="85251230001", text="one", metadata={"again": "yes"})
        assert await system.settled(3) == {"done": 2, "dead.invalid": 1}

        letter = await system.take(TOPOLOGY.dead_queue(ErrorClass.INVALID))
        assert letter.headers["x-sms-code"] == "local.id_reused"
        assert "another number" in str(letter.headers["x-sms-reason"])
        assert system.sandbox.account.calls == 1
        assert b'sms_ids_reused_total{lane="notify"} 1.0' in system.observed.metrics.exposition()[0]
