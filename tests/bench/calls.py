"""What a call costs the caller: the provider's client below its signature, next to aiohttp's, in turns.

The peer is a process of its own that answers every request with the same bytes.
"""

import asyncio
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Final, TypeAlias

import aiohttp
import uvloop
from rich.table import Table
from yarl import URL

from tests.certificates import Authority, Pair
from tests.makers import make_request
from worker.provider.http.answer import Answer
from worker.provider.http.pool import Bounds, Peer, Pool
from worker.provider.http.request import post
from worker.provider.parameters import parameters_of
from worker.provider.signature import canonical_query

_CALLS: Final = 10_000
_IN_FLIGHT: Final = 100
_HEADERS: Final = {f"x-acs-{name}": "0" * 32 for name in ("action", "date", "signature-nonce", "version")}
_BODY: Final = b'{"ResponseCode":"OK","MessageId":"100000000000000001","RequestId":"F655A8D5-B967-440B-8683"}'
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json;charset=utf-8\r\n"
    b"Connection: keep-alive\r\nKeep-Alive: timeout=25\r\nAccess-Control-Allow-Origin: *\r\n"
    b"x-acs-request-id: F655A8D5-B967-440B-8683\r\nx-acs-trace-id: 0123456789abcdef\r\nETag: 1a2b3c\r\n"
    b"Content-Length: %d\r\n\r\n%b"
) % (len(_BODY), _BODY)

Call: TypeAlias = Callable[[], Awaitable[None]]


async def table(folder: Path, rounds: int) -> Table:
    """Medians of *rounds*, over plain HTTP and over TLS."""
    shown = Table(title=f"CPU of one call, {_IN_FLIGHT} in flight, medians of {rounds} runs of {_CALLS}")
    for column in ("", "aiohttp us", "ours us", "ratio"):
        shown.add_column(column, justify="right" if column else "left")
    authority = Authority(folder, "bench")
    for scheme, pair in (("http", None), ("https", authority.sign("server", "127.0.0.1"))):
        context = ssl.create_default_context(cafile=authority.certificate) if pair else None
        async with _peer(pair) as port, AsyncExitStack() as stack:
            clients = {
                "aiohttp": await stack.enter_async_context(_aiohttp(f"{scheme}://127.0.0.1:{port}", context)),
                "ours": await stack.enter_async_context(_ours(port, context)),
            }
            costs: dict[str, list[float]] = {name: [] for name in clients}
            for _ in range(rounds + 1):
                for name, call in clients.items():
                    costs[name].append(await _cost_us(call))
        theirs, ours = (median(costs[name][1:]) for name in ("aiohttp", "ours"))  # the first run connects
        shown.add_row(scheme, f"{theirs:.0f}", f"{ours:.0f}", f"{ours / theirs:.2f}")
    return shown


async def _cost_us(call: Call) -> float:
    async def caller() -> None:
        for _ in range(_CALLS // _IN_FLIGHT):
            await call()

    before = time.process_time()
    await asyncio.gather(*(caller() for _ in range(_IN_FLIGHT)))
    return (time.process_time() - before) / _CALLS * 1e6


def _query() -> str:
    return canonical_query(parameters_of(make_request(), 300, None))


@asynccontextmanager
async def _aiohttp(url: str, context: ssl.SSLContext | None) -> AsyncIterator[Call]:
    query = _query()
    base = URL(url)
    connector = aiohttp.TCPConnector(limit=_IN_FLIGHT, keepalive_timeout=15, ssl=context or True)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=13, connect=3, sock_read=10),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "bench"},
        skip_auto_headers=("Content-Type",),
    ) as session:

        async def call() -> None:
            target = URL.build(
                scheme=base.scheme, authority=base.raw_authority, path="/", query_string=query, encoded=True
            )
            async with session.post(target, headers=_HEADERS, allow_redirects=False) as response:
                if await response.read() != _BODY:
                    raise RuntimeError("another answer")

        yield call


@asynccontextmanager
async def _ours(port: int, context: ssl.SSLContext | None) -> AsyncIterator[Call]:
    query = _query()
    headers = {"host": "127.0.0.1", "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "bench"}
    bounds = Bounds(_IN_FLIGHT, 3, 10, 15, 65_536, frozenset({b"x-acs-retry-after"}))
    pool = Pool(Peer("127.0.0.1", port, context), bounds)

    async def call() -> None:
        answer = await pool.exchange(post(query, headers | _HEADERS))
        if not isinstance(answer, Answer) or answer.body != _BODY:
            raise RuntimeError("another answer")

    try:
        yield call
    finally:
        await pool.aclose()


@asynccontextmanager
async def _peer(pair: Pair | None) -> AsyncIterator[int]:
    files = (str(pair.certificate), str(pair.key)) if pair else ()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.calls", *files, stdout=asyncio.subprocess.PIPE
    )
    try:
        if process.stdout is None:
            raise RuntimeError("a pipe was asked for")
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


class _Answers(asyncio.Protocol):
    """A request ends with its headers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        self._write(_ANSWER * len(requests))


async def _serve(*files: str) -> None:
    context = None
    if files:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
    server = await asyncio.get_running_loop().create_server(_Answers, "127.0.0.1", 0, ssl=context)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(*sys.argv[1:]))
