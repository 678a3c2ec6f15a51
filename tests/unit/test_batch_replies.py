"""Each form that the answer to a call with several messages may have: what is read of it, and what is left out."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from worker.core.outcome.members import BatchReply, Fate, fates
from worker.core.outcome.outcome import Reply
from worker.provider.replies import MOST_BATCH_BYTES, MOST_BYTES, read_batch_reply

DOCUMENTED = (
    b'{"ResponseCode":"OK","RequestId":"F655A8D5-B967-440B-8683-DAD6FF8D28D3",'
    b'"ResponseDescription":"The SMS Send Request was accepted","From":"Alicloud321",'
    b'"FailedList":"[\\"93152058101\\",\\"93153058102\\"]","MessageIdList":"[\\"1231\\",\\"1242\\"]","SuccessCount":"2"}'
)


def read(**fields: Any) -> BatchReply:
    return read_batch_reply(200, {}, orjson.dumps({"ResponseCode": "OK"} | fields))


def test_the_documented_answer_is_read_whole() -> None:
    assert read_batch_reply(200, {}, DOCUMENTED) == BatchReply(
        Reply(200, "OK", request_id="F655A8D5-B967-440B-8683-DAD6FF8D28D3"),
        success_count=2,
        failed=("93152058101", "93153058102"),
        message_ids=("1231", "1242"),
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, ()),
        ("", ()),
        (" ", ()),
        ("null", ()),
        ("[]", ()),
        (" [ ] ", ()),
        ([], ()),
        (["85251234561"], ("85251234561",)),
        ('["85251234561"]', ("85251234561",)),
        ('["+85251234561", "85251234562"]', ("85251234561", "85251234562")),
        ("[85251234561, 85251234562]", ("85251234561", "85251234562")),
        ([85251234561], ("85251234561",)),
        ('["8525123****"]', ("8525123****",)),
        ("{}", None),
        ({}, None),
        (False, None),
        (0, None),
        (85251234561, None),
        ("85251234561", None),
        ("85251234561,85251234562", None),
        ('["85251234561"', None),
        ("['85251234561']", None),
        ('["85251234561", null]', None),
        ('["85251234561", ["85251234562"]]', None),
        ("[8525.5]", None),
        ("[true]", None),
        ('[""]', None),
        ("[" * 5000, None),
    ],
)
def test_the_failed_numbers_are_read_in_every_form_that_has_one_meaning(
    written: object, expected: tuple[str, ...] | None
) -> None:
    assert read(FailedList=written).failed == expected


def test_an_absent_list_of_failed_numbers_is_empty_and_one_of_ids_unknown() -> None:
    assert read() == BatchReply(Reply(200, "OK"), None, (), None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('["1","2"]', ("1", "2")),
        ([1, 2], ("1", "2")),
        ("[]", ()),
        ([], ()),
        (None, None),
        ("", None),
        ("1", None),
        ('["1", {}]', None),
        (["9" * 200], None),
    ],
)
def test_the_message_ids_are_read_or_left_out(written: object, expected: tuple[str, ...] | None) -> None:
    assert read(MessageIdList=written).message_ids == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2", 2),
        (2, 2),
        ("0", 0),
        (0, 0),
        (None, None),
        ("", None),
        (-1, None),
        ("two", None),
        (True, None),
        (2.0, None),
    ],
)
def test_the_count_is_a_number_or_the_text_of_one(written: object, expected: int | None) -> None:
    assert read(SuccessCount=written).success_count == expected


def test_a_refusal_has_what_every_refusal_has() -> None:
    body = b'{"Code":"Throttling.User","RequestId":"R-2"}'

    batch = read_batch_reply(400, {"x-acs-retry-after": "300"}, body)

    expected = Reply(400, "Throttling.User", True, "R-2", retry_after=timedelta(milliseconds=300))
    assert batch == BatchReply(expected)


@pytest.mark.parametrize("body", [b"", b"<html>414</html>", b"[]", DOCUMENTED[:-1], b"\xff" + DOCUMENTED])
def test_what_cannot_be_read_leaves_everybody_doubtful(body: bytes) -> None:
    batch = read_batch_reply(200, {}, body)

    assert batch.reply.code is None
    assert fates(batch, ["85251234561"]) == (Fate.DOUBTFUL,)


def test_the_answer_to_the_largest_call_is_read_and_a_flood_is_not() -> None:
    ids = [f"{10**63 + number}" for number in range(1000)]
    large = orjson.dumps({"ResponseCode": "OK", "SuccessCount": "1000", "MessageIdList": orjson.dumps(ids).decode()})

    assert MOST_BYTES < len(large) < MOST_BATCH_BYTES
    assert read_batch_reply(200, {}, large).message_ids == tuple(ids)
    assert read_batch_reply(200, {}, large + b" " * MOST_BATCH_BYTES) == BatchReply(Reply(200))
