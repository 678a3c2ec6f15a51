"""No number and no text of a person leaves in what is published beside the untouched body."""

from datetime import timedelta
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.makers import NOW, POLICY, make_failed, make_raw, make_request
from worker.core.decision.decide import decide
from worker.core.message.request import masked
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Accepted, Failed, Outcome, Table
from worker.core.outgoing.envelope import foreign_headers, outgoing
from worker.core.topology import Topology

NUMBERS = st.from_regex(r"\+?[1-79][0-9]{6,14}", fullmatch=True)
TEXT = "Your code is 4711"
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(
    [
        Accepted("M", "R", 1),
        *(make_failed(row.code) for row in catalog() if row.table in {Table.API, Table.LOCAL} and row.code != "OK"),
    ]
)
HEADERS = st.dictionaries(
    st.text(max_size=300) | st.sampled_from(["x-death", "x-sms-to", "x-last-death-reason", "traceparent", "CC"]),
    st.integers() | st.text(max_size=300) | st.lists(st.dictionaries(st.text(max_size=9), st.text(max_size=9))),
    max_size=5,
)


@settings(deadline=None)
@given(number=NUMBERS, outcome=OUTCOMES, days=st.integers(0, 40), show=st.booleans())
def test_the_number_is_masked_wherever_it_is_told(number: str, outcome: Outcome, days: int, show: bool) -> None:
    request = make_request(to=number, text=TEXT, deadline=NOW + timedelta(days=days))
    disposition = decide(request, outcome, POLICY, NOW, 0.5)
    message = outgoing(make_raw(to=number), request, disposition, Topology(), NOW, show_numbers=show)

    assert message is not None
    digits = number.removeprefix("+")
    told = repr(message.headers) + (repr(message.body) if isinstance(outcome, Accepted) else "")
    assert TEXT not in told
    assert (digits in told) == (show and isinstance(outcome, Accepted))
    assert digits not in repr(message.headers) + repr(message.route)


@given(number=NUMBERS)
def test_a_masked_number_keeps_its_length_and_hides_its_middle(number: str) -> None:
    digits = number.removeprefix("+")
    shown = masked(number)

    assert len(shown) == len(digits)
    assert shown.count("*") == len(digits) - 5


@settings(deadline=None)
@given(headers=HEADERS, outcome=OUTCOMES.filter(lambda outcome: isinstance(outcome, Failed)))
def test_a_republished_request_is_the_same_request_with_its_publishers_headers(
    headers: dict[str, Any], outcome: Outcome
) -> None:
    raw, request = make_raw(headers=headers), make_request()
    message = outgoing(raw, request, decide(request, outcome, POLICY, NOW, 0.5), Topology(), NOW)

    assert message is not None
    assert (message.body, message.correlation_id) == (raw.body, request.sms.id)
    kept = {name: value for name, value in message.headers.items() if not name.startswith("x-sms-")}
    assert kept == {
        name: value
        for name, value in headers.items()
        if name not in {"CC", "BCC", "x-delivery-count", "x-acquired-count"}
        and not name.startswith(("x-sms-", "x-death", "x-first-death-", "x-last-death-"))
    }
    assert foreign_headers(message.headers) == kept


@settings(deadline=None)
@given(metadata=st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=64), st.text(max_size=9)))
def test_metadata_comes_back_in_the_event_as_it_was_given(metadata: dict[str, str]) -> None:
    request = make_request(metadata=dict(list(metadata.items())[:16]))
    disposition = decide(request, Accepted("M", "R", 1), POLICY, NOW, 0.5)
    message = outgoing(make_raw(), request, disposition, Topology(), NOW)

    assert message is not None
    assert orjson.loads(message.body)["metadata"] == request.sms.metadata
