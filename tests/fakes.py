"""In-memory neighbours of the way of a message, each the simplest thing that keeps its Protocol's promise."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.core.decision.feedback import Refused
from worker.core.limits.holds import Hold, HoldName, Refusal
from worker.core.limits.ledger import Known, Token
from worker.core.limits.quota import Admission, Admitted, Grant, Operation, Slots
from worker.core.message.decode import RawMessage, Request
from worker.core.message.lane import Lane
from worker.core.message.request import SmsRequest
from worker.core.outcome.members import BatchReply
from worker.core.outcome.outcome import Acceptance, Fault, OnHold, Reply
from worker.core.outgoing.envelope import Outgoing
from worker.errors import LimiterUnavailable

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OK = Reply(200, "OK", message_id="1008", request_id="R-1", segments=1)


class FakeClock:
    """A wall clock that stands still until it is told to go."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, step: timedelta) -> None:
        self.now += step


@dataclass
class RecordingEvents:
    """Remembers what was told."""

    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def emit(self, name: str, /, **fields: Any) -> None:
        self.told.append((name, fields))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [fields for told, fields in self.told if told == name]


@dataclass
class FakeHolds:
    """Remembers what it was taught; nothing is held unless a test says so."""

    taught: list[tuple[str, Any]]
    #: What is held after a refusal.
    hold: Hold | None = None
    began: bool = True
    #: It takes more refusals.
    refuse_only: bool = False
    #: What stands against every request.
    met: OnHold | None = None

    async def refused(self, refused: Refused) -> Refusal:
        self.taught.append(("refused", refused))
        if self.refuse_only:
            return Refusal(None)
        return Refusal(self.hold or Hold(refused.name, refused.code, 0.0, 5.0), self.began)

    async def undecided(self, name: HoldName) -> None:
        self.taught.append(("undecided", name))

    async def unprobed(self, name: HoldName) -> None:
        self.taught.append(("unprobed", name))

    async def works(self, name: HoldName, *, probed: bool) -> Hold | None:
        if not probed:
            return None
        self.taught.append(("works", name))
        return Hold(name, "AMOUNT_NOT_ENOUGH", 60.0)

    async def list(self) -> Sequence[Hold]:
        return [self.hold] if self.hold else []

    def on_hold(self, sms: SmsRequest) -> OnHold | None:
        return self.met


@dataclass
class FakeCallSize:
    """As large as a test says; remembers what it was told."""

    bytes: int = 100_000
    told: list[tuple[str, int]] = field(default_factory=list)

    async def most(self) -> int:
        return self.bytes

    async def accepted(self, size: int) -> None:
        self.told.append(("accepted", size))

    async def refused(self, size: int, *, certainly: bool) -> None:
        self.told.append(("refused" if certainly else "cut", size))


@dataclass
class FakeLimiter:
    """Grants whatever is asked, unless a test says otherwise."""

    grants: list[Grant | LimiterUnavailable] = field(default_factory=list)
    admissions: list[Admission | LimiterUnavailable] = field(default_factory=list)
    asked: list[tuple[Operation, Lane, int]] = field(default_factory=list)
    admitted: list[Request] = field(default_factory=list)
    #: What was told of each claim: the acceptance, the code of an unknown call, or None.
    recorded: list[tuple[Request, Acceptance | str | None]] = field(default_factory=list)
    #: What the ledger knows of a request id besides.
    known: dict[str, Known] = field(default_factory=dict)
    #: Whether telling fails.
    forgetful: bool = False
    tokens: list[Token] = field(default_factory=list)
    #: How long each request said that it can wait.
    lefts: list[timedelta] = field(default_factory=list)
    taught: list[tuple[str, Any]] = field(default_factory=list)
    #: Cleared, nothing is granted until it is set.
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()
        self.holds = FakeHolds(self.taught)
        self.call_size = FakeCallSize()

    async def grant(self, operation: Operation, lane: Lane, want: int) -> Grant:
        self.asked.append((operation, lane, want))
        await self.open.wait()
        answer = self.grants.pop(0) if self.grants else Slots((0.0,) * want)
        if isinstance(answer, LimiterUnavailable):
            raise answer
        return answer

    async def admit(
        self, request: Request, token: Token, *, left: timedelta = timedelta(0), probe: bool = False
    ) -> Admission:
        self.admitted.append(request)
        self.tokens.append(token)
        self.lefts.append(left)
        answer = self.admissions.pop(0) if self.admissions else self.known.get(request.sms.id, Admitted(request))
        if isinstance(answer, LimiterUnavailable):
            raise answer
        return answer

    async def recall(self, request: Request) -> Known | None:
        if self.forgetful:
            raise LimiterUnavailable("gone")
        return self.known.get(request.sms.id)

    async def record(self, admitted: Admitted, news: Acceptance | str | None) -> int:
        if self.forgetful:
            raise LimiterUnavailable("gone")
        assert isinstance(admitted.claim, Request)
        self.recorded.append((admitted.claim, news))
        return admitted.claim.history.unknowns + isinstance(news, str)

    async def close(self, number: str, code: str, length: timedelta) -> None:
        self.taught.append(("close", (number, code, length)))

    @property
    def given_back(self) -> list[str]:
        """Ids of the requests that were certainly not accepted."""
        return [request.sms.id for request, news in self.recorded if news is None]

    async def throttled(self, operation: Operation, retry_after_s: float | None) -> None:
        self.taught.append(("throttled", (operation, retry_after_s)))


@dataclass
class FakeProvider:
    """Answers OK, or what the test says for a request id."""

    answers: dict[str, Reply | Fault | Exception] = field(default_factory=dict)
    #: What calls with several messages are answered, in their order; then everything is accepted.
    batch_answers: list[BatchReply | Fault | Exception] = field(default_factory=list)
    sent: list[Request] = field(default_factory=list)
    #: The requests of each call with several messages, and its task id.
    batches: list[tuple[Sequence[Request], str]] = field(default_factory=list)
    base_size: int = 100
    validities: list[int] = field(default_factory=list)
    #: Cleared, calls hang until it is set.
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def send(self, request: Request, validity_s: int) -> Reply | Fault:
        self.sent.append(request)
        self.validities.append(validity_s)
        await self.open.wait()
        answer = self.answers.get(request.sms.id, OK)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send_batch(self, requests: Sequence[Request], validity_s: int, task_id: str) -> BatchReply | Fault:
        self.batches.append((requests, task_id))
        self.validities.append(validity_s)
        await self.open.wait()
        if not self.batch_answers:
            return BatchReply(OK._replace(message_id=None, segments=None), success_count=len(requests))
        answer = self.batch_answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def size_of(self, request: Request) -> int:
        return len(request.sms.text or "") + len(request.sms.number)

    @property
    def sent_ids(self) -> list[str]:
        return [request.sms.id for request in self.sent]


@dataclass(frozen=True)
class FakeDelivery:
    """A delivery from nowhere."""

    raw: RawMessage
    redelivered: bool = False
    deliveries: int = 0
    is_open: bool = True


@dataclass
class FakeSettler:
    """Remembers how each delivery was settled; refuses when the test says so."""

    handed_over: list[tuple[FakeDelivery, Outgoing]] = field(default_factory=list)
    given_back: list[FakeDelivery] = field(default_factory=list)
    refuse: Callable[[], Exception | None] = lambda: None

    async def publish_and_ack(self, delivery: Any, message: Outgoing) -> None:
        if (error := self.refuse()) is not None:
            raise error
        self.handed_over.append((delivery, message))

    async def requeue(self, delivery: Any) -> None:
        self.given_back.append(delivery)
