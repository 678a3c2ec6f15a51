"""The model of a request: what is a request, and what its publisher is told when it is none."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from tests.makers import MAINLAND, make_fields
from worker.core.message.lane import Lane
from worker.core.message.request import SmsRequest, masked, read

TEMPLATED: dict[str, Any] = {"to": MAINLAND, "text": ..., "template": {"code": "SMS_1"}, "from": "阿里云"}


def parsed(**changes: Any) -> SmsRequest:
    return SmsRequest.model_validate_json(orjson.dumps(make_fields(**changes)))


def faults(**changes: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        parsed(**changes)
    return str(raised.value)


def test_a_request_has_every_field_that_was_published() -> None:
    fields: dict[str, Any] = {
        "from": "Alicloud321",
        "task_id": "campaign-7",
        "not_before": "2026-11-23T13:00:00+08:00",
        "deadline": "2026-11-23T13:00:00Z",
        "metadata": {"tenant": "a"},
    }
    sms = parsed(**fields)

    written = orjson.loads(sms.model_dump_json(by_alias=True, exclude_none=True))
    assert written == make_fields(**fields)
    assert SmsRequest.model_validate_json(sms.model_dump_json(by_alias=True)) == sms


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 129}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "a\n"}, "id"),
        ({"id": 7}, "id"),
        ({"id": ...}, "id"),
        ({"to": "+0123456789"}, "to"),
        ({"to": "++85251234567"}, "to"),
        ({"to": "0085251234567"}, "to"),
        ({"to": "852 5123 4567"}, "to"),
        ({"to": "85251234567\n"}, "to"),
        ({"to": "٨٥٢٥١٢٣٤٥٦٧"}, "to"),
        ({"to": "852512"}, "to"),
        ({"to": "8525123456789012"}, "to"),
        ({"to": 85251234567}, "to"),
        ({"to": 85251234567.0}, "to"),
        ({"type": "otp"}, "type"),
        ({"type": "PROMO"}, "type"),
        ({"text": ""}, "text"),
        ({"text": "x" * 1501}, "text"),
        ({"text": " \n "}, "is blank"),
        ({"text": "a\tb"}, "control character"),
        ({"text": "a\x00b"}, "control character"),
        ({"text": "a\x9bb"}, "control character"),
        ({"text": "\u200b \u2060"}, "nothing that can be seen"),
        ({"text": "\u3164\u2800\u200f"}, "nothing that can be seen"),
        ({"task_id": "\u200b"}, "nothing that can be seen"),
        ({"text": ...}, "give exactly one of them"),
        ({"template": {"code": "SMS_1"}}, "give exactly one of them"),
        ({"task_id": ""}, "task_id"),
        ({"task_id": "x" * 256}, "task_id"),
        ({"metadata": {f"key-{number}": "" for number in range(17)}}, "metadata"),
        ({"metadata": {"": "x"}}, "metadata"),
        ({"metadata": {"k" * 65: "x"}}, "metadata"),
        ({"metadata": {"k": "x" * 257}}, "metadata"),
        ({"metadata": {"k": 7}}, "metadata"),
        ({"metadata": {"k": None}}, "metadata"),
        ({"notbefore": "2026-11-23T13:00:00Z"}, "notbefore"),
        ({"sender": "Alicloud"}, "sender"),
    ],
)
def test_a_field_at_fault_is_named(changes: dict[str, Any], fault: str) -> None:
    assert fault in faults(**changes)


@pytest.mark.parametrize(
    "instant",
    [
        "2026-11-23T13:00:00",
        "2026-11-23",
        "1700000000",
        "2026-13-23T13:00:00Z",
        "2026-11-23T25:00:00Z",
        "2026-11-23T13:00:00+24:00",
        "2026-11-23T13:00Z",
        "20261123T130000Z",
        "2026-11-23T13:00:00Z ",
        "٢٠٢٦-11-23T13:00:00Z",
        "tomorrow",
        "",
        1_700_000_000,
        1_700_000_000.5,
        True,
    ],
)
@pytest.mark.parametrize("field", ["not_before", "deadline"])
def test_only_rfc_3339_with_a_zone_is_an_instant(field: str, instant: Any) -> None:
    assert field in faults(**{field: instant})


@pytest.mark.parametrize("written", ["2026-11-23T13:00:00z", "2026-11-23t21:00:00.000000000+08:00"])
def test_rfc_3339_is_read_in_all_its_forms(written: str) -> None:
    assert parsed(deadline=written).deadline == parsed(deadline="2026-11-23T13:00:00Z").deadline


def test_a_request_that_could_never_be_sent_is_refused() -> None:
    assert "not_before" in faults(not_before="2026-11-23T21:00:00+08:00", deadline="2026-11-23T13:00:00Z")


def test_instants_at_the_ends_of_the_calendar_overflow_nothing() -> None:
    sms = parsed(not_before="0001-01-01T00:00:00+23:59", deadline="9999-12-31T23:59:59-23:59")

    assert sms.deadline is not None
    assert sms.not_before is not None
    assert sms.not_before < sms.deadline


@pytest.mark.parametrize("sender", ["A", "Alicloud321", "3Mobile", "1" * 15, "123456789ab"])
def test_a_sender_is_letters_and_digits_up_to_11_or_digits_up_to_15(sender: str) -> None:
    assert parsed(**{"from": sender}).sender == sender


@pytest.mark.parametrize("sender", ["", "Alicloud3210", "1" * 16, "Ali cloud", "Ali-cloud", "阿里云", "A\n", "+852"])
def test_any_other_sender_is_refused(sender: str) -> None:
    assert "from" in faults(**{"from": sender})


def test_a_mainland_number_takes_a_template_with_its_signature() -> None:
    sms = parsed(**TEMPLATED)

    assert (sms.is_mainland, sms.number) == (True, MAINLAND)
    assert parsed(**TEMPLATED | {"to": f"+{MAINLAND}"}).number == MAINLAND


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"to": MAINLAND}, "needs a template"),
        (TEMPLATED | {"to": "85251234567"}, "reaches mainland China numbers"),
        (TEMPLATED | {"from": ...}, "required with a template"),
        (TEMPLATED | {"template": {"code": "SMS 1"}}, "template.code"),
        (TEMPLATED | {"template": {}}, "template.code"),
        (TEMPLATED | {"template": {"code": "SMS_1", "params": {"code": 7}}}, "template.params.code"),
        (TEMPLATED | {"template": {"code": "SMS_1", "param": {}}}, "template.param"),
        (TEMPLATED | {"template": {"code": "SMS_1", "params": {"code": "1\0"}}}, "control character"),
        (TEMPLATED | {"template": {"code": "SMS_1", "params": {"co\x1bde": "1"}}}, "control character"),
        (TEMPLATED | {"template": {"code": "SMS_1", "params": {"": "1"}}}, "at least 1 character"),
        (TEMPLATED | {"template": {"code": "SMS_1", "params": {"k" * 65: "1"}}}, "at most 64 characters"),
        (TEMPLATED | {"template": {"code": "SMS_1", "params": {"code": "1" * 55_000}}}, "at most 1500 characters"),
        (
            TEMPLATED | {"template": {"code": "SMS_1", "params": {"a": "1" * 751, "b": "2" * 750}}},
            "more than 1500 characters together",
        ),
        (TEMPLATED | {"from": "\u3164"}, "nothing that can be seen"),
    ],
)
def test_the_rules_for_mainland_china_are_told_before_the_provider_tells_them(
    changes: dict[str, Any], fault: str
) -> None:
    assert fault in faults(**changes)


def test_parameters_may_be_as_long_as_a_message() -> None:
    params = {"name": "验" * 750, "day": "1" * 750}

    assert parsed(**TEMPLATED | {"template": {"code": "SMS_1", "params": params}}).template


def test_a_sentence_of_a_fault_holds_no_pattern() -> None:
    told = faults(id="a b", to="8.5E+10", template={"code": "a b"}, type="otp")

    assert "pattern" not in told
    assert not set(told) & set("^$\\*")


@pytest.mark.parametrize("field", ["id", "to", "type", "text", "from", "task_id", "not_before", "deadline"])
@pytest.mark.parametrize("value", [10**30, -(10**30), 1.5, float("nan"), float("inf"), "\ud800", {7: "x"}])
def test_what_no_field_can_hold_is_told_by_the_name_of_the_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"(^|; ){field}: ") as refused:
        read(make_fields(**{field: value}))

    assert "0" * 9 not in str(refused.value)


def test_a_number_out_of_range_deeper_within_is_told_by_the_name_of_the_field() -> None:
    with pytest.raises(ValueError, match=r"^metadata: cannot be written as JSON: Integer"):
        read(make_fields(metadata={"order": 10**30}))


def test_fields_are_read_as_a_worker_reads_them_and_every_fault_is_told() -> None:
    assert read(make_fields()) == parsed()
    with pytest.raises(ValueError, match=r"^to: is empty; text: .*; \(a key\): ") as refused:
        read(make_fields(to="", text="\0") | {"4711 4711": 1})
    assert "4711 4711" not in str(refused.value)


def test_a_rule_between_fields_is_told_without_another_place() -> None:
    with pytest.raises(ValueError, match=r"^from: must be up to 11 letters"):
        read(make_fields() | {"from": "no good"})


def test_every_fault_of_the_whole_is_told_at_once() -> None:
    told = faults(
        **{"to": MAINLAND, "from": "no good"}, not_before="2026-11-24T00:00:00Z", deadline="2026-11-23T00:00:00Z"
    )

    assert all(fault in told for fault in ("to: ", "from: ", "not_before: "))


def test_the_type_tells_the_lane() -> None:
    assert [parsed(lane=lane).lane for lane in Lane] == list(Lane)


@pytest.mark.parametrize(
    ("number", "shown"), [("+85251234567", "852******67"), ("85251234567", "852******67"), ("1234567", "123**67")]
)
def test_a_number_is_shown_with_its_middle_masked(number: str, shown: str) -> None:
    assert masked(number) == shown


def test_the_digits_are_those_of_its_own_number_in_a_copy_too() -> None:
    sms = parsed(to="+85251234567")

    assert sms.number == "85251234567"
    assert sms.model_copy(update={"to": "+6581234567"}).number == "6581234567"
    with pytest.raises(ValidationError):
        sms.number = "1"  # type: ignore[misc]
