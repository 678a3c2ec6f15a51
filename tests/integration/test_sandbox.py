"""The sandbox over the network: what the official SDK makes of it, how faults look from outside, its own endpoints."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import orjson
import pytest
from alibabacloud_dysmsapi20180501 import models
from alibabacloud_dysmsapi20180501.client import Client
from alibabacloud_tea_openapi.exceptions._client import ClientException
from alibabacloud_tea_openapi.exceptions._server import ServerException
from alibabacloud_tea_openapi.exceptions._throttling import ThrottlingException
from alibabacloud_tea_openapi.utils_models._config import Config

from worker.sandbox import Sandbox, SandboxSettings, serve

HEADERS = {"x-acs-action": "SendMessageToGlobe", "x-acs-version": "2018-05-01"}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxSettings()) as running:
        yield running


def sdk(url: str, secret: str = "sandbox-secret") -> Client:
    endpoint = url.removeprefix("http://")
    config = Config(access_key_id="sandbox", access_key_secret=secret, endpoint=endpoint, protocol="http")
    return Client(config)


def single(to: str, text: str = "Grüße & 你好 ~*+/ 1234") -> models.SendMessageToGlobeRequest:
    return models.SendMessageToGlobeRequest(to=to, message=text, from_="Acme", type="OTP", task_id=f"t-{to}")


async def off_loop(call: Callable[..., Any], request: Any) -> Any:
    """The body that the synchronous SDK returns for *request*."""
    return (await asyncio.to_thread(call, request)).body


async def test_the_official_sdk_sends_a_single_and_reads_its_reply(sandbox: Sandbox) -> None:
    client = sdk(await sandbox.start())

    body = await off_loop(client.send_message_to_globe, single("85251234567"))
    report = await off_loop(client.query_message, models.QueryMessageRequest(message_id=body.message_id))

    assert (body.response_code, body.to, body.segments, body.from_) == ("OK", "85251234567", "1", "Acme")
    assert body.number_detail.country == "Hongkong, China"
    assert (report.response_code, report.status, report.to) == ("OK", "1", "85251234567")
    assert [entry.accepted for entry in sandbox.account] == [True, False]


async def test_the_official_sdk_sends_a_template(sandbox: Sandbox) -> None:
    client = sdk(await sandbox.start())
    request = models.SendMessageWithTemplateRequest(
        to="8613800000000", from_="签名", template_code="SMS_1", template_param='{"code":"1234"}'
    )

    body = await off_loop(client.send_message_with_template, request)

    assert (body.response_code, body.segments) == ("OK", "1")


async def test_the_official_sdk_sends_a_batch_that_fails_in_part(sandbox: Sandbox) -> None:
    client = sdk(await sandbox.start())
    numbers = ["85251234567", "85251990083"] + [f"8526{number:07}" for number in range(998)]
    request = models.BatchSendMessageToGlobeRequest(
        to=orjson.dumps(numbers).decode(), message=orjson.dumps(["你好 " * 23] * 1000).decode(), type="MKT"
    )

    body = await off_loop(client.batch_send_message_to_globe, request)

    assert (body.response_code, body.success_count) == ("OK", "999")
    assert orjson.loads(body.failed_list) == ["85251990083"]
    assert len(orjson.loads(body.message_id_list)) == 999


async def test_the_official_sdk_returns_a_business_code_as_a_reply(sandbox: Sandbox) -> None:
    client = sdk(await sandbox.start())

    body = await off_loop(client.send_message_to_globe, single("85251990045"))

    assert body.response_code == "AMOUNT_NOT_ENOUGH"
    assert body.message_id is None


@pytest.mark.parametrize(
    ("ending", "kind", "status", "code"),
    [
        ("990904", ClientException, 404, "InvalidAccessKeyId.NotFound"),
        ("992006", ServerException, 503, "ServiceUnavailable"),
        ("992010", ThrottlingException, 400, "Throttling.User"),
    ],
)
async def test_the_official_sdk_raises_a_gateway_code(
    sandbox: Sandbox, ending: str, kind: type[Exception], status: int, code: str
) -> None:
    client = sdk(await sandbox.start())

    with pytest.raises(kind) as raised:
        await off_loop(client.send_message_to_globe, single(f"85251{ending}"))

    error: Any = raised.value
    assert (status, code) == (error.status_code, error.code.removeprefix("Error."))
    assert error.request_id


async def test_a_wrong_secret_is_refused(sandbox: Sandbox) -> None:
    client = sdk(await sandbox.start(), secret="another")

    with pytest.raises(ClientException) as raised:
        await off_loop(client.send_message_to_globe, single("85251234567"))

    assert raised.value.code == "SignatureDoesNotMatch"
    assert sandbox.account.accepted == 0


@pytest.fixture
async def unsigned() -> AsyncIterator[tuple[Sandbox, aiohttp.ClientSession]]:
    async with Sandbox(SandboxSettings(check_signature=False)) as running:
        url = await running.start()
        async with aiohttp.ClientSession(url, headers=HEADERS) as session:
            yield running, session


@pytest.mark.parametrize(
    ("number", "error", "accepted"),
    [
        ("85251992002", aiohttp.ServerDisconnectedError, True),
        ("85251992003", aiohttp.ServerDisconnectedError, False),
        ("85251992013", aiohttp.ClientPayloadError, True),
    ],
)
async def test_a_connection_breaks_where_the_number_says(
    unsigned: tuple[Sandbox, aiohttp.ClientSession], number: str, error: type[Exception], accepted: bool
) -> None:
    sandbox, session = unsigned

    with pytest.raises(error):
        async with session.post("/", params={"To": number, "Message": "hi"}) as response:
            await response.read()

    assert [accepted] == [entry.accepted for entry in sandbox.account]


async def test_a_call_that_is_never_answered_is_accepted_and_holds_up_no_close(
    unsigned: tuple[Sandbox, aiohttp.ClientSession],
) -> None:
    sandbox, session = unsigned

    async def send() -> None:
        with suppress(aiohttp.ServerDisconnectedError):
            await (await session.post("/", params={"To": "85251992012", "Message": "hi"})).read()

    waiting = asyncio.create_task(send(), name="a call without an answer")
    async with asyncio.timeout(5):
        while not sandbox.account.accepted:
            await session.get("/sandbox/account")
        assert not waiting.done()
        await sandbox.aclose()
        await waiting


async def test_the_books_are_read_and_closed_over_http(unsigned: tuple[Sandbox, aiohttp.ClientSession]) -> None:
    _, session = unsigned
    for number in ("85251234567", "85251234567", "85251990033"):
        await session.post("/", params={"To": number, "Message": "hi", "TaskId": "t-1"})

    summary = await (await session.get("/sandbox/account")).json()
    calls = [orjson.loads(line) async for line in (await session.get("/sandbox/calls")).content]
    reset = await session.post("/sandbox/reset")
    after = await (await session.get("/sandbox/account")).json()

    assert (summary["calls"], summary["accepted"]) == (3, 2)
    assert summary["duplicates"] == [{"task_id": "t-1", "number": "852******67", "times": 2}]
    assert [call["code"] for call in calls] == ["OK", "OK", "MOBILE_NUMBER_ILLEGAL"]
    assert (reset.status, after["calls"]) == (204, 0)


async def test_the_switches_are_set_over_http(unsigned: tuple[Sandbox, aiohttp.ClientSession]) -> None:
    sandbox, session = unsigned

    good = await session.put("/sandbox/settings", json={"account_code": "AMOUNT_NOT_ENOUGH", "qps": 5})
    bad = await session.put("/sandbox/settings", json={"secret": "x"})
    reply = await (await session.post("/", params={"To": "85251234567", "Message": "hi"})).json()

    assert (good.status, bad.status) == (200, 400)
    assert "secret: is not a switch" in (await bad.json())["error"]
    assert reply["ResponseCode"] == "AMOUNT_NOT_ENOUGH"
    assert sandbox.settings.qps["SendMessageWithTemplate"] == 5


async def test_serve_tells_its_url_and_ends_when_it_is_cancelled() -> None:
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(SandboxSettings(), "127.0.0.1", 0, told.set_result), name="serve")

    url = await told
    async with aiohttp.ClientSession() as session, session.get(f"{url}/elsewhere") as response:
        status = response.status
    serving.cancel()

    assert status == 404
    with pytest.raises(asyncio.CancelledError):
        await serving
