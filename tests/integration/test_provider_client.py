"""What the client sends, what it makes of the answers that come, and what it does with its keys."""

import asyncio
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.fakes import RecordingEvents
from tests.scripted_server import (
    BODY,
    KEY,
    OK,
    REQUEST,
    SILENCE,
    SMS,
    Answer,
    NewLoop,
    exchange,
    http,
    on_both_loops,
    run,
    says,
    says_and_closes,
    scripted_server,
    settings,
)
from worker.core.outcome.outcome import Fault, Reply
from worker.provider.client import Client
from worker.provider.credentials import ConfiguredCredentials
from worker.provider.replies import MOST_BYTES
from worker.provider.signature import AccessKey, signed


async def floods(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"2000\r\n" + b" " * 0x2000 + b"\r\n")
        await writer.drain()


async def test_the_call_on_the_wire_is_the_one_that_was_signed() -> None:
    instant = datetime(2026, 11, 23, 17, 19, 31, tzinfo=timezone(timedelta(hours=8)))
    async with scripted_server(OK) as provider:
        where = settings(f"http://127.0.0.1:{provider.port}")
        async with Client(where, RecordingEvents(), now=lambda: instant, nonce=lambda: "n-1") as client:
            await client.send(REQUEST, 300)

    line, headers = provider.calls[0]
    method, target, _ = line.split(" ")
    parameters = dict(parse_qsl(urlsplit(target).query))
    expected = signed(
        "SendMessageToGlobe", parameters, host=f"127.0.0.1:{provider.port}", key=KEY, instant=instant, nonce="n-1"
    )
    assert parameters["Message"] == SMS.text
    assert (method, target) == ("POST", f"/?{expected.query}")
    assert headers == {
        **{name.lower(): value for name, value in expected.headers.items()},
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-length": "0",
        "user-agent": headers["user-agent"],
    }


@pytest.mark.parametrize("key", [AccessKey("LT\nAI", "secret"), AccessKey("LTAI", "secret", "to\rken")])
async def test_a_key_that_no_header_may_hold_fails_before_a_byte_is_written(key: AccessKey) -> None:
    """So whoever claimed the request knows that it was not sent."""
    async with scripted_server(OK) as provider:
        where = settings(f"http://127.0.0.1:{provider.port}")
        async with Client(where, RecordingEvents(), credentials=ConfiguredCredentials(key)) as client:
            with pytest.raises(ValueError, match="no header may hold"):
                await client.send(REQUEST, 300)

    assert provider.calls == []


async def test_whatever_else_the_library_raises_leaves_the_call_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte may have left: only what fails before is certain."""

    def feed(_reader: object, _piece: object) -> None:
        raise LookupError("nobody expected this")

    monkeypatch.setattr("worker.provider.http.answer.AnswerReader.feed", feed)
    async with (
        scripted_server(OK) as provider,
        Client(settings(f"http://127.0.0.1:{provider.port}"), RecordingEvents()) as client,
    ):
        assert await client.send(REQUEST, 300) is Fault.CONNECTION_CUT


async def test_many_calls_share_one_connection() -> None:
    async with (
        scripted_server(OK, says(http("400 Bad Request", b'{"Code":"Throttling"}')), OK) as provider,
        Client(settings(f"http://127.0.0.1:{provider.port}"), RecordingEvents()) as client,
    ):
        for _ in range(5):
            await client.send(REQUEST, 300)

    assert (len(provider.calls), provider.connections) == (5, 1)


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK, Reply(200, "OK", request_id="R-1", message_id="1008", segments=1)),
        (
            says(http("400 Bad Request", b'{"Code":"Throttling.User"}', "X-Acs-Retry-After: 1500")),
            Reply(400, "Throttling.User", from_gateway=True, retry_after=timedelta(seconds=1.5)),
        ),
        (says(http("502 Bad Gateway", b"<html>")), Reply(502)),
        (says(http("302 Found", b"", "Location: /elsewhere")), Reply(302)),
        (says(http("200 OK", b"hello")), Reply(200)),
        (says(http("200 OK", BODY[:-1])), Reply(200)),
        (says(http("200 OK", BODY + b" " * MOST_BYTES)), Reply(200)),
        (floods, Reply(200)),
        (
            says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"15\r\n", BODY[:21], b"\r\n0\r\n\r\n"),
            Reply(200),
        ),
        (says_and_closes(b"HTTP/1.0 200 OK\r\n\r\n" + BODY), Reply(200, "OK", False, "R-1", "1008", 1)),
    ],
)
def test_an_answer_that_came_is_read_and_not_asked_for_again(
    new_loop: NewLoop, answer: Answer, expected: Reply
) -> None:
    reply, calls = run(new_loop, exchange(answer))

    assert reply == expected
    assert len(calls) == 1


class Noticing(ConfiguredCredentials):
    """Remembers which keys were refused."""

    def __init__(self) -> None:
        super().__init__(KEY)
        self.refused: list[AccessKey] = []

    def stale(self, key: AccessKey) -> None:
        self.refused.append(key)


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("InvalidSecurityToken.Expired", [KEY]),
        ("InvalidAccessKeyId.NotFound", [KEY]),
        ("SignatureDoesNotMatch", []),
        ("OK", []),
    ],
)
async def test_a_key_that_the_provider_refuses_is_looked_for_anew(code: str, refused: list[AccessKey]) -> None:
    credentials = Noticing()
    async with scripted_server(says(http("400 Bad Request", f'{{"Code":"{code}"}}'.encode()))) as provider:
        where = settings(f"http://127.0.0.1:{provider.port}")
        async with Client(where, RecordingEvents(), credentials=credentials) as client:
            reply = await client.send(REQUEST, 300)

    assert isinstance(reply, Reply)
    assert credentials.refused == refused


async def test_a_cancelled_call_ends_at_once_and_closes_its_connection() -> None:
    async with (
        scripted_server(SILENCE) as provider,
        Client(settings(f"http://127.0.0.1:{provider.port}"), RecordingEvents()) as client,
    ):
        call = asyncio.create_task(client.send(REQUEST, 300))
        await provider.called.wait()
        call.cancel()

        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(2):
            await provider.closed.wait()
