"""Which parameters a request becomes: exactly those that the operation knows."""

from datetime import UTC, datetime

import pytest

from worker.core.message.decode import Request
from worker.core.message.history import History
from worker.core.message.request import SmsRequest
from worker.provider.parameters import batch_parameters, parameters_of


def request(json: str) -> Request:
    sms = SmsRequest.model_validate_json(json)
    return Request(sms, sms.lane, History(), datetime(2026, 11, 23, tzinfo=UTC))


def test_a_text_goes_with_its_type_and_task_id_and_only_the_digits_of_its_number() -> None:
    text = request('{"id":"r-1","to":"+85251234567","type":"OTP","text":"1234","from":"Acme","task_id":"t-1"}')

    assert parameters_of(text, 300, "3790") == {
        "To": "85251234567",
        "From": "Acme",
        "Message": "1234",
        "Type": "OTP",
        "TaskId": "t-1",
        "ValidityPeriod": "300",
        "ChannelId": "3790",
    }


def test_without_a_task_id_the_request_id_comes_back_in_the_receipt() -> None:
    text = request('{"id":"r-1","to":"85251234567","type":"MKT","text":"Sale"}')

    assert parameters_of(text, 60, None) == {
        "To": "85251234567",
        "Message": "Sale",
        "Type": "MKT",
        "TaskId": "r-1",
        "ValidityPeriod": "60",
    }


def test_a_template_goes_without_the_parameters_that_its_operation_does_not_know() -> None:
    template = request(
        '{"id":"r-1","to":"8613800000000","type":"OTP","from":"阿里云","task_id":"t-1",'
        '"template":{"code":"SMS_1","params":{"code":"1234","name":"王"}}}'
    )

    assert parameters_of(template, 300, None) == {
        "To": "8613800000000",
        "From": "阿里云",
        "TemplateCode": "SMS_1",
        "TemplateParam": '{"code":"1234","name":"王"}',
        "ValidityPeriod": "300",
    }


def test_a_template_without_variables_has_no_parameter_for_them() -> None:
    template = request('{"id":"r-1","to":"8613800000000","type":"OTP","from":"A","template":{"code":"SMS_1"}}')

    assert "TemplateParam" not in parameters_of(template, 300, None)


def members(*changed: str, text: str = "Sale") -> list[Request]:
    return [
        request(f'{{"id":"r-{n}","to":"+8525123456{n}","type":"MKT","text":"{text} {n}"{more}}}')
        for n, more in enumerate(changed)
    ]


def test_a_batch_has_its_numbers_and_texts_in_two_arrays_and_the_rest_once() -> None:
    parameters = batch_parameters(members(',"from":"Acme"', ',"from":"Acme","task_id":"t-1"'), 300, "3790", "b-1")

    assert parameters == {
        "To": '["85251234560","85251234561"]',
        "Message": '["Sale 0","Sale 1"]',
        "From": "Acme",
        "Type": "MKT",
        "TaskId": "b-1",
        "ValidityPeriod": "300",
        "ChannelId": "3790",
    }


def test_a_batch_without_a_sender_and_a_channel_has_no_parameters_for_them() -> None:
    assert batch_parameters(members("", text='你 \\"'), 60, None, "b-1") == {
        "To": '["85251234560"]',
        "Message": '["你 \\" 0"]',
        "Type": "MKT",
        "TaskId": "b-1",
        "ValidityPeriod": "60",
    }


@pytest.mark.parametrize(
    ("requests", "task_id", "fault"),
    [
        ([], "b-1", "one type and one sender"),
        (members(',"from":"Acme"', ',"from":"Other"'), "b-1", "one type and one sender"),
        (members("", ',"from":"Other"'), "b-1", "one type and one sender"),
        (
            [*members(""), request('{"id":"r-9","to":"85251234569","type":"NOTIFY","text":"Sale"}')],
            "b-1",
            "one type and one sender",
        ),
        (
            [request('{"id":"r","to":"8613800000000","type":"MKT","from":"A","template":{"code":"SMS_1"}}')],
            "b-1",
            "one type and one sender",
        ),
        (members("") * 2, "b-1", "a number stands in one call only once"),
    ],
)
def test_what_cannot_go_together_is_refused_without_a_word_of_it(
    requests: list[Request], task_id: str, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault) as refused:
        batch_parameters(requests, 60, None, task_id)

    assert "8525" not in str(refused.value)
