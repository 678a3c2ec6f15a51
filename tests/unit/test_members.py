"""What an answer to a call with several messages means for each of them, and what comes after a refused one."""

import pytest

from tests.makers import make_failed
from worker.core.outcome.catalog import catalog
from worker.core.outcome.members import BatchReply, Fate, Resort, fates, message_id_of, resort_of
from worker.core.outcome.outcome import Accepted, Failed, Fault, Reply

ACCEPTED, FAILED, DOUBTFUL = Fate
A, B, C = NUMBERS = ("85251234561", "85251234562", "85251234563")
OK = Reply(200, "OK", request_id="R-1")


@pytest.mark.parametrize(
    ("count", "failed", "ids", "expected"),
    [
        # Everything agrees.
        (3, (), None, [ACCEPTED] * 3),
        (3, (), ("1", "2", "3"), [ACCEPTED] * 3),
        (2, (B,), ("1", "2"), [ACCEPTED, FAILED, ACCEPTED]),
        (1, (C, A), None, [FAILED, ACCEPTED, FAILED]),
        (0, (C, A, B), (), [FAILED] * 3),
        # The ids are counted when there is no count.
        (None, (), ("1", "2", "3"), [ACCEPTED] * 3),
        (None, (A,), ("1", "2"), [FAILED, ACCEPTED, ACCEPTED]),
        (None, (A, B, C), (), [FAILED] * 3),
        # Somebody is in no list.
        (2, (), None, [DOUBTFUL] * 3),
        (0, (), None, [DOUBTFUL] * 3),
        (1, (B,), None, [DOUBTFUL, FAILED, DOUBTFUL]),
        (None, (B,), ("1",), [DOUBTFUL, FAILED, DOUBTFUL]),
        # Somebody is in two.
        (4, (), None, [DOUBTFUL] * 3),
        (3, (B,), None, [DOUBTFUL] * 3),
        (None, (B,), ("1", "2", "3"), [DOUBTFUL] * 3),
        # No second fact.
        (None, (), None, [DOUBTFUL] * 3),
        (None, (B,), None, [DOUBTFUL] * 3),
        (None, (A, B, C), None, [DOUBTFUL] * 3),
        (None, (), ("1", "1", "2"), [DOUBTFUL] * 3),
        # A list that is not this call's.
        (2, ("85259999999",), None, [DOUBTFUL] * 3),
        (1, (B, "85259999999"), None, [DOUBTFUL] * 3),
        (1, (B, B), None, [DOUBTFUL] * 3),
        (2, (B, B), None, [DOUBTFUL] * 3),
        # A list that cannot be read.
        (3, None, ("1", "2", "3"), [ACCEPTED] * 3),
        (3, None, None, [DOUBTFUL] * 3),
        (3, None, ("1", "2"), [DOUBTFUL] * 3),
        (3, None, ("1", "1", "2"), [DOUBTFUL] * 3),
        (None, None, ("1", "2", "3"), [DOUBTFUL] * 3),
        (2, None, ("1", "2"), [DOUBTFUL] * 3),
    ],
)
def test_a_fate_is_certain_only_when_two_facts_agree(
    count: int | None, failed: tuple[str, ...] | None, ids: tuple[str, ...] | None, expected: list[Fate]
) -> None:
    assert list(fates(BatchReply(OK, count, failed, ids), NUMBERS)) == expected


@pytest.mark.parametrize("reply", [Reply(200, "SYSTEM_ERROR"), Reply(200), Reply(200, "OK", from_gateway=True)])
def test_nobody_is_certain_when_the_call_was_not_taken(reply: Reply) -> None:
    assert fates(BatchReply(reply, 3), NUMBERS) == (DOUBTFUL,) * 3


def test_a_number_that_stands_in_a_call_twice_is_doubtful_when_it_is_named() -> None:
    assert fates(BatchReply(OK, 2, (A,)), (A, A, B)) == (DOUBTFUL,) * 3


@pytest.mark.parametrize(
    ("ids", "members", "expected"),
    [
        (("7",), [FAILED, ACCEPTED, FAILED], "7"),
        (("7",), [ACCEPTED], "7"),
        (("7", "8"), [ACCEPTED, ACCEPTED], None),
        (("7",), [ACCEPTED, ACCEPTED], None),
        (("7", "8"), [ACCEPTED, FAILED], None),
        (("7",), [ACCEPTED, DOUBTFUL], None),
        (("7",), [FAILED], None),
        ((), [ACCEPTED], None),
        (None, [ACCEPTED], None),
    ],
)
def test_a_message_id_is_somebodys_when_it_can_be_nobody_elses(
    ids: tuple[str, ...] | None, members: list[Fate], expected: str | None
) -> None:
    assert message_id_of(BatchReply(OK, message_ids=ids), members) == expected


def refused(code: str | None, status: int = 200, *, gateway: bool = False) -> tuple[BatchReply, Failed]:
    reply = Reply(status, code, from_gateway=gateway)
    outcome = catalog().classify(reply)
    assert not isinstance(outcome, Accepted)
    return BatchReply(reply), outcome


@pytest.mark.parametrize(
    ("code", "status", "gateway", "expected"),
    [
        (None, 413, False, Resort.SMALLER),
        (None, 414, False, Resort.SMALLER),
        (None, 431, False, Resort.SMALLER),
        (None, 400, False, Resort.SMALLER),
        ("RequestTooLarge", 413, True, Resort.SMALLER),
        ("MOBILE_COUNT_OVER_LIMIT", 200, False, Resort.SMALLER),
        (None, 403, False, Resort.NONE),
        (None, 407, False, Resort.NONE),
        (None, 502, False, Resort.NONE),
        (None, 200, False, Resort.NONE),
        ("SMS_CONTENT_ILLEGAL", 200, False, Resort.HALVES),
        ("SMS_CONTENT_ILLEGAL", 413, False, Resort.HALVES),
        ("MOBILE_NUMBER_ILLEGAL", 200, False, Resort.HALVES),
        ("NOT_SUPPORTED_COUNTRY", 200, False, Resort.HALVES),
        ("FREQUENCY_LIMIT_DAY", 200, False, Resort.HALVES),
        ("COUNTRY_TRAFFIC_LIMIT", 200, False, Resort.HALVES),
        ("INVALID_SENDERID", 200, False, Resort.NONE),
        ("SMS_SIGN_NAME_ILLEGAL", 200, False, Resort.NONE),
        ("INVALID_PARAMETERS", 200, False, Resort.SINGLES),
        ("QUANTITY_INCONSISTENT", 200, False, Resort.SINGLES),
        ("MissingTo", 400, True, Resort.SINGLES),
        ("RAM_PERMISSION_DENY", 200, False, Resort.SINGLES),
        ("FORBIDDEN_ACTION", 200, False, Resort.SINGLES),
        ("Forbidden.RAM", 403, True, Resort.SINGLES),
        ("InvalidAction.NotFound", 404, True, Resort.SINGLES),
        ("AMOUNT_NOT_ENOUGH", 200, False, Resort.NONE),
        ("ALERT_LIMIT_DAY", 200, False, Resort.NONE),
        ("QPS_LIMIT_CONTROL", 200, False, Resort.NONE),
        ("Throttling.User", 400, True, Resort.NONE),
        ("SYSTEM_ERROR", 200, False, Resort.NONE),
        ("ServiceUnavailable", 503, True, Resort.NONE),
        ("InternalError", 500, True, Resort.NONE),
        ("BRAND_NEW_CODE", 200, False, Resort.NONE),
    ],
)
def test_what_comes_after_a_refused_call_is_told_by_its_code(
    code: str | None, status: int, gateway: bool, expected: Resort
) -> None:
    assert resort_of(*refused(code, status, gateway=gateway), size=10) is expected


@pytest.mark.parametrize("fault", Fault)
def test_a_call_without_an_answer_is_the_same_for_every_member(fault: Fault) -> None:
    assert resort_of(fault, make_failed(fault.value), size=10) is Resort.NONE


@pytest.mark.parametrize(
    ("size", "halvings", "expected"),
    [
        (1000, 0, Resort.HALVES),
        (4, 0, Resort.HALVES),
        (3, 0, Resort.SINGLES),
        (2, 0, Resort.SINGLES),
        (1, 0, Resort.NONE),
        (500, 1, Resort.SINGLES),
        (500, 2, Resort.SINGLES),
        (1, 1, Resort.NONE),
    ],
)
def test_a_group_is_halved_once_and_then_goes_alone(size: int, halvings: int, expected: Resort) -> None:
    assert resort_of(*refused("MOBILE_NUMBER_ILLEGAL"), size=size, halvings=halvings) is expected


def test_what_is_too_large_with_one_member_goes_alone() -> None:
    assert resort_of(*refused(None, 414), size=1) is Resort.SINGLES


def test_the_class_that_the_operator_chose_is_the_one_that_counts() -> None:
    reply, failed = refused("SYSTEM_ERROR")
    chosen = catalog().overridden({"SYSTEM_ERROR": make_failed("SMS_CONTENT_ILLEGAL").row.error_class})
    overridden = chosen.classify(reply.reply)
    assert isinstance(overridden, Failed)

    assert resort_of(reply, failed, size=10) is Resort.NONE
    assert resort_of(reply, overridden, size=10) is Resort.HALVES
