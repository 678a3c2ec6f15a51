"""What the outcome of one call means for all others."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.makers import NUMBER, make_failed, make_request, make_row
from worker.core.decision.feedback import (
    Feedback,
    NumberFull,
    Refused,
    SlowDown,
    Undecided,
    Unlisted,
    Works,
    feedback_of,
    holds_account,
)
from worker.core.limits.holds import ACCOUNT, HoldName
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Accepted, ErrorClass, Failed, Outcome, Period, Scope, Unserved

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # in Singapore
NO_PROBE: frozenset[HoldName] = frozenset()
ACME, HONG_KONG = HoldName(Scope.SENDER, "ACME"), HoldName(Scope.COUNTRY, "852")
_FIELDS: dict[str, Any] = {"from": "ACME"}
SMS = make_request(**_FIELDS).sms
OK = Accepted("m", "r", 1)
HALF_A_DAY = timedelta(hours=12)


def taught(outcome: Outcome, probes: frozenset[HoldName] = NO_PROBE, **fields: Any) -> list[Feedback]:
    sms = make_request(**fields).sms if fields else SMS
    return list(feedback_of(sms, outcome, probes, NOON))


def refused(name: HoldName, code: str, *, probed: bool = False, lasts: timedelta | None = None) -> Refused:
    return Refused(name, code, make_failed(code).row.remedy, probed, lasts)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (OK, [Works(ACME)]),
        (make_failed("AMOUNT_NOT_ENOUGH"), [refused(ACCOUNT, "AMOUNT_NOT_ENOUGH")]),
        (make_failed("ALERT_LIMIT_DAY"), [refused(ACCOUNT, "ALERT_LIMIT_DAY")]),
        (make_failed("INVALID_SENDERID"), [refused(ACME, "INVALID_SENDERID")]),
        (make_failed("SENDERID_BLACKLISTED"), [refused(ACME, "SENDERID_BLACKLISTED")]),
        (make_failed("COUNTRY_TRAFFIC_LIMIT"), [refused(HONG_KONG, "COUNTRY_TRAFFIC_LIMIT", lasts=HALF_A_DAY)]),
        (make_failed("FREQUENCY_LIMIT_DAY"), [NumberFull(NUMBER, "FREQUENCY_LIMIT_DAY", HALF_A_DAY)]),
        (make_failed("QPS_LIMIT_CONTROL", retry_after=timedelta(seconds=0.3)), [SlowDown(0.3)]),
        (make_failed("QPS_LIMIT_CONTROL"), [SlowDown(None)]),
        (make_failed("NEVER_SEEN"), [Unlisted("NEVER_SEEN")]),
        (make_failed("SMS_CONTENT_ILLEGAL"), []),
        (make_failed("MOBILE_NUMBER_ILLEGAL"), []),
        (make_failed("NOT_SUPPORTED_COUNTRY"), []),
        (make_failed("SYSTEM_ERROR"), []),
        (make_failed("local.timeout"), []),
        (make_failed("local.window"), []),
    ],
)
def test_an_outcome_teaches_about_its_scope(outcome: Outcome, expected: list[Feedback]) -> None:
    assert taught(outcome) == expected


def test_a_month_that_is_full_is_so_until_the_month_ends() -> None:
    (feedback,) = taught(make_failed("ALERT_LIMIT_MONTH"))
    assert isinstance(feedback, Refused)
    assert feedback.lasts is None, "the account is probed: the limit may be raised"


def test_without_a_sender_there_is_none_to_hold() -> None:
    assert taught(make_failed("INVALID_SENDERID"), text="Hello") == []
    assert taught(OK, text="Hello") == []


@pytest.mark.parametrize(
    ("outcome", "feedback"),
    [
        (OK, Works(ACCOUNT, probed=True)),
        (make_failed("AMOUNT_NOT_ENOUGH"), refused(ACCOUNT, "AMOUNT_NOT_ENOUGH", probed=True)),
        (make_failed("MOBILE_NUMBER_ILLEGAL"), Works(ACCOUNT, probed=True)),
        (make_failed("INVALID_SENDERID"), Works(ACCOUNT, probed=True)),
        (make_failed("QPS_LIMIT_CONTROL"), Undecided(ACCOUNT)),
        (make_failed("SYSTEM_ERROR"), Undecided(ACCOUNT)),
        (make_failed("local.timeout"), Undecided(ACCOUNT)),
        (make_failed("local.not_reached"), Undecided(ACCOUNT)),
        (make_failed("NEVER_SEEN"), Undecided(ACCOUNT)),
        (make_failed("Missing*", gateway=True), Undecided(ACCOUNT)),
    ],
)
def test_a_probe_of_the_account_shows_that_it_works_that_it_does_not_or_nothing(
    outcome: Outcome, feedback: Feedback
) -> None:
    about = [each for each in taught(outcome, frozenset({ACCOUNT})) if getattr(each, "name", None) == ACCOUNT]
    assert about == [feedback]


@pytest.mark.parametrize(
    ("outcome", "feedback"),
    [
        (OK, Works(ACME, probed=True)),
        (make_failed("INVALID_SENDERID"), refused(ACME, "INVALID_SENDERID", probed=True)),
        (make_failed("MOBILE_NUMBER_ILLEGAL"), Undecided(ACME)),
        (make_failed("AMOUNT_NOT_ENOUGH"), Undecided(ACME)),
        (make_failed("local.timeout"), Undecided(ACME)),
    ],
)
def test_a_probe_of_a_sender_shows_that_it_works_only_when_it_is_accepted(outcome: Outcome, feedback: Feedback) -> None:
    about = [each for each in taught(outcome, frozenset({ACME})) if getattr(each, "name", None) == ACME]
    assert about == [feedback]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (make_failed("AMOUNT_NOT_ENOUGH"), True),
        (make_failed("ALERT_LIMIT_MONTH"), True),
        (make_failed("FREQUENCY_LIMIT_DAY"), False),
        (make_failed("COUNTRY_TRAFFIC_LIMIT"), False),
        (make_failed("QPS_LIMIT_CONTROL"), False),
        (make_failed("BUSINESS_LIMIT_HOUR"), False),
        (make_failed("SMS_CONTENT_ILLEGAL"), False),
        (OK, False),
        (Unserved("the worker is draining"), False),
    ],
)
def test_the_account_is_held_when_nothing_of_it_can_succeed(outcome: Outcome, expected: bool) -> None:
    assert holds_account(outcome) is expected


def test_a_code_that_the_operator_classed_as_account_holds_it_whatever_its_scope() -> None:
    """Such a request goes back to its lane at once: without a hold it would circle at the full rate of the quota."""
    row = make_row(ErrorClass.ACCOUNT, scope=Scope.REQUEST)

    assert holds_account(Failed(row, called=True, code=row.code))


def test_every_code_that_is_about_a_sender_or_a_limit_of_a_country_teaches() -> None:
    rows = [row for row in catalog() if row.table.value in {"api", "legacy"}]
    senders = [row for row in rows if (row.error_class, row.scope) == (ErrorClass.CONTENT, Scope.SENDER)]
    countries = [row for row in rows if (row.error_class, row.scope) == (ErrorClass.LIMITED, Scope.COUNTRY)]

    assert {"INVALID_SENDERID", "SENDERID_BLACKLISTED", "IMDA_COMPANY_REQUIRE_LOA"} <= {row.code for row in senders}
    assert [row.code for row in countries] == ["COUNTRY_TRAFFIC_LIMIT"]
    for row in [*senders, *countries]:
        (feedback,) = taught(Failed(row, called=True, code=row.code))
        assert isinstance(feedback, Refused)


def test_what_is_taught_by_a_call_is_no_probe_unless_it_says_so() -> None:
    assert not Refused(ACME, "INVALID_SENDERID", "").probed
    assert not Works(ACME).probed


@pytest.mark.parametrize(
    ("period", "lasts"), [(None, HALF_A_DAY), (Period.DAY, HALF_A_DAY), (Period.MONTH, timedelta(days=7.5))]
)
def test_a_limit_lasts_until_its_period_ends_and_that_is_the_day_when_none_is_known(
    period: Period | None, lasts: timedelta
) -> None:
    failed = make_failed("COUNTRY_TRAFFIC_LIMIT")
    (feedback,) = taught(replace(failed, row=replace(failed.row, period=period)))

    assert isinstance(feedback, Refused)
    assert feedback.lasts == lasts
