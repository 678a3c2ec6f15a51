"""Which parameters a request becomes: exactly those that the operation knows."""

from datetime import UTC, datetime

from worker.core.message.decode import Request
from worker.core.message.history import History
from worker.core.message.request import SmsRequest
from worker.provider.parameters import parameters_of


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
