"""The catalogue: its rows against the provider's tables, and the classification of answers."""

import csv
import tomllib
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from worker.core.outcome.catalog import catalog, parse
from worker.core.outcome.outcome import Accepted, ErrorClass, Failed, Fault, Reply, Scope, Table

#: The provider's page of error codes, row by row.
PROVIDERS = Path(__file__).parents[1] / "data" / "error-codes.tsv"

CLASSES_OF_API_CODES = {
    ErrorClass.ACCEPTED: "OK",
    ErrorClass.THROTTLED: "QPS_LIMIT_CONTROL",
    ErrorClass.LIMITED: "FREQUENCY_LIMIT_DAY COUNTRY_TRAFFIC_LIMIT SYSTEM_LIMIT_CONTROL ALERT_LIMIT_DAY"
    " ALERT_LIMIT_MONTH",
    ErrorClass.TRANSIENT: "SYSTEM_ERROR ONLINE_BILLING_FAILED",
    ErrorClass.ACCOUNT: "OUT_OF_SERVICE ACCOUNT_NOT_EXISTS ACCOUNT_ILLEGAL AMOUNT_NOT_ENOUGH PRODUCT_NOT_SUBSCRIBED"
    " RAM_PERMISSION_DENY FORBIDDEN_ACTION",
    ErrorClass.INVALID: "INVALID_PARAMETERS INVALID_JSON_PARAM MOBILE_COUNT_OVER_LIMIT QUANTITY_INCONSISTENT"
    " CONTENT_MISSING_PARAMETERS PARAM_LENGTH_LIMIT CONTENT_EXCEED_LIMIT QUERY_DATE_ILLEGAL",
    ErrorClass.RECIPIENT: "MOBILE_NUMBER_ILLEGAL NOT_SUPPORTED_COUNTRY",
    ErrorClass.CONTENT: "SMS_CONTENT_ILLEGAL SMS_CONTENT_CODE_ILLEGAL SMS_SIGN_NAME_ILLEGAL BLACK_KEY_CONTROL_LIMIT"
    " SMS_SECURITY_INTERCEPTED INVALID_SENDERID SENDERID_BLACKLISTED IMDA_COMPANY_REQUIRE_LOA",
    ErrorClass.QUERY: "DATA_NOT_EXIST",
}
CLASSES_OF_GATEWAY_CODES = {
    ErrorClass.THROTTLED: "Throttling Throttling.User Throttling.Api",
    ErrorClass.TRANSIENT: "ServiceUnavailable InvalidTimeStamp.Expired",
    ErrorClass.UNKNOWN: "InternalError UnknownError SignatureNonceUsed SomethingNew",
    ErrorClass.ACCOUNT: "SignatureDoesNotMatch InvalidTimeStamp.Format IncompleteSignature InvalidSignatureMethod"
    " MissingSecurityToken InvalidAccessKeyId.NotFound InvalidAccessKeyId.Inactive Forbidden Forbidden.RAM"
    " Forbidden.RiskControl Forbidden.UserVerification UnsupportedHTTPMethod InvalidApi.NotFound"
    " InvalidProduct.NotFound InvalidProtocol.NeedSsl NoSuchVersion UnsupportedOperation InvalidAction"
    " InvalidAction.NotFound InsufficientBalance InvalidSecurityToken.Expired",
    ErrorClass.INVALID: "MissingTo MissingParameter InvalidTo InvalidParameter InvalidParameter.Format",
}


def written(table: str) -> list[dict[str, str]]:
    tables: dict[str, Any] = tomllib.loads(files("worker.core.outcome").joinpath("catalog.toml").read_text("utf-8"))
    rows: list[dict[str, str]] = tables[table]
    return rows


def failed(reply: Reply | Fault) -> Failed:
    outcome = catalog().classify(reply)
    assert isinstance(outcome, Failed)
    return outcome


@pytest.mark.parametrize(("table", "count"), [("api", 36), ("status", 7), ("receipt", 13)])
def test_the_tables_equal_the_providers_word_for_word_and_in_its_order(table: str, count: int) -> None:
    with PROVIDERS.open(encoding="utf-8", newline="") as lines:
        listed = [row for row in csv.DictReader(lines, delimiter="\t") if row["table"] == table]
    expected = [
        tuple(row[name] if row[name] not in {"-", ""} else None for name in ("code", "smpp_code", "description"))
        for row in listed
    ]
    solutions = {row["code"]: row["solution"] for row in listed if row["solution"] not in {"-", ""}}

    rows = written(table)
    assert len(rows) == count
    assert [(row["code"], row.get("smpp_code"), row["description"]) for row in rows] == expected
    assert {row["code"]: row["solution"] for row in rows if "solution" in row} == solutions


def test_what_is_loaded_is_what_is_written() -> None:
    for table in Table:
        rows = [row for row in catalog() if row.table is table]
        assert [(row.code, row.smpp_code, row.description) for row in rows] == [
            (row["code"], row.get("smpp_code"), row["description"]) for row in written(table)
        ]


def test_our_remedy_replaces_a_solution_that_the_provider_damaged() -> None:
    damaged = [row for row in written("api") if row.get("solution", "").endswith(". On the")]

    assert [row["smpp_code"] for row in damaged] == ["83", "84", "85", "86"]
    for row in damaged:
        assert catalog().rows[Table.API, row["code"]].remedy == row["remedy"]


def test_every_row_says_what_happened_and_what_to_do() -> None:
    for row in catalog():
        assert row.description.strip().endswith("."), row.code
        assert row.remedy.strip(), row.code


def test_a_limit_says_when_it_reopens_and_nothing_else_does() -> None:
    for row in catalog():
        assert (row.period is not None) == (row.error_class is ErrorClass.LIMITED and row.table is not Table.LOCAL)


def test_a_code_of_class_account_is_about_the_account() -> None:
    assert {row.scope for row in catalog() if row.error_class is ErrorClass.ACCOUNT} == {Scope.ACCOUNT}


def test_every_api_code_has_the_class_of_the_design() -> None:
    expected = {code: found for found, codes in CLASSES_OF_API_CODES.items() for code in codes.split()}
    # The page lists among the API codes what is really the sentence of the gateway's InvalidAccessKeyId.NotFound.
    expected["Specified AccessKeyId is not found"] = ErrorClass.ACCOUNT

    assert {row.code: row.error_class for row in catalog() if row.table is Table.API} == expected


@pytest.mark.parametrize(
    ("code", "expected"), [(code, found) for found, codes in CLASSES_OF_GATEWAY_CODES.items() for code in codes.split()]
)
def test_every_gateway_code_lands_in_its_class(code: str, expected: ErrorClass) -> None:
    outcome = failed(Reply(400, code, from_gateway=True))

    assert (outcome.row.error_class, outcome.code, outcome.called) == (expected, code, True)


@pytest.mark.parametrize(
    ("code", "row"),
    [
        ("InvalidAccessKeyId.NotFound", "InvalidAccessKeyId*"),
        ("InvalidAccessKeyId", "InvalidAccessKeyId*"),
        ("InvalidAccess", "Invalid*"),
        ("InvalidActionName", "InvalidAction*"),
        ("MissingSecurityToken", "MissingSecurityToken"),
        ("MissingSecurity", "Missing*"),
    ],
)
def test_of_several_patterns_the_longest_wins_and_an_exact_code_wins_over_all(code: str, row: str) -> None:
    assert failed(Reply(400, code, from_gateway=True)).row.code == row


def test_a_pattern_is_not_a_code() -> None:
    for row in catalog():
        assert "*" not in row.code.removesuffix("*")


@pytest.mark.parametrize("prefix", ["isv.", "isp."])
@pytest.mark.parametrize("from_gateway", [True, False])
def test_the_prefixes_of_older_tables_do_not_change_the_meaning(prefix: str, from_gateway: bool) -> None:
    outcome = failed(Reply(200, f"{prefix}AMOUNT_NOT_ENOUGH", from_gateway=from_gateway))

    assert (outcome.row.code, outcome.code) == ("AMOUNT_NOT_ENOUGH", f"{prefix}AMOUNT_NOT_ENOUGH")


@pytest.mark.parametrize("from_gateway", [True, False])
def test_an_unlisted_code_is_unknown_and_kept(from_gateway: bool) -> None:
    outcome = failed(Reply(200, "A_CODE_OF_TOMORROW", from_gateway=from_gateway))

    assert (outcome.row.code, outcome.row.error_class) == ("local.unlisted", ErrorClass.UNKNOWN)
    assert outcome.code == "A_CODE_OF_TOMORROW"


@pytest.mark.parametrize("code", ["X", "X" * 64])
def test_a_code_of_any_usual_length_is_kept(code: str) -> None:
    assert failed(Reply(200, code)).code == code


@pytest.mark.parametrize("code", ["X" * 65, "TWO\nLINES", ""])
def test_what_is_no_word_is_not_shown_as_a_code(code: str) -> None:
    assert failed(Reply(200, code)).code == "local.unlisted"


def test_a_code_of_receipts_is_no_answer_to_a_send() -> None:
    for code in ("IN_SMS_CONTENT", "DELIVERED", "EXPIRED", "local.timeout"):
        assert failed(Reply(200, code)).row.code == "local.unlisted"


def test_the_shape_of_the_answer_decides_in_which_table_its_code_is_looked_up_first() -> None:
    text = "\n".join(
        f'[[{table}]]\ncode = "BOTH"\nclass = "{found}"\nscope = "request"\ndescription = "."\nremedy = "."'
        for table, found in [("api", "content"), ("gateway", "invalid")]
    )
    both = parse(text)

    business, gateway = both.classify(Reply(200, "BOTH")), both.classify(Reply(400, "BOTH", from_gateway=True))
    assert isinstance(business, Failed)
    assert isinstance(gateway, Failed)
    assert (business.row.table, gateway.row.table) == (Table.API, Table.GATEWAY)


def test_ok_is_accepted_only_from_the_api_itself() -> None:
    reply = Reply(200, "OK", request_id="R-1", message_id="M-1", segments=2, country="China")

    assert catalog().classify(reply) == Accepted("M-1", "R-1", 2, "China")
    assert failed(Reply(200, "OK", from_gateway=True)).row.code == "local.unlisted"
    assert failed(Reply(200, "isv.OK")).row.code == "local.unlisted"


@pytest.mark.parametrize(
    ("status", "code", "error_class"),
    [
        (429, "HTTP 429", ErrorClass.THROTTLED),
        (301, "local.refused_by_proxy", ErrorClass.TRANSIENT),
        (403, "local.refused_by_proxy", ErrorClass.TRANSIENT),
        (407, "local.refused_by_proxy", ErrorClass.TRANSIENT),
        (413, "local.too_large", ErrorClass.INVALID),
        (414, "local.too_large", ErrorClass.INVALID),
        (200, "local.unreadable", ErrorClass.UNKNOWN),
        (500, "local.unreadable", ErrorClass.UNKNOWN),
        (502, "local.unreadable", ErrorClass.UNKNOWN),
        (504, "local.unreadable", ErrorClass.UNKNOWN),
        (0, "local.unreadable", ErrorClass.UNKNOWN),
    ],
)
def test_without_a_code_the_status_tells(status: int, code: str, error_class: ErrorClass) -> None:
    wait = timedelta(seconds=7)
    outcome = failed(Reply(status, request_id="R-1", retry_after=wait))

    assert (outcome.code, outcome.row.error_class, outcome.retry_after, outcome.called) == (
        code,
        error_class,
        wait,
        True,
    )


@pytest.mark.parametrize(
    ("fault", "error_class", "called"),
    [
        (Fault.NOT_REACHED, ErrorClass.TRANSIENT, False),
        (Fault.TIMEOUT, ErrorClass.UNKNOWN, True),
        (Fault.CONNECTION_CUT, ErrorClass.UNKNOWN, True),
    ],
)
def test_only_what_never_reached_the_provider_is_no_call(fault: Fault, error_class: ErrorClass, called: bool) -> None:
    assert (failed(fault).row.error_class, failed(fault).called) == (error_class, called)


@pytest.mark.parametrize("code", ["SYSTEM_ERROR", "isv.SYSTEM_ERROR", "Throttling.User", "A_CODE_OF_TOMORROW"])
def test_the_operators_class_wins_and_only_for_its_code(code: str) -> None:
    changed = catalog().overridden({code: ErrorClass.CONTENT})

    outcome = changed.classify(Reply(400, code, from_gateway=code == "Throttling.User"))
    assert isinstance(outcome, Failed)
    assert (outcome.row.error_class, outcome.code) == (ErrorClass.CONTENT, code)
    changed_rows = {key: row for key, row in changed.rows.items() if catalog().rows.get(key) != row}
    assert [row.code for row in changed_rows.values()] == [code.removeprefix("isv.")]


def test_a_table_that_lists_a_code_twice_is_refused() -> None:
    row = '[[api]]\ncode = "A"\nclass = "content"\nscope = "request"\ndescription = "."\nremedy = "."\n'

    with pytest.raises(ValueError, match="api lists A twice"):
        parse(row + row)
