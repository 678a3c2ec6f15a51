"""A call with several messages is as long as was foretold, and says the same in a query and in a form."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote

import orjson
from hypothesis import given
from hypothesis import strategies as st

from tests.makers import make_request
from worker.core.message.decode import Request
from worker.core.message.lane import Lane
from worker.provider.parameters import base_size, batch_parameters, member_size
from worker.provider.signature import AccessKey, canonical_query, signed

#: What a text may hold: no control characters but line ends, and something that can be seen.
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\r\n"), max_size=80).map(
    "x{}".format
)
plain = st.sampled_from(["Your order 1234 is ready", '100 % "free", today', "", "a,b", '","', "你好", "~-._"]).map(
    "x{}".format
)
sizes = st.integers(1, 20)
channels = st.none() | st.text("abc-123", min_size=1, max_size=20)
senders = st.none() | st.just("Acme")
validities = st.integers(1, 999_999)
task_ids = st.text("0123456789abcdef-", min_size=32, max_size=36)


@st.composite
def groups(draw: st.DrawFn) -> list[Request]:
    sender = draw(senders)
    fields: dict[str, Any] = {} if sender is None else {"from": sender}
    return [
        make_request(Lane.MARKETING, id=f"r-{n}", to=f"+8525123{n:04}", text=draw(texts | plain), **fields)
        for n in range(draw(sizes))
    ]


@given(groups(), validities, channels, task_ids)
def test_a_call_is_never_longer_than_foretold_and_hardly_shorter(
    group: list[Request], validity_s: int, channel_id: str | None, task_id: str
) -> None:
    foretold = base_size(channel_id) + sum(member_size(request.sms) for request in group)

    written = len(canonical_query(batch_parameters(group, validity_s, channel_id, task_id)))

    assert written <= foretold <= written + max(64, written // 20)


@given(groups(), validities, channels, task_ids)
def test_what_is_written_is_read_as_it_was_meant(
    group: list[Request], validity_s: int, channel_id: str | None, task_id: str
) -> None:
    parameters = batch_parameters(group, validity_s, channel_id, task_id)

    read = dict(parse_qsl(canonical_query(parameters), strict_parsing=True))

    assert read == parameters
    assert orjson.loads(read["To"]) == [request.sms.number for request in group]
    assert orjson.loads(read["Message"]) == [request.sms.text for request in group]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_values_are_encoded_as_by_the_standard_library(value: str) -> None:
    assert canonical_query({"N": value}) == f"N={quote(value, safe='')}"


@given(st.binary(min_size=1), st.binary(min_size=1))
def test_two_bodies_have_two_signatures(one: bytes, other: bytes) -> None:
    def authorization(form: bytes) -> str:
        key, instant = AccessKey("LTAI", "secret"), datetime(2026, 11, 23, tzinfo=UTC)
        return signed("Op", {}, host="h", key=key, instant=instant, nonce="n", form=form).headers["Authorization"]

    assert (authorization(one) == authorization(other)) == (one == other)
