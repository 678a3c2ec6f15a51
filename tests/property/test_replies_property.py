"""Whatever comes back, reading it never raises, and only the provider's own acceptance counts as one."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Accepted
from worker.provider.replies import read_reply

codes = st.sampled_from(["OK", "Throttling.User", "SYSTEM_ERROR", "isv.OK"])
scalars = codes | st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
names = st.sampled_from(["ResponseCode", "Code", "RequestId", "MessageId", "Segments", "NumberDetail", "Country"])
objects = st.dictionaries(names | st.text(), values | st.dictionaries(names, values))
statuses = st.integers(100, 599)
headers = st.dictionaries(st.just("x-acs-retry-after"), st.text())


@given(statuses, headers, st.binary())
def test_arbitrary_bytes_are_never_an_acceptance(status: int, header: dict[str, str], body: bytes) -> None:
    assert not isinstance(catalog().classify(read_reply(status, header, body)), Accepted)


@given(statuses, headers, objects)
def test_an_object_is_an_acceptance_exactly_when_its_response_code_is_ok(
    status: int, header: dict[str, str], fields: dict[str, Any]
) -> None:
    reply = read_reply(status, header, orjson.dumps(fields))

    assert isinstance(catalog().classify(reply), Accepted) == (fields.get("ResponseCode") == "OK")
    for identifier in (reply.request_id, reply.message_id, reply.country):
        assert identifier is None or (identifier.isprintable() and 0 < len(identifier) <= 128)


@given(st.binary(), st.sampled_from([b"<Error>", b"<?xml?><Error><Code>", b"<html>"]))
def test_arbitrary_markup_is_survived(noise: bytes, start: bytes) -> None:
    reply = read_reply(500, {}, start + noise + b"</Code></Error>")

    assert not isinstance(catalog().classify(reply), Accepted)
