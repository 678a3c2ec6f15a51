"""The way of requests through the whole system: who goes first, who waits, who comes again, and who is never called."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tests.brokers import take
from tests.makers import make_fields
from tests.system import System, running_system
from tests.waiting import eventually
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass

NO_WINDOWS = "[limits]\nrecipient = []"


async def publish(system: System, lane: Lane, **fields: Any) -> None:
    await system.publish(lane.value, make_fields(lane, **fields))


async def done_events(system: System, count: int) -> dict[str, dict[str, Any]]:
    """The events of *count* requests, by their ids."""
    url = system.settings.broker.url.get_secret_value()
    events = [orjson.loads(message.body) for message in await take(url, system.topology.done_queue, count)]
    return {event["id"]: event for event in events}


def arrivals(system: System) -> dict[str, list[float]]:
    """When the calls of each request arrived; Unix seconds."""
    found: dict[str, list[float]] = {}
    for entry in system.sandbox.account:
        found.setdefault(entry.task_id, []).append(entry.arrived)
    return found


async def test_a_password_overtakes_a_backlog_of_marketing(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url, flags={"quota.send_message_to_globe": 20}) as system:
        account = system.sandbox.account
        for number in range(100):
            await publish(system, Lane.MARKETING, id=f"m-{number}", to=f"8529{number:07}")
        await eventually(lambda: account.calls >= 5, because="marketing is sent")
        before = account.calls
        await publish(system, Lane.OTP, id="otp")
        await eventually(lambda: "otp" in arrivals(system), because="the password is sent")

        assert account.calls - before <= 6, "at most what was booked, or sent meanwhile"
        assert sum(system.app.dispatch.waiting().values()) > 50
        assert account.accepted == account.calls


async def test_a_second_password_waits_for_the_recipients_window(amqp_url: str, redis_url: str) -> None:
    window = '[[limits.recipient]]\nlimit = 1\nperiod = "3s"\nlanes = ["otp"]'
    async with running_system(amqp_url, redis_url, toml=window) as system:
        await publish(system, Lane.OTP, id="first")
        await system.settled(1)
        await publish(system, Lane.OTP, id="second")
        soon = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
        await publish(system, Lane.OTP, id="hasty", deadline=soon)
        await publish(system, Lane.NOTIFY, id="notice")
        assert await system.settled(4) == {"done": 3, "dead.limited": 1}

        calls = arrivals(system)
        assert calls.keys() == {"first", "second", "notice"}
        assert 3 <= calls["second"][0] - calls["first"][0] < 7
        assert calls["notice"] < calls["second"], "the window is the passwords' own"
        events = await done_events(system, 3)
        assert {event["attempts"] for event in events.values()} == {1}
        letter = await system.take(system.topology.dead_queue(ErrorClass.LIMITED))
        assert (letter.correlation_id, letter.headers["x-sms-code"]) == ("hasty", "local.window")


async def test_a_scheduled_request_is_not_sent_before_its_time_and_soon_after(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url) as system:
        due = datetime.now(UTC) + timedelta(seconds=2)
        await publish(system, Lane.NOTIFY, id="scheduled", not_before=due.isoformat())
        assert await system.settled(1) == {"done": 1}

        (arrived,) = arrivals(system)["scheduled"]
        assert 0 <= arrived - due.timestamp() < 1
        assert (await done_events(system, 1))["scheduled"]["attempts"] == 1


async def test_when_the_reply_is_lost_a_password_is_sent_once_more_and_a_notice_is_not(
    amqp_url: str, redis_url: str
) -> None:
    async with running_system(amqp_url, redis_url, toml=NO_WINDOWS) as system:
        await publish(system, Lane.OTP, id="always-lost", to="85290992002")
        await publish(system, Lane.OTP, id="once-lost", to="85290993002")
        await publish(system, Lane.NOTIFY, id="notice", to="85291992002")
        assert await system.settled(3) == {"done": 1, "dead.unknown": 2}

        summary = system.sandbox.account.summary()
        assert {(each.task_id, each.times) for each in summary.duplicates} == {("always-lost", 2), ("once-lost", 2)}
        assert {name: len(calls) for name, calls in arrivals(system).items()} == {
            "always-lost": 2,
            "once-lost": 2,
            "notice": 1,
        }
        once_lost = (await done_events(system, 1))["once-lost"]
        assert (once_lost["attempts"], once_lost["unknowns"]) == (2, 1)
        letters = [await system.take(system.topology.dead_queue(ErrorClass.UNKNOWN)) for _ in range(2)]
        tried = {letter.correlation_id: letter.headers for letter in letters}
        assert (tried["always-lost"]["x-sms-attempts"], tried["always-lost"]["x-sms-unknowns"]) == (2, 2)
        assert (tried["notice"]["x-sms-attempts"], tried["notice"]["x-sms-unknowns"]) == (1, 1)
        history = orjson.loads(str(tried["always-lost"]["x-sms-history"]))
        assert [entry[1:] for entry in history] == [["local.connection_cut", "unknown"]] * 2


async def test_a_failure_that_passes_is_tried_again_and_every_attempt_counted(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url) as system:
        await publish(system, Lane.NOTIFY, id="r-1", to="85290991046", metadata={"order": "17"})
        assert await system.settled(1) == {"done": 1}

        first, second = arrivals(system)["r-1"]
        event = (await done_events(system, 1))["r-1"]
        assert (event["attempts"], event["metadata"]) == (2, {"order": "17"})
        tried, settled = (datetime.fromisoformat(event[name]) for name in ("first_tried", "settled"))
        assert abs(tried.timestamp() - first) < 0.5
        assert settled.timestamp() >= second
        assert Counter(line["disposition"] for line in system.lines("delivery.settled")) == {"retry": 1, "done": 1}


async def test_a_throttled_call_is_no_attempt_and_its_pause_is_kept(amqp_url: str, redis_url: str) -> None:
    async with running_system(amqp_url, redis_url) as system:
        await publish(system, Lane.NOTIFY, id="r-1", to="85290992010")
        assert await system.settled(1) == {"done": 1}

        first, second = arrivals(system)["r-1"]
        assert 0.3 <= second - first < 3
        assert (await done_events(system, 1))["r-1"]["attempts"] == 1


async def test_while_the_account_cannot_send_messages_wait_and_only_probes_are_called(
    amqp_url: str, redis_url: str
) -> None:
    async with running_system(amqp_url, redis_url) as system:
        account = system.sandbox.account
        system.sandbox.switch(account_code="AMOUNT_NOT_ENOUGH")
        await publish(system, Lane.NOTIFY, id="r-0")
        await eventually(lambda: system.lines("hold.set"), because="the account is held")
        for number in range(1, 201):
            lane = list(Lane)[number % 3]
            await publish(system, lane, id=f"r-{number}", to=f"8529{number:07}")
        await eventually(lambda: account.calls >= 4, because="some probes")

        assert not [name for name in await system.depths() if not name.startswith("send.")]
        assert sum(system.app.dispatch.waiting().values()) >= 199, "all but the probe"
        assert account.calls <= 8
        assert system.app.snapshot().held == "AMOUNT_NOT_ENOUGH"

        system.sandbox.switch(account_code=None)
        assert await system.settled(201) == {"done": 201}
        assert (account.accepted, account.summary().duplicates) == (201, ())
        assert system.lines("hold.lifted")
        assert {event["attempts"] for event in (await done_events(system, 201)).values()} == {1}
