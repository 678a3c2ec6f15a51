"""What the sandbox answers to a call, judged without a network and on a clock of our own."""

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from worker.sandbox.answer import Answer
from worker.sandbox.api import Api
from worker.sandbox.arrival import Arrival
from worker.sandbox.magic import Wire
from worker.sandbox.operation import BATCH, QUERY, SINGLE, TEMPLATE
from worker.sandbox.settings import SandboxSettings, Second

ABROAD = {"To": "85251234567", "Message": "Your code is 1234", "From": "Acme", "TaskId": "t-1", "Type": "OTP"}
MAINLAND = {"To": "8613800000000", "From": "Acme", "TemplateCode": "SMS_1", "TemplateParam": '{"code":"1234"}'}
#: 2026-11-23, noon in Singapore.
NOON = 1_795_406_400.0


class Desk:
    """An API without signatures, a clock that is set by hand, and one call at a time."""

    def __init__(self, **settings: Any) -> None:
        self.now = NOON
        self.api = Api(SandboxSettings(check_signature=False, **settings), lambda: self.now)

    def call(self, action: str, parameters: Mapping[str, str], *, method: str = "POST", form: bool = False) -> Answer:
        headers = {"host": "sms.example", "x-acs-action": action, "x-acs-version": "2018-05-01"}
        encoded = urlencode(parameters)
        if form:
            headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8"
            return self.api.answer(Arrival.of(method, "/", headers, encoded.encode()))
        return self.api.answer(Arrival.of(method, f"/?{encoded}", headers))

    def reply(self, action: str, parameters: Mapping[str, str], **how: Any) -> dict[str, Any]:
        reply: dict[str, Any] = orjson.loads(self.call(action, parameters, **how).body)
        return reply

    def code(self, action: str = SINGLE, /, **changed: str) -> str:
        """The code that a good call with *changed* parameters is answered."""
        good = {SINGLE: ABROAD, TEMPLATE: MAINLAND, BATCH: batch("85251234567"), QUERY: {}}[action]
        reply = self.reply(action, good | changed)
        return str(reply.get("Code") or reply["ResponseCode"])


def batch(*numbers: str, **changed: str) -> dict[str, str]:
    texts = ["hello"] * len(numbers)
    lists = {"To": orjson.dumps(numbers).decode(), "Message": orjson.dumps(texts).decode()}
    return {"From": "Acme", "TaskId": "t-b", "Type": "MKT"} | lists | changed


@pytest.mark.parametrize("how", [{}, {"method": "GET"}, {"form": True}])
def test_an_accepted_single_has_the_documented_shape(how: dict[str, Any]) -> None:
    reply = Desk().reply(SINGLE, ABROAD | {"Message": "你好" * 40}, **how)

    assert reply["RequestId"].count("-") == 4
    assert reply.pop("RequestId")
    assert reply.pop("MessageId").isdecimal()
    assert reply == {
        "ResponseCode": "OK",
        "ResponseDescription": "The SMS Send Request was accepted",
        "NumberDetail": {"Country": "Hongkong, China", "Region": "HongKong", "Carrier": "CMI"},
        "Segments": "2",
        "From": "Acme",
        "To": "85251234567",
    }


def test_an_accepted_template_has_no_sender_in_its_reply() -> None:
    reply = Desk().reply(TEMPLATE, MAINLAND)

    assert {"ResponseCode", "ResponseDescription", "RequestId", "MessageId", "To", "Segments", "NumberDetail"} == {
        *reply
    }
    assert reply["ResponseCode"] == "OK"


def test_a_batch_tells_its_failed_numbers_and_gives_an_id_to_the_others() -> None:
    desk = Desk()
    numbers = ("85251234567", "85251990033", "8613800000000", "85251234568", "+852", "85251991045")

    first, second = desk.reply(BATCH, batch(*numbers)), desk.reply(BATCH, batch(*numbers))

    assert (first["ResponseCode"], first["SuccessCount"]) == ("OK", "2")
    assert orjson.loads(first["FailedList"]) == ["85251990033", "8613800000000", "+852", "85251991045"]
    assert len(set(orjson.loads(first["MessageIdList"]))) == 2
    assert second["SuccessCount"] == "3"
    reasons = [entry.code for entry in desk.api.account if entry.call == 1]
    assert reasons[:5] == ["OK", "MOBILE_NUMBER_ILLEGAL", "NOT_SUPPORTED_COUNTRY", "OK", "MOBILE_NUMBER_ILLEGAL"]


def test_the_first_number_with_a_fault_spoils_a_whole_batch() -> None:
    desk = Desk()

    lost = desk.call(BATCH, batch("85251234567", "85251992002"))
    refused = desk.call(BATCH, batch("85251234567", "85251992006"))

    assert (lost.wire, refused.status) == (Wire.CUT, 503)
    assert [entry.accepted for entry in desk.api.account] == [True, True, False, False]


@pytest.mark.parametrize(
    ("code", "action", "changed"),
    [
        ("MissingTo", SINGLE, {"To": ""}),
        ("MissingMessage", SINGLE, {"Message": ""}),
        ("MissingFrom", TEMPLATE, {"From": ""}),
        ("MissingTemplateCode", TEMPLATE, {"TemplateCode": ""}),
        ("MissingMessageId", QUERY, {}),
        ("MOBILE_NUMBER_ILLEGAL", SINGLE, {"To": "+85251234567"}),
        ("MOBILE_NUMBER_ILLEGAL", SINGLE, {"To": "085251234567"}),
        ("MOBILE_NUMBER_ILLEGAL", SINGLE, {"To": "852512"}),
        ("MOBILE_NUMBER_ILLEGAL", TEMPLATE, {"To": "861380000000"}),
        ("NOT_SUPPORTED_COUNTRY", SINGLE, {"To": "8613800000000"}),
        ("NOT_SUPPORTED_COUNTRY", TEMPLATE, {"To": "85251234567"}),
        ("OK", SINGLE, {"Message": "x" * 1500}),
        ("CONTENT_EXCEED_LIMIT", SINGLE, {"Message": "x" * 1501}),
        ("OK", SINGLE, {"From": "123456789012345"}),
        ("INVALID_SENDERID", SINGLE, {"From": "1234567890123456"}),
        ("INVALID_SENDERID", SINGLE, {"From": "TwelveLetter"}),
        ("INVALID_SENDERID", SINGLE, {"From": "Ac me"}),
        ("INVALID_PARAMETERS", SINGLE, {"Type": "otp"}),
        ("INVALID_PARAMETERS", BATCH, {"Type": "OTP"}),
        ("INVALID_PARAMETERS", SINGLE, {"ValidityPeriod": "0"}),
        ("PARAM_LENGTH_LIMIT", SINGLE, {"TaskId": "x" * 256}),
        ("INVALID_JSON_PARAM", TEMPLATE, {"TemplateParam": "code=1"}),
        ("INVALID_JSON_PARAM", TEMPLATE, {"TemplateParam": "[]"}),
        ("INVALID_JSON_PARAM", BATCH, {"To": "85251234567"}),
        ("INVALID_JSON_PARAM", BATCH, {"Message": "[1]"}),
        ("QUANTITY_INCONSISTENT", BATCH, {"Message": '["one","two"]'}),
        ("MOBILE_COUNT_OVER_LIMIT", BATCH, batch(*["85251234567"] * 1001)),
        ("OK", BATCH, batch(*["85251234567"] * 1000)),
        ("DATA_NOT_EXIST", QUERY, {"MessageId": "12"}),
        ("DATA_NOT_EXIST", QUERY, {"MessageId": "twelve"}),
    ],
)
def test_parameters_are_checked_by_the_providers_rules(code: str, action: str, changed: dict[str, str]) -> None:
    assert code == Desk().code(action, **changed)


@pytest.mark.parametrize(
    ("status", "code", "method", "action"),
    [
        (400, "UnsupportedHTTPMethod", "PUT", SINGLE),
        (404, "InvalidAction.NotFound", "POST", "SendSms"),
        (400, "MissingAction", "POST", ""),
        (400, "MissingTo", "POST", SINGLE),
    ],
)
def test_the_gateway_answers_in_its_own_shape(status: int, code: str, method: str, action: str) -> None:
    answer = Desk().call(action, {}, method=method)

    reply = orjson.loads(answer.body)
    assert (status, code, "sms.example") == (answer.status, reply["Code"], reply["HostId"])
    assert {"RequestId", "HostId", "Code", "Message", "Recommend"} == reply.keys()


def test_another_version_of_the_api_is_refused() -> None:
    arrival = Arrival.of("GET", f"/?Action={SINGLE}&Version=2017-05-25", {})

    assert orjson.loads(Desk().api.answer(arrival).body)["Code"] == "NoSuchVersion"


def test_a_transient_number_fails_once_and_the_books_know_both_calls() -> None:
    desk = Desk()

    codes = [desk.code(To="85251991046") for _ in range(3)]

    assert codes == ["SYSTEM_ERROR", "OK", "OK"]
    assert [entry.accepted for entry in desk.api.account] == [False, True, True]


def test_every_fault_keeps_its_word_about_acceptance() -> None:
    desk = Desk()
    accepted = {1, 2, 4, 7, 8, 9, 12, 13, 14}

    answers = {number: desk.call(SINGLE, ABROAD | {"To": f"85251992{number:03}"}) for number in range(1, 16)}

    entries = list(desk.api.account)
    assert accepted == {number for number, entry in enumerate(entries, 1) if entry.accepted}
    assert answers[1].pause_s == 3.0
    assert {answers[n].status: answers[n].wire for n in (5, 15)} == {502: Wire.HTML, 414: Wire.HTML}
    assert [answers[n].status for n in (6, 7, 10)] == [503, 500, 400]
    assert answers[10].headers == {"x-acs-retry-after": "300"}
    for unreadable in (4, 8, 14):
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(answers[unreadable].body)
    assert not isinstance(orjson.loads(answers[9].body)["ResponseCode"], str)


def test_the_quota_holds_in_every_sliding_second_and_refused_calls_do_not_count() -> None:
    desk = Desk(qps={SINGLE: 2})

    codes = {}
    for at in (0.0, 0.6, 0.9, 0.99, 1.0, 1.5, 1.6):
        desk.now = NOON + at
        codes[at] = desk.code()

    refused = {at for at, code in codes.items() if code == "QPS_LIMIT_CONTROL"}
    assert {0.9, 0.99, 1.5} == refused
    assert desk.code(TEMPLATE) == "OK"


def test_the_quota_by_the_clocks_second_lets_twice_the_rate_through_at_its_turn() -> None:
    desk = Desk(qps={SINGLE: 2}, second=Second.CALENDAR, throttle_code="Throttling.User")

    codes = []
    for at in (0.8, 0.9, 0.95, 1.0, 1.1, 1.2):
        desk.now = NOON + at
        codes.append(desk.code())

    assert codes == ["OK", "OK", "Throttling.User"] * 2


def test_the_day_limit_is_per_number_and_ends_at_midnight_in_singapore() -> None:
    desk = Desk(day_limit=2)

    noon = [desk.code() for _ in range(3)] + [desk.code(To="85251234568"), desk.code(To="85251990033")]
    desk.now = NOON + 12 * 3600 - 1
    before_midnight = desk.code()
    desk.now += 1
    midnight = desk.code()

    assert noon == ["OK", "OK", "FREQUENCY_LIMIT_DAY", "OK", "MOBILE_NUMBER_ILLEGAL"]
    assert (before_midnight, midnight) == ("FREQUENCY_LIMIT_DAY", "OK")


def test_a_number_over_its_day_fails_in_a_batch() -> None:
    reply = Desk(day_limit=1).reply(BATCH, batch("85251234567", "85251234567"))

    assert orjson.loads(reply["FailedList"]) == ["85251234567"]


def test_an_account_code_answers_every_send_until_it_is_taken_away() -> None:
    desk = Desk()

    desk.api.configure(desk.api.settings.switched({"account_code": "AMOUNT_NOT_ENOUGH"}))
    held = [desk.code(SINGLE), desk.code(TEMPLATE), desk.code(BATCH)]
    desk.api.configure(desk.api.settings.switched({"account_code": None}))

    assert held == ["AMOUNT_NOT_ENOUGH"] * 3
    assert desk.code() == "OK"
    assert desk.api.account.accepted == 1


def test_latency_and_jitter_pause_every_answer() -> None:
    desk = Desk(latency_s=0.05, jitter_s=0.1, seed=1)

    pauses = [desk.call(SINGLE, ABROAD).pause_s for _ in range(50)]

    assert 0.05 <= min(pauses) < max(pauses) < 0.15


def test_a_seed_repeats_the_ids() -> None:
    first, again, other = (Desk(seed=seed).reply(SINGLE, ABROAD) for seed in (7, 7, 8))

    assert first == again
    assert first["MessageId"] != other["MessageId"]


def test_an_accepted_message_can_be_queried() -> None:
    desk = Desk()
    sent = desk.reply(SINGLE, ABROAD)

    report = desk.reply(QUERY, {"MessageId": sent["MessageId"]})

    assert tuple(report[name] for name in ("ResponseCode", "Status", "ErrorCode", "To")) == (
        "OK",
        "1",
        "DELIVERED",
        "85251234567",
    )
    assert report["SendDate"] == "Mon, 23 Nov 2026 12:00:00 +0800"


@pytest.mark.parametrize(
    ("fault", "settings"),
    [
        ("latency_s", {"latency_s": -1.0}),
        ("no operation SendSms", {"qps": {"SendSms": 1}}),
        ("must be 0 or more", {"qps": {SINGLE: -1}}),
        ("account_code", {"account_code": "OK"}),
        ("account_code", {"account_code": "NOT_A_CODE"}),
        ("throttle_code", {"throttle_code": "OK"}),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(fault: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=fault):
        SandboxSettings(**settings)


@pytest.mark.parametrize(
    "changes", [{"qps": True}, {"qps": {SINGLE: "2"}}, {"latency_s": "1"}, {"seed": 1}, {"day_limit": math.pi}]
)
def test_switches_are_checked(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        SandboxSettings().switched(changes)


def test_the_secret_is_not_shown() -> None:
    assert "sandbox-secret" not in repr(SandboxSettings())
