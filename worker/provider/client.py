"""One signed call to the provider over a pooled keep-alive connection.

Every failure is a value. What matters is whether a byte of the call may have left: only then may the message have been
accepted, because the provider knows no idempotency key. So nothing that may have left is ever tried again here. Nor is
what was not reached: a slot of the quota is for one call, and trying later is the business of the delay queues.
"""

import math
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from worker import __version__
from worker.core.limits.quota import Operation
from worker.core.message.decode import Request
from worker.core.outcome.outcome import Fault, Reply
from worker.ports import Events
from worker.provider.credentials import Credentials, credentials_of
from worker.provider.parameters import parameters_of
from worker.provider.replies import MOST_BYTES, read_reply
from worker.provider.signature import AccessKey, signed
from worker.settings.sections import ProviderSettings

#: Seconds that an address of the provider is remembered: new connections are rare, its addresses change.
_DNS_TTL_S: Final = 60
#: Codes after which other keys are looked for.
_REFUSED_KEY: Final = ("InvalidSecurityToken", "InvalidAccessKeyId")

#: Failures before the first byte.
_NOTHING_SENT: Final = (
    aiohttp.ClientConnectorError,  # refused, unreachable, no such name, TLS and certificates
    aiohttp.ConnectionTimeoutError,
)


def _now() -> datetime:
    return datetime.now(UTC)


def _nonce() -> str:
    return secrets.token_hex(16)


class Client:
    """The provider's API; implements `worker.ports.Provider`."""

    def __init__(
        self,
        settings: ProviderSettings,
        events: Events,
        *,
        credentials: Credentials | None = None,
        now: Callable[[], datetime] = _now,
        nonce: Callable[[], str] = _nonce,
    ) -> None:
        """Call as *settings* say, with keys of *credentials* (default: as *settings* say, too)."""
        self._settings = settings
        self._credentials = credentials or credentials_of(settings, events)
        self._now = now
        self._nonce = nonce
        self._base = URL(settings.endpoint)
        self._host = self._base.host_port_subcomponent or ""
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Look for keys and open the pool; no connection is made yet."""
        settings = self._settings
        connect_s, read_s = settings.connect_timeout.total_seconds(), settings.read_timeout.total_seconds()
        # The limit of the whole call ends an answer that drips. It is the sum of its parts, and none is rounded up as
        # aiohttp would: so it never strikes before the connect timeout, which tells that nothing was sent.
        timeout = aiohttp.ClientTimeout(
            total=connect_s + read_s, connect=connect_s, sock_read=read_s, ceil_threshold=math.inf
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.concurrency,
                keepalive_timeout=settings.keepalive.total_seconds(),
                ttl_dns_cache=_DNS_TTL_S,
            ),
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            # No compression: an answer is a few hundred bytes, and a bomb would be unpacked before it is measured.
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"sms-worker/{__version__}",
            },
            skip_auto_headers=("Content-Type",),
            # Proxies and .netrc of the environment would cost a thread hop for every call.
            trust_env=False,
        )
        await self._credentials.start()

    async def aclose(self) -> None:
        """Close every connection; a call that is still in flight ends as cut."""
        await self._credentials.aclose()
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def send(self, request: Request, validity_s: int) -> Reply | Fault:
        """Make one call; failures are values, but for a bug of ours that shows before the first byte is written.

        When the connection that was kept was just closing under the call, another one takes its place, at once.
        """
        session, key = self._session, self._credentials.key
        if session is None or session.closed or key is None:
            return Fault.NOT_REACHED
        operation = Operation.of(request.sms)
        parameters = parameters_of(request, validity_s, self._settings.channel_id)
        answer = await self._call(session, key, operation, parameters)
        if answer is None:
            answer = await self._call(session, key, operation, parameters) or Fault.NOT_REACHED
        if isinstance(answer, Reply) and answer.code is not None and answer.code.startswith(_REFUSED_KEY):
            self._credentials.stale(key)
        return answer

    async def _call(
        self, session: aiohttp.ClientSession, key: AccessKey, operation: Operation, parameters: dict[str, str]
    ) -> Reply | Fault | None:
        """Sign and make one call; None when its connection was closing already, and aiohttp did not write to it.

        aiohttp puts the URL, and so the number and the text, into the texts of its exceptions: none may leave here.
        """
        query, headers = signed(
            operation.value, parameters, host=self._host, key=key, instant=self._now(), nonce=self._nonce()
        )
        url = URL.build(
            scheme=self._base.scheme, authority=self._base.raw_authority, path="/", query_string=query, encoded=True
        )
        if not "".join(headers.values()).isprintable():  # aiohttp would find it only while it writes
            raise ValueError("a header of the call has a character that no header may hold")
        try:
            async with session.post(url, headers=headers, allow_redirects=False) as response:
                body = await _read(response.content)
        except aiohttp.ClientConnectionResetError:
            return None
        except _NOTHING_SENT:
            return Fault.NOT_REACHED
        except TimeoutError:
            return Fault.TIMEOUT
        except Exception:  # noqa: BLE001 - whatever a peer makes the library raise, bytes may have left
            return Fault.CONNECTION_CUT
        return read_reply(response.status, response.headers, body)


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The body, or as much of it as shows that it is too long to be an answer of the provider."""
    body = b""
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            break
    return body
