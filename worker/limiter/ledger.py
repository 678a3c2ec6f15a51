"""The ledger in the language of admit.lua and record.lua."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from worker.core.decode import Request
from worker.core.ledger import Busy, Doubtful
from worker.core.outcome import Accepted, Answer, Sent
from worker.errors import LimiterUnavailable
from worker.limiter.batcher import Argument
from worker.limiter.keys import Keys

#: What is asked for when nobody wants to call.
NOBODY: Final = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What `record` needs to find the claim of one caller again."""

    token: str
    #: Unknown calls in the caller's history.
    counted: int
    keys: tuple[bytes, bytes, bytes]


class Ledger:
    """How long is remembered, and how long a caller may take."""

    def __init__(self, keys: Keys, memory: timedelta, lease: timedelta) -> None:
        """Remember a request id for *memory*; a caller that does not tell for *lease* is dead."""
        self._keys = keys
        self._memory_s = round(memory.total_seconds())
        self._lease_us = lease // timedelta(microseconds=1)

    def claim(self, request: Request, token: str) -> Claim:
        """The claim of *token* to *request*."""
        number = request.sms.number
        keys = (self._keys.entry(request.sms.id), self._keys.recipient(number), self._keys.caps)
        return Claim(token, request.history.unknowns, keys)

    def asked(self, claim: Claim, *, to_call: bool) -> tuple[Argument, ...]:
        """The ledger's part of what admit.lua is asked."""
        return (claim.token, self._lease_us if to_call else 0, claim.counted, self._memory_s)

    def told(self, claim: Claim, news: Answer | str | None) -> tuple[Argument, ...]:
        """What record.lua is told: the acceptance, why it is unknown, or None: certainly not accepted."""
        match news:
            case Answer():
                return (claim.token, claim.counted, self._memory_s, "sent", _written(news))
            case None:
                return (claim.token, claim.counted, self._memory_s, "not_sent")
            case code:
                return (claim.token, claim.counted, self._memory_s, "unknown", code)


def read(reply: list[Any]) -> Sent | Busy | Doubtful:
    """What the ledger says in admit.lua's *reply*."""
    match reply:
        case [b"SENT", unknowns, answer]:
            return Sent(_read(answer), unknowns)
        case [b"BUSY", left]:
            return Busy(left)
        case [b"UNKNOWN", unknowns, since, code]:
            return Doubtful(unknowns, since, code.decode())
    raise LimiterUnavailable("Redis answered what this version does not know")


def _written(answer: Answer) -> bytes:
    of = answer.accepted
    first_tried = answer.first_tried.isoformat(timespec="milliseconds") if answer.first_tried else None
    return orjson.dumps([of.message_id, of.request_id, of.segments, of.country, answer.attempts, first_tried])


def _read(written: bytes) -> Answer:
    message_id, request_id, segments, country, attempts, first_tried = orjson.loads(written)
    instant = datetime.fromisoformat(first_tried) if first_tried else None
    return Answer(Accepted(message_id, request_id, segments, country), attempts, instant)
