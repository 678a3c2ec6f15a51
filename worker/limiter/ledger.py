"""The ledger in the language of admit.lua and record.lua."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson

from worker.core.instant import to_the_millisecond
from worker.core.limits.ledger import Busy, Doubtful, Known, Reused, Token, fingerprint
from worker.core.message.decode import Request
from worker.core.outcome.outcome import Acceptance, Accepted, Cancelled, Sent
from worker.errors import LimiterUnavailable
from worker.limiter.border import understood
from worker.limiter.keys import Keys, NumberKeys
from worker.limiter.resp import Argument


class Claim(NamedTuple):
    """What `record` needs to find the claim again."""

    token: Token
    #: Unknown calls in the caller's history.
    counted: int
    #: Of what is sent.
    fingerprint: bytes
    #: Where the ledger has the id.
    entry: bytes
    #: Where the recipient is counted.
    number: NumberKeys
    #: Where it stands when the id or its campaign is cancelled.
    tombstones: tuple[bytes, ...]


class Ledger:
    """How long is remembered, and how long a caller may take."""

    def __init__(self, keys: Keys, memory: timedelta, lease: timedelta) -> None:
        """Remember a request id for *memory*; a caller that does not tell for *lease* is dead."""
        self._keys = keys
        self._memory_s = round(memory.total_seconds())
        self._lease_us = lease // timedelta(microseconds=1)

    def claim(self, request: Request, token: Token) -> Claim:
        """The claim of *token* to *request*."""
        sms, keys = request.sms, self._keys
        entry = keys.entry(sms.id)
        cancelled = keys.cancelled(entry)
        campaign = sms.campaign if sms.metadata else ""
        tombstones = (cancelled, keys.campaign(campaign)) if campaign else (cancelled,)
        return Claim(token, request.history.unknowns, fingerprint(sms), entry, keys.of(sms.number), tombstones)

    def asked(self, claim: Claim, not_after_us: int, *, to_call: bool) -> tuple[Argument, ...]:
        """The ledger's part of what admit.lua is asked; *not_after_us* as there."""
        token, lease_us = claim.token, self._lease_us if to_call else 0
        told = (claim.counted, self._memory_s, claim.fingerprint)
        return (token.caller, token.number, lease_us, *told, not_after_us)

    def told(self, claim: Claim, news: Acceptance | str | None) -> tuple[Argument, ...]:
        """What record.lua is told: the acceptance, why it is unknown, or None: certainly not accepted."""
        token = claim.token
        told = (token.caller, token.number, claim.counted, self._memory_s, claim.fingerprint)
        match news:
            case Acceptance():
                return (*told, "sent", _written(news))
            case None:
                return (*told, "not_sent")
            case code:
                return (*told, "unknown", code)


@understood
def read(reply: list[Any]) -> Known:
    """What the ledger says in admit.lua's *reply*."""
    match reply:
        case [b"SENT", unknowns, answer]:
            return Sent(_read(answer), unknowns)
        case [b"BUSY", left]:
            return Busy(left)
        case [b"UNKNOWN", unknowns, since, code]:
            return Doubtful(unknowns, since, code.decode())
        case [b"REUSED"]:
            return Reused()
        case [b"CANCELLED", unknowns]:
            return Cancelled(unknowns)
        case [b"LATE"]:
            raise LimiterUnavailable("Redis was asked too late: it stood still, or its clock was set forward")
    raise LimiterUnavailable("Redis answered what this version does not know")


def _written(answer: Acceptance) -> bytes:
    of = answer.accepted
    first_tried = to_the_millisecond(answer.first_tried) if answer.first_tried else None
    return orjson.dumps([of.message_id, of.request_id, of.segments, of.country, answer.attempts, first_tried])


def _read(written: bytes) -> Acceptance:
    message_id, request_id, segments, country, attempts, first_tried = orjson.loads(written)
    instant = datetime.fromisoformat(first_tried) if first_tried else None
    return Acceptance(Accepted(message_id, request_id, segments, country), attempts, instant)
