"""The official SDK is our witness: what it puts on the wire is what we would have signed and sent."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from alibabacloud_dysmsapi20180501 import models
from alibabacloud_dysmsapi20180501.client import Client
from alibabacloud_tea_openapi.utils_models._config import Config

from worker.core.limits.quota import Operation
from worker.core.message.decode import Request
from worker.core.message.history import History
from worker.core.message.request import SmsRequest
from worker.provider.parameters import parameters_of
from worker.provider.signature import AccessKey, authorization, canonical_query, signed

ACCEPTED = b'{"ResponseCode":"OK","RequestId":"R-1","MessageId":"1008","Segments":"1"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
KEYS = [AccessKey("LTAI5tFAKE", "FAKEsecret"), AccessKey("STS.FAKE", "FAKEsecret", "FAKE/token+==")]

TEXT = SmsRequest.model_validate_json(
    '{"id":"r-1","to":"85251234567","type":"OTP","text":"Your code is 1234. Grüße & 你好 ~*+/","from":"Acme"}'
)
TEMPLATE = SmsRequest.model_validate_json(
    '{"id":"r-2","to":"8613800000000","type":"NOTIFY","from":"阿里云",'
    '"template":{"code":"SMS_1","params":{"code":"1234","name":"王 & Co"}}}'
)


def send_text(client: Client) -> Any:
    return client.send_message_to_globe(
        models.SendMessageToGlobeRequest(
            to="85251234567",
            from_="Acme",
            message=TEXT.text or "",
            type="OTP",
            task_id="r-1",
            validity_period=300,
            channel_id="3790",
        )
    )


def send_template(client: Client) -> Any:
    return client.send_message_with_template(
        models.SendMessageWithTemplateRequest(
            to="8613800000000",
            from_="阿里云",
            template_code="SMS_1",
            template_param='{"code":"1234","name":"王 & Co"}',
            validity_period=300,
            channel_id="3790",
        )
    )


@dataclass(frozen=True)
class Call:
    """One call as it arrived."""

    method: str
    target: str
    headers: dict[str, str]

    @classmethod
    def read(cls, head: bytes) -> "Call":
        line, *lines = head.decode().rstrip("\r\n").split("\r\n")
        method, target, _ = line.split(" ")
        return cls(method, target, {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)})

    @property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def signed_headers(self) -> dict[str, str]:
        names = self.headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
        return {name: self.headers[name] for name in names.split(";")}


async def captured(send: Callable[[Client], Any], key: AccessKey) -> tuple[Call, Any]:
    """What the SDK sends with *key*, and what it makes of an acceptance."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ANSWER % len(ACCEPTED) + ACCEPTED)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        config = Config(access_key_id=key.id, access_key_secret=key.secret, endpoint=where, protocol="http")
        if key.token:
            config.security_token = key.token
        response = await asyncio.to_thread(send, Client(config))
    return Call.read(heads[0]), response


both_operations = pytest.mark.parametrize(
    ("send", "sms"),
    [(send_text, TEXT), (send_template, TEMPLATE)],
    ids=["SendMessageToGlobe", "SendMessageWithTemplate"],
)


@both_operations
@pytest.mark.parametrize("key", KEYS, ids=["key", "temporary"])
async def test_our_signature_of_its_call_is_its_own(
    send: Callable[[Client], Any], sms: SmsRequest, key: AccessKey
) -> None:
    call, response = await captured(send, key)

    query, headers = canonical_query(call.parameters), call.signed_headers
    ours = authorization(call.method, query, headers, headers["x-acs-content-sha256"], key)
    assert call.headers["authorization"] == ours
    assert response.body.response_code == "OK"


@both_operations
@pytest.mark.parametrize("key", KEYS, ids=["key", "temporary"])
async def test_our_call_says_what_its_call_says(send: Callable[[Client], Any], sms: SmsRequest, key: AccessKey) -> None:
    call, _ = await captured(send, key)
    request = Request(sms, sms.lane, History(), datetime(2026, 11, 23, tzinfo=UTC))

    parameters = parameters_of(request, 300, "3790")
    _, headers = signed(
        Operation.of(sms).value,
        parameters,
        host=call.headers["host"],
        key=key,
        instant=datetime.fromisoformat(call.headers["x-acs-date"]),
        nonce=call.headers["x-acs-signature-nonce"],
    )

    assert call.parameters == parameters
    assert (call.method, urlsplit(call.target).path, call.headers["content-length"]) == ("POST", "/", "0")
    del headers["Authorization"]  # it covers other headers: the SDK signs its user agent, too
    assert headers.items() <= call.headers.items()
