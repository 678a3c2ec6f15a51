"""A provider that does to each call what a test wrote down, and a client that calls it.

What is about exceptions is tried on both event loops, which differ in those that they raise; production runs on uvloop.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import pytest
import uvloop
from pydantic import SecretStr

from tests.fakes import RecordingEvents
from worker.core.message.decode import Request
from worker.core.message.history import History
from worker.core.message.request import SmsRequest
from worker.core.outcome.outcome import Fault, Reply
from worker.provider.client import Client
from worker.provider.signature import AccessKey
from worker.settings.sections import ProviderSettings

KEY = AccessKey("LTAI", "secret")
SMS = SmsRequest.model_validate_json('{"id":"r-1","to":"+85251234567","type":"OTP","text":"Grüße & 你好 ~*+/"}')
REQUEST = Request(SMS, SMS.lane, History(), datetime(2026, 11, 23, tzinfo=UTC))
BODY = b'{"ResponseCode":"OK","RequestId":"R-1","MessageId":"1008","Segments":"1"}'
#: For answers that never come; where one comes it would make a slow machine fail.
SHORT = timedelta(milliseconds=100)

Result = TypeVar("Result")
NewLoop: TypeAlias = Callable[[], asyncio.AbstractEventLoop]
Answer: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def says(*parts: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts)
        await writer.drain()

    return answer


def says_and_closes(part: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(part)
        writer.close()

    return answer


async def resets(writer: asyncio.StreamWriter) -> None:
    writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.close()


OK = says(http("200 OK", BODY))
SILENCE = says()


@dataclass
class ScriptedServer:
    """Answers each call with the next of *answers*, the last one for ever, whatever the call says."""

    answers: list[Answer]
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    connections: int = 0
    called: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *lines = head.decode().rstrip("\r\n").split("\r\n")
                names = dict(one.split(": ", 1) for one in lines)
                self.calls.append((line, {name.lower(): value for name, value in names.items()}))
                self.called.set()
                await (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.closed.set()
            writer.close()


@asynccontextmanager
async def scripted_server(*answers: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    one = ScriptedServer(list(answers))
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    async with server:
        yield one


def settings(endpoint: str, **more: Any) -> ProviderSettings:
    key = {"access_key_id": KEY.id, "access_key_secret": SecretStr(KEY.secret)}
    return ProviderSettings.model_validate({"endpoint": endpoint, **key, **more})


async def answer_of(port: int, scheme: str = "http", **more: Any) -> Reply | Fault:
    async with Client(settings(f"{scheme}://127.0.0.1:{port}", **more), RecordingEvents()) as client:
        return await client.send(REQUEST, 300)


on_both_loops = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def run(new_loop: NewLoop, answer: Coroutine[Any, Any, Result]) -> Result:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(answer)


async def exchange(
    *answers: Answer, tls: ssl.SSLContext | None = None, **more: Any
) -> tuple[Reply | Fault, list[tuple[str, dict[str, str]]]]:
    """One call: what the client said of it, and what arrived."""
    async with scripted_server(*answers, tls=tls) as provider:
        answer = await answer_of(provider.port, "https" if tls else "http", **more)
    return answer, provider.calls
