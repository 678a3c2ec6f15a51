"""Each shape that an answer may have is read, and lands in the class that the policy is written for."""

from datetime import timedelta

import pytest

from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Accepted, ErrorClass, Failed, Reply
from worker.provider.replies import MOST_BYTES, read_reply

ACCEPTED = (
    b'{"ResponseCode":"OK","NumberDetail":{"Carrier":"CMI","Region":"HongKong","Country":"China"},'
    b'"RequestId":"F655A8D5-B967-440B-8683-DAD6FF8DE990","Segments":"2",'
    b'"ResponseDescription":"The SMS Send Request was accepted","From":"Alicloud321","To":"1380000****",'
    b'"MessageId":"1008030300****"}'
)
DENIED = b'{"ResponseCode":"MOBILE_NUMBER_ILLEGAL","ResponseDescription":"The number is wrong.","RequestId":"R-1"}'
THROTTLED = (
    b'{"RequestId":"R-2","HostId":"dysmsapi.ap-southeast-1.aliyuncs.com","Code":"Throttling.User",'
    b'"Message":"Request was denied due to user flow control.","Recommend":"https://api.alibabacloud.com/"}'
)
THROTTLED_XML = (
    b"<?xml version='1.0' encoding='UTF-8'?>\n<Error><RequestId>R-3</RequestId><HostId>dysmsapi</HostId>"
    b"<Code>Throttling.User</Code><Message>Request was denied.</Message></Error>"
)
TOO_LARGE = b"<html>\n<head><title>414 Request-URI Too Large</title></head><body>Tengine<code>x</code></body></html>"


def test_an_acceptance_is_read_whole() -> None:
    assert read_reply(200, {}, ACCEPTED) == Reply(
        status=200,
        code="OK",
        request_id="F655A8D5-B967-440B-8683-DAD6FF8DE990",
        message_id="1008030300****",
        segments=2,
        country="China",
    )


def test_a_refusal_of_the_gateway_is_told_from_one_of_the_api() -> None:
    assert read_reply(400, {}, THROTTLED) == Reply(400, "Throttling.User", from_gateway=True, request_id="R-2")
    assert read_reply(400, {}, THROTTLED_XML) == Reply(400, "Throttling.User", from_gateway=True, request_id="R-3")
    assert read_reply(200, {}, DENIED) == Reply(200, "MOBILE_NUMBER_ILLEGAL", request_id="R-1")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1500", timedelta(seconds=1.5)),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("9" * 30, None),
    ],
)
def test_the_wait_that_the_gateway_asks_for_is_milliseconds_or_nothing(value: str, expected: timedelta | None) -> None:
    assert read_reply(400, {"x-acs-retry-after": value}, THROTTLED).retry_after == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"ResponseCode":"OK","MessageId":1008,"Segments":3}', Reply(200, "OK", message_id="1008", segments=3)),
        (b'{"ResponseCode":"OK","Segments":"three","NumberDetail":"China"}', Reply(200, "OK")),
        (b'{"ResponseCode":"OK","Segments":-1,"NumberDetail":{"Country":null}}', Reply(200, "OK")),
        (b'{"ResponseCode":"OK","MessageId":true,"RequestId":["R"]}', Reply(200, "OK")),
        (b'{"ResponseCode":"OK","MessageId":"","RequestId":"a\\nb"}', Reply(200, "OK")),
        (b'{"ResponseCode":"OK","MessageId":"' + b"9" * 200 + b'"}', Reply(200, "OK")),
        (b'{"ResponseCode":null,"Code":"Throttling"}', Reply(200)),
        (b'{"ResponseCode":["OK"]}', Reply(200)),
        (b'{"Code":403}', Reply(200, from_gateway=True)),
        (b'["OK"]', Reply(200)),
        (b'"OK"', Reply(200)),
        (b"null", Reply(200)),
        (b"", Reply(200)),
        (ACCEPTED[:-1], Reply(200)),
        (b"[" * 5_000, Reply(200)),
        (b"\xff\xfe{}", Reply(200)),
        (b'{"ResponseCode":"OK","x":"' + b"x" * MOST_BYTES + b'"}', Reply(200)),
    ],
)
def test_what_cannot_be_read_is_left_out(body: bytes, expected: Reply) -> None:
    assert read_reply(200, {}, body) == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, DENIED, ErrorClass.RECIPIENT),
        (200, b'{"ResponseCode":"isv.MOBILE_NUMBER_ILLEGAL"}', ErrorClass.RECIPIENT),
        (200, b'{"ResponseCode":"QPS_LIMIT_CONTROL"}', ErrorClass.THROTTLED),
        (200, b'{"ResponseCode":"AMOUNT_NOT_ENOUGH"}', ErrorClass.ACCOUNT),
        (200, b'{"ResponseCode":"FREQUENCY_LIMIT_DAY"}', ErrorClass.LIMITED),
        (200, b'{"ResponseCode":"BRAND_NEW_CODE"}', ErrorClass.UNKNOWN),
        (400, THROTTLED, ErrorClass.THROTTLED),
        (400, THROTTLED_XML, ErrorClass.THROTTLED),
        (403, b'{"Code":"SignatureDoesNotMatch"}', ErrorClass.ACCOUNT),
        (404, b'{"Code":"InvalidAccessKeyId.NotFound"}', ErrorClass.ACCOUNT),
        (500, b'{"Code":"InternalError"}', ErrorClass.UNKNOWN),
        (503, b'{"Code":"ServiceUnavailable"}', ErrorClass.TRANSIENT),
        (200, b'{"Code":"OK"}', ErrorClass.UNKNOWN),
        (302, b"", ErrorClass.TRANSIENT),
        (407, b"<html>Proxy</html>", ErrorClass.TRANSIENT),
        (414, TOO_LARGE, ErrorClass.INVALID),
        (429, b"slow down", ErrorClass.THROTTLED),
        (502, b"<html>Bad gateway</html>", ErrorClass.UNKNOWN),
        (200, ACCEPTED[:60], ErrorClass.UNKNOWN),
        (200, b"", ErrorClass.UNKNOWN),
    ],
)
def test_every_refusal_lands_in_its_class(status: int, body: bytes, expected: ErrorClass) -> None:
    outcome = catalog().classify(read_reply(status, {}, body))

    assert isinstance(outcome, Failed)
    assert outcome.row.error_class is expected


def test_an_acceptance_is_classified_as_one() -> None:
    assert catalog().classify(read_reply(200, {}, ACCEPTED)) == Accepted(
        "1008030300****", "F655A8D5-B967-440B-8683-DAD6FF8DE990", 2, "China"
    )
