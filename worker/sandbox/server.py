"""The sandbox as an HTTP server."""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from worker.sandbox.account import Account
from worker.sandbox.api import Api
from worker.sandbox.arrival import Arrival
from worker.sandbox.control import PREFIX, control
from worker.sandbox.deliver import deliver
from worker.sandbox.settings import SandboxSettings

#: Bytes of a request line: the official client puts a batch's texts there, up to 639 KB for 1,000 of 70 characters.
LONGEST_TARGET: Final = 4 * 1024**2
#: Bytes of a body: a batch as a form.
LONGEST_BODY: Final = 8 * 1024**2
#: Seconds an idle connection is kept.
KEEPALIVE_S: Final = 75.0
#: Seconds in which answers under way may still leave when the sandbox closes.
_LAST_ANSWERS_S: Final = 0.2
_BACKLOG: Final = 1024


class Sandbox:
    """A double of the provider's API; leaving the context closes it.

    Raises ValueError when *settings* cannot be meant. *clock* gives Unix seconds.
    """

    def __init__(self, settings: SandboxSettings | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._api = Api(settings or SandboxSettings(), clock)
        self._leaving = asyncio.Event()
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def account(self) -> Account:
        """Its books."""
        return self._api.account

    @property
    def settings(self) -> SandboxSettings:
        """As they are now."""
        return self._api.settings

    def switch(self, **changes: object) -> None:
        """Change what may be changed while it runs (`SWITCHES`); raises ValueError."""
        self._api.configure(self._api.settings.switched(changes))

    def reset(self) -> None:
        """Forget every call; the settings stay."""
        self._api.reset()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, on a free port when *port* is 0, and return the URL; raises OSError when it cannot."""
        self._web = web.Server(
            self._answer,
            request_factory=_request,
            handler_cancellation=True,  # whoever waits for an answer that never comes is let go when he leaves
            access_log=None,  # URLs hold numbers and texts
            max_line_size=LONGEST_TARGET,
            keepalive_timeout=KEEPALIVE_S,
        )
        self._listener = await asyncio.get_running_loop().create_server(self._web, host, port, backlog=_BACKLOG)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return f"http://{f'[{host}]' if ':' in host else host}:{bound}"

    async def aclose(self) -> None:
        """Stop listening and cut every connection."""
        self._leaving.set()
        if self._listener is not None and self._web is not None:
            self._listener.close()
            await self._web.shutdown(_LAST_ANSWERS_S)
            await self._listener.wait_closed()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        target = request.raw_path
        if target.startswith(PREFIX):
            return await control(request, self._api)
        if target.partition("?")[0] != "/":
            return web.Response(status=HTTPStatus.NOT_FOUND)
        body = await request.read() if request.can_read_body else b""
        arrival = Arrival.of(request.method, target, request.headers, body)
        return await deliver(request, self._api.answer(arrival), self._leaving)


async def serve(settings: SandboxSettings, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Run a sandbox until cancelled; *ready* is told its URL. Raises OSError when it cannot listen."""
    async with Sandbox(settings) as sandbox:
        ready(await sandbox.start(host, port))
        await asyncio.Event().wait()


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LONGEST_BODY)
