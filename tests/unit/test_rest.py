"""The last form of a message: the body, what is ours, and nothing of the publisher's that could be at fault."""

from datetime import timedelta

import pytest

from tests.makers import NOW, make_raw
from worker.core.message.decode import RawMessage
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.outgoing.envelope import Outgoing
from worker.core.outgoing.rest import at_rest
from worker.core.topology import Route, Topology

TOPOLOGY = Topology("sms")
HISTORY = History(attempts=2, first_tried=NOW - timedelta(hours=1))


def rested(raw: RawMessage, *, correlation_id: str | None = "order-1") -> Outgoing:
    refused = Outgoing(
        route=Route("sms.done", "done"),
        body=b"never published",
        headers={**HISTORY.to_headers(), "x-theirs": "hostile"},
        type="theirs",
        content_type="theirs",
        correlation_id=correlation_id,
    )
    return at_rest(raw, refused, catalog(), TOPOLOGY, NOW)


def test_a_letter_at_rest_says_what_it_is_and_where_it_was_going() -> None:
    row = catalog().local("local.unpublishable")
    raw = make_raw()._replace(lane=Lane.OTP)
    letter = rested(raw)

    assert letter.route == TOPOLOGY.to_dead(row.error_class)
    assert letter.body == raw.body
    assert letter.headers == {
        **HISTORY.to_headers(),
        "x-sms-class": "poison",
        "x-sms-code": "local.unpublishable",
        "x-sms-reason": f"{row.description} It was on its way to exchange sms.done.",
        "x-sms-remedy": row.remedy,
        "x-sms-lane": "otp",
        "x-sms-died": "2026-11-23T12:00:00.000+00:00",
    }


@pytest.mark.parametrize(("given", "kept"), [("sms.request.v1", "sms.request.v1"), ("theirs", None), (None, None)])
def test_a_type_is_kept_when_it_is_ours(given: str | None, kept: str | None) -> None:
    assert rested(make_raw()._replace(type=given)).type == kept


@pytest.mark.parametrize(("given", "kept"), [("application/json", "application/json"), ("text/x", None), (None, None)])
def test_a_content_type_is_kept_when_it_says_what_the_body_is(given: str | None, kept: str | None) -> None:
    assert rested(make_raw()._replace(content_type=given)).content_type == kept


@pytest.mark.parametrize("name", ["a", "A-1.b_c:9", "x" * 128])
def test_an_id_that_a_request_can_have_stays(name: str) -> None:
    assert rested(make_raw(), correlation_id=name).correlation_id == name


@pytest.mark.parametrize("name", [None, "", "a b", "\ud800", "x" * 129])
def test_any_other_id_stays_behind(name: str | None) -> None:
    assert rested(make_raw(), correlation_id=name).correlation_id is None
