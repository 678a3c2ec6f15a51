"""What is published for each disposition."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.makers import MAINLAND, NOW, NUMBER, make_raw, make_request
from worker.core.message.decode import Malformed, RawMessage
from worker.core.message.history import History, HistoryEntry
from worker.core.message.lane import Lane
from worker.core.outcome.disposition import Dead, Disposition, Done, Reason, Requeue, Retry, Withdrawn
from worker.core.outcome.outcome import Accepted, ErrorClass
from worker.core.outgoing.envelope import (
    OUTCOME_TYPE,
    WORN_FROM,
    Outgoing,
    foreign_headers,
    is_worn,
    outgoing,
    replayed,
    returned,
)
from worker.core.topology import Route, Topology

TOPOLOGY = Topology()
HISTORY = History(published=NOW, attempts=1, entries=(HistoryEntry(NOW, "SYSTEM_ERROR", "transient"),))
REASON = Reason(ErrorClass.CONTENT, "SMS_CONTENT_ILLEGAL", "The message content is invalid.", "Change it.")
RETRY, DEAD = Retry(timedelta(seconds=4), REASON, HISTORY), Dead(REASON, HISTORY)
#: What RabbitMQ writes into a message that has been dead-lettered, delayed or delivered again.
BROKERS_OWN: dict[str, Any] = {
    "x-death": [{"queue": "sms.delay.02", "reason": "expired", "count": 1}],
    "x-first-death-exchange": "sms.delay.02",
    "x-first-death-queue": "sms.delay.02",
    "x-first-death-reason": "expired",
    "x-last-death-exchange": "sms.delay.02",
    "x-last-death-queue": "sms.delay.02",
    "x-last-death-reason": "expired",
    "x-delivery-count": 3,
    "x-acquired-count": 3,
}
FOREIGN: dict[str, Any] = {"traceparent": "00-1-2-01", "x-tenant": 7, "X-Death": "a publisher's", "CCC": "x"}


def sent(disposition: Disposition, raw: RawMessage | None = None, *, show_numbers: bool = False) -> Outgoing:
    message = outgoing(raw or make_raw(), make_request(), disposition, TOPOLOGY, NOW, show_numbers=show_numbers)
    assert message is not None
    return message


def event(done: Done | Withdrawn, *, show_numbers: bool = False, **changes: Any) -> dict[str, Any]:
    message = outgoing(make_raw(), make_request(**changes), done, TOPOLOGY, NOW, show_numbers=show_numbers)
    assert message is not None
    fields: dict[str, Any] = orjson.loads(message.body)
    return fields


@pytest.mark.parametrize(
    ("disposition", "route"),
    [
        (RETRY, TOPOLOGY.to_lane_after(timedelta(seconds=4), Lane.OTP)),
        (replace(RETRY, delay=timedelta(0)), Route("sms.due", "otp.due")),
        (DEAD, Route("sms.dead", "content")),
    ],
)
def test_a_request_goes_on_byte_for_byte_as_it_came(disposition: Disposition, route: Route) -> None:
    raw = make_raw()._replace(
        body=b' {"odd" :  "spacing"}\n', content_type="application/json", content_encoding="utf-8"
    )
    message = sent(disposition, raw)

    assert (message.body, message.type, message.content_type, message.content_encoding) == (
        raw.body,
        raw.type,
        raw.content_type,
        raw.content_encoding,
    )
    assert (message.route, message.correlation_id) == (route, "r-1")


@pytest.mark.parametrize("disposition", [RETRY, DEAD])
def test_what_the_broker_wrote_goes_and_what_the_publisher_wrote_stays(disposition: Disposition) -> None:
    headers = sent(disposition, make_raw(headers=BROKERS_OWN | FOREIGN)).headers

    assert {name: value for name, value in headers.items() if not name.startswith("x-sms-")} == FOREIGN


@pytest.mark.parametrize("name", ["CC", "BCC"])
def test_a_publishers_further_routing_keys_do_not_multiply_its_retries(name: str) -> None:
    """RabbitMQ routes by these headers too: a copy of the retry would land on each lane that they name."""
    assert foreign_headers({name: ["notify"], "traceparent": "00-1-2-01"}) == {"traceparent": "00-1-2-01"}


def test_our_own_headers_replace_the_old_ones() -> None:
    old = {"x-sms-attempts": 9, "x-sms-code": "OLD", "x-sms-first-tried": "2020-01-01T00:00:00Z", "x-sms-made-up": 1}
    headers = sent(RETRY, make_raw(headers=old)).headers

    assert headers == HISTORY.to_headers() | {
        "x-sms-class": "content",
        "x-sms-code": "SMS_CONTENT_ILLEGAL",
        "x-sms-reason": "The message content is invalid.",
    }


def test_a_dead_letter_tells_what_happened_when_to_whom_and_what_to_do() -> None:
    headers = sent(DEAD).headers

    assert headers == HISTORY.to_headers() | {
        "x-sms-class": "content",
        "x-sms-code": "SMS_CONTENT_ILLEGAL",
        "x-sms-reason": "The message content is invalid.",
        "x-sms-remedy": "Change it.",
        "x-sms-lane": "otp",
        "x-sms-died": "2026-11-23T12:00:00.000+00:00",
        "x-sms-to": "852******67",
    }


@pytest.mark.parametrize("character", ["x", "验", "😀"])
def test_headers_too_large_for_a_frame_are_dropped_and_counted(character: str) -> None:
    """All headers share one frame of 128 KiB; a larger one ends the connection, for every message on it."""
    bytes_each = len(character.encode())

    assert foreign_headers({"big": character * (32_760 // bytes_each)}) != {"x-sms-headers-dropped": 1}
    assert foreign_headers({"big": character * (32_769 // bytes_each + 1), "x": 1}) == {"x-sms-headers-dropped": 2}


def test_an_accepted_request_becomes_an_outcome_event() -> None:
    history = HISTORY._replace(first_tried=NOW)
    message = sent(Done(Accepted("M-1", "R-1", 2, "China"), history), make_raw(headers=FOREIGN))

    assert (message.route, message.type, message.content_type) == (
        Route("sms.done", "otp"),
        OUTCOME_TYPE,
        "application/json",
    )
    assert (message.correlation_id, message.headers) == ("r-1", {})
    assert orjson.loads(message.body) == {
        "id": "r-1",
        "outcome": "accepted",
        "lane": "otp",
        "to": "852******67",
        "message_id": "M-1",
        "provider_request_id": "R-1",
        "segments": 2,
        "country": "China",
        "attempts": 1,
        "unknowns": 0,
        "published": "2026-11-23T12:00:00+00:00",
        "first_tried": "2026-11-23T12:00:00+00:00",
        "settled": "2026-11-23T12:00:00+00:00",
        "metadata": {},
    }


def test_segments_that_the_provider_did_not_tell_are_counted() -> None:
    done = Done(Accepted("M-1", "R-1", None), HISTORY)

    assert event(done, text="x" * 161)["segments"] == 2
    templated: dict[str, Any] = {"to": MAINLAND, "text": ..., "template": {"code": "SMS_1"}, "from": "阿里云"}
    assert event(done, **templated)["segments"] is None


def test_what_was_cancelled_is_told_as_an_outcome_that_cost_nothing() -> None:
    told = event(
        Withdrawn(Reason(ErrorClass.CANCELLED, "local.cancelled", "", ""), HISTORY), metadata={"campaign": "spring"}
    )
    accepted = event(Done(Accepted("M-1", "R-1", 1), HISTORY))

    assert told.keys() == accepted.keys()
    assert (told["id"], told["outcome"], told["attempts"], told["unknowns"]) == ("r-1", "cancelled", 1, 0)
    assert [told[name] for name in ("message_id", "provider_request_id", "segments", "country")] == [None] * 4
    assert told["metadata"] == {"campaign": "spring"}


def test_metadata_comes_back_and_the_number_only_when_configured() -> None:
    done = Done(Accepted("M-1", "R-1", 1), HISTORY)

    assert event(done, metadata={"tenant": "a"})["metadata"] == {"tenant": "a"}
    assert event(done, show_numbers=True)["to"] == NUMBER


def test_a_delivery_that_is_given_back_publishes_nothing() -> None:
    back = Requeue("the worker is draining")

    assert outgoing(make_raw(), make_request(), back, TOPOLOGY, NOW) is None
    assert outgoing(make_raw(), Malformed("to: missing"), back, TOPOLOGY, NOW) is None


def test_a_malformed_message_keeps_its_body_and_what_its_publisher_said_about_it() -> None:
    raw = RawMessage(
        b"\xff\x00", Lane.NOTIFY, BROKERS_OWN | {"x-sms-attempts": "many", "k": 1}, "a", "text/plain", "gzip"
    )
    dead = Dead(Reason(ErrorClass.MALFORMED, "local.malformed", "to: missing", "Correct it."), History())
    message = outgoing(raw, Malformed("to: missing"), dead, TOPOLOGY, NOW)

    headers = {
        "k": 1,
        "x-sms-class": "malformed",
        "x-sms-code": "local.malformed",
        "x-sms-reason": "to: missing",
        "x-sms-remedy": "Correct it.",
        "x-sms-lane": "notify",
        "x-sms-died": "2026-11-23T12:00:00.000+00:00",
    }
    assert message == Outgoing(Route("sms.dead", "malformed"), b"\xff\x00", headers, "a", "text/plain", None, "gzip")


@pytest.mark.parametrize("disposition", [RETRY, Done(Accepted("M-1", "R-1", 1), HISTORY)])
def test_a_malformed_message_can_only_die(disposition: Disposition) -> None:
    with pytest.raises(TypeError, match="can only die"):
        outgoing(make_raw(), Malformed("to: missing"), disposition, TOPOLOGY, NOW)


def test_a_replayed_letter_goes_back_to_its_lane_without_the_reason_of_its_death() -> None:
    letter = make_raw(headers=dict(sent(DEAD, make_raw(headers=FOREIGN)).headers))
    message = replayed(letter, "r-1", TOPOLOGY, History(replays=1))

    assert (message.route, message.body, message.correlation_id) == (Route("sms.due", "otp"), letter.body, "r-1")
    assert message.headers == FOREIGN | {"x-sms-replays": 1}


def test_a_request_that_was_delivered_too_often_to_wait_is_copied_but_not_for_ever() -> None:
    """The broker counts each delivery that ended with its connection; what ends every worker must become poison."""
    raw, copies = make_raw(), 0
    assert not is_worn(raw, WORN_FROM - 1)
    while is_worn(raw, WORN_FROM):
        copies += 1
        raw = raw._replace(headers=returned(raw, TOPOLOGY, NOW).headers)
    assert copies == 20
    assert returned(raw, TOPOLOGY, NOW).headers["x-sms-copies"] == 20

    retried = outgoing(raw, make_request(), RETRY, TOPOLOGY, NOW)
    assert retried is not None
    assert "x-sms-copies" not in retried.headers, "it was tried: that begins anew"


@pytest.mark.parametrize("value", ["7", -1, True, 1.5, None, []])
def test_a_count_of_copies_that_is_none_counts_as_none(value: Any) -> None:
    raw = make_raw(headers={"x-sms-copies": value})

    assert is_worn(raw, WORN_FROM)
    assert returned(raw, TOPOLOGY, NOW).headers["x-sms-copies"] == 1


@pytest.mark.parametrize(("due", "key"), [(True, "notify.due"), (False, "notify")])
def test_a_copy_stays_in_the_queue_that_it_came_from(due: bool, key: str) -> None:
    raw = make_raw(Lane.NOTIFY)._replace(due=due)

    assert returned(raw, TOPOLOGY, NOW).route == Route("sms.due", key)


def age_of_a_copy(stamp: datetime | None) -> Any:
    return returned(make_raw()._replace(timestamp=stamp), TOPOLOGY, NOW).headers["x-sms-published"]


@pytest.mark.parametrize("stamp", [None, datetime(1970, 1, 1, tzinfo=UTC), NOW + timedelta(seconds=1)])
def test_an_age_that_no_publisher_can_have_meant_counts_from_now(stamp: datetime | None) -> None:
    assert age_of_a_copy(stamp) == NOW.isoformat(timespec="milliseconds")


@pytest.mark.parametrize("stamp", [datetime(1970, 1, 1, second=1, tzinfo=UTC), NOW])
def test_an_age_that_a_publisher_gave_goes_with_the_copy(stamp: datetime) -> None:
    assert age_of_a_copy(stamp) == stamp.isoformat(timespec="milliseconds")
