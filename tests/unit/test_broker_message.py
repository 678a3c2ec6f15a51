"""What is published was often read from a stranger first: it must always be possible to write it."""

from typing import Any

from pamqp import encode

from tests.makers import NOW
from worker.broker.message import deliveries_of, properties_of
from worker.core.outgoing.envelope import Outgoing
from worker.core.topology import Route


def written(headers: dict[str, Any]) -> dict[str, Any]:
    message = Outgoing(Route("sms.dead", "malformed"), b"{}", headers, "sms.request.v1", "application/json", None)
    left = dict(properties_of(message, NOW, "m-1").headers or {})
    encode.field_table(left)
    return left


def nested(levels: int) -> dict[str, Any]:
    return {"k": nested(levels - 1)} if levels > 1 else {}


def nested_in_lists(levels: int) -> list[Any]:
    return [nested_in_lists(levels - 1)] if levels > 1 else []


def test_a_header_that_the_frame_library_would_rename_stays_behind() -> None:
    """It cuts a long name, which may make two headers one, and tells the name in the log."""
    kept = {"k" * 128: 1, "é" * 64: 2, "": 3}

    assert written(kept | {"k" * 129: 4, "é" * 65: 5, "in": {"a table": {"k" * 129: 6}}}) == kept


def test_a_nest_that_would_exhaust_the_stack_stays_behind() -> None:
    kept = {"x": 1, "shallow": nested(30), "list": [[[["deep"]]]]}

    assert written(kept | {"deep": nested(400), "lists": nested_in_lists(400)}) == kept


def test_a_count_of_deliveries_that_is_none_counts_as_the_first() -> None:
    assert [deliveries_of(headers) for headers in (None, {}, {"x-delivery-count": 3})] == [0, 0, 3]
    assert [deliveries_of({"x-delivery-count": lie}) for lie in (-1, "9", True, 1.0, None)] == [0] * 5
