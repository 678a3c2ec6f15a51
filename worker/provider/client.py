"""Signed calls to the provider over a pooled keep-alive connection.

Every failure is a value. What matters is whether a byte of the call may have left: only then may the message have been
accepted, because the provider knows no idempotency key. So nothing that may have left is ever tried again here. Nor is
what was not reached: a slot of the quota is for one call, and trying later is the business of the delay queues.
"""

import random
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from worker import __version__
from worker.core.limits.quota import Operation
from worker.core.message.decode import Request
from worker.core.outcome.members import BatchReply
from worker.core.outcome.outcome import Fault, Reply
from worker.ports import Events
from worker.provider.credentials import Credentials, credentials_of
from worker.provider.http.answer import Answer
from worker.provider.http.pool import Bounds, Peer, Pool
from worker.provider.http.request import head, post
from worker.provider.parameters import base_size, batch_parameters, member_size, parameters_of
from worker.provider.replies import MOST_BATCH_BYTES, RETRY_AFTER, read_batch_reply, read_reply
from worker.provider.signature import AccessKey, canonical_query, signed
from worker.settings.address import ENDPOINT, Address, parse
from worker.settings.sections import BatchSettings, ProviderSettings

#: The headers that no call changes.
_ALWAYS: Final = head(
    {
        "Accept": "application/json",
        # No compression: an answer is a few hundred bytes, and a bomb would be unpacked before it is measured.
        "Accept-Encoding": "identity",
        "User-Agent": f"sms-worker/{__version__}",
    }
)
_PORTS: Final = {"http": 80, "https": 443}
#: Codes after which other keys are looked for.
_REFUSED_KEY: Final = ("InvalidSecurityToken", "InvalidAccessKeyId")
#: Bytes of the line of a request that has its parameters there, without them.
_REQUEST_LINE: Final = len("POST /? HTTP/1.1\r\n")


def _now() -> datetime:
    return datetime.now(UTC)


class Client:
    """The provider's API; implements `worker.ports.Provider`."""

    def __init__(
        self,
        settings: ProviderSettings,
        events: Events,
        *,
        batch: BatchSettings | None = None,
        credentials: Credentials | None = None,
        now: Callable[[], datetime] = _now,
        nonce: Callable[[], str] | None = None,
    ) -> None:
        """Call as *settings* say, with keys of *credentials* (default: as *settings* say, too).

        Calls with several messages are made as *batch* says.
        """
        self._settings = settings
        self._is_form = (batch or BatchSettings()).parameters == "form"
        #: Bytes of the line, or of the body, of a call with several messages without any of them, at most.
        self.base_size: Final = base_size(settings.channel_id) + (0 if self._is_form else _REQUEST_LINE)
        self._credentials = credentials or credentials_of(settings, events)
        self._now = now
        self._nonce = nonce or _nonces()
        self._endpoint = parse(settings.endpoint, ENDPOINT)
        self._host = _host_header(self._endpoint)
        self._pool: Pool | None = None

    async def start(self) -> None:
        """Look for keys and open the pool; no connection is made yet."""
        self._pool = Pool(_peer(self._endpoint), _bounds(self._settings))
        await self._credentials.start()

    async def aclose(self) -> None:
        """Close every connection; a call that is still in flight ends as cut."""
        await self._credentials.aclose()
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None

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
        key = self._credentials.key
        if key is None:
            return Fault.NOT_REACHED
        parameters = parameters_of(request, validity_s, self._settings.channel_id)
        answer = await self._answer(key, Operation.of(request.sms), parameters)
        if isinstance(answer, Fault):
            return answer
        reply = read_reply(answer.status, answer.headers, answer.body)
        self._look_at(key, reply)
        return reply

    async def send_batch(self, requests: Sequence[Request], validity_s: int, task_id: str) -> BatchReply | Fault:
        """Make one call for all of *requests*; otherwise as `send`.

        Args:
            requests: Free texts of one type and sender, at least one, each to another number.
            validity_s: How long the messages are of use.
            task_id: Comes back in the receipt of each.
        """
        key = self._credentials.key
        if key is None:
            return Fault.NOT_REACHED
        parameters = batch_parameters(requests, validity_s, self._settings.channel_id, task_id)
        form = canonical_query(parameters).encode("ascii") if self._is_form else b""
        answer = await self._answer(key, Operation.BATCH, {} if form else parameters, form)
        if isinstance(answer, Fault):
            return answer
        batch = read_batch_reply(answer.status, answer.headers, answer.body)
        self._look_at(key, batch.reply)
        return batch

    def size_of(self, request: Request) -> int:
        """Bytes that *request* adds to the parameters of a call with several messages, as they are sent."""
        return member_size(request.sms)

    async def _answer(
        self, key: AccessKey, operation: Operation, parameters: Mapping[str, str], form: bytes = b""
    ) -> Answer | Fault:
        """Make a call of *operation*, again when its connection was closing already."""
        pool = self._pool
        if pool is None:
            return Fault.NOT_REACHED
        answer = await self._call(pool, key, operation, parameters, form)
        if answer is None:
            answer = await self._call(pool, key, operation, parameters, form) or Fault.NOT_REACHED
        return answer

    async def _call(
        self, pool: Pool, key: AccessKey, operation: Operation, parameters: Mapping[str, str], form: bytes
    ) -> Answer | Fault | None:
        """Sign and make one call; None when its connection was closing already, and nothing was written to it."""
        query, headers = signed(
            operation.value, parameters, host=self._host, key=key, instant=self._now(), nonce=self._nonce(), form=form
        )
        request = post(query, headers, _ALWAYS, form)
        try:
            return await pool.exchange(request)
        except Exception:  # noqa: BLE001 - nothing is raised there; if it is all the same, bytes may have left
            return Fault.CONNECTION_CUT

    def _look_at(self, key: AccessKey, reply: Reply) -> None:
        """Look for other keys when *reply* refuses *key*."""
        if reply.code is not None and reply.code.startswith(_REFUSED_KEY):
            self._credentials.stale(key)


def _nonces() -> Callable[[], str]:
    """Make a source of nonces, seeded by the operating system: one that two processes share would repeat itself.

    It is not asked for secrets: a nonce must be new, it need not be hidden.
    """
    dice = random.Random()  # noqa: S311 - see above
    return lambda: f"{dice.getrandbits(128):032x}"


def _host_header(endpoint: Address) -> str:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return host if endpoint.port in {None, _PORTS[endpoint.scheme]} else f"{host}:{endpoint.port}"


def _peer(endpoint: Address) -> Peer:
    context = None
    if endpoint.scheme == "https":
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
    return Peer(endpoint.host, endpoint.port or _PORTS[endpoint.scheme], context)


def _bounds(settings: ProviderSettings) -> Bounds:
    return Bounds(
        connections=settings.concurrency,
        connect_s=settings.connect_timeout.total_seconds(),
        read_s=settings.read_timeout.total_seconds(),
        keepalive_s=settings.keepalive.total_seconds(),
        most_body=MOST_BATCH_BYTES,
        headers=frozenset({RETRY_AFTER.encode()}),
    )
