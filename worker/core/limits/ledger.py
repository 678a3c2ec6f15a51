"""The ledger: what Redis remembers of each request id, so that none is sent twice unless a policy chose it.

The decisions are atomic in Redis (`limiter/lua/admit.lua` and `record.lua`); here is what they mean, and their laws.

                         claim                        accepted
         (nothing) ──────────────────▶ calling ──────────────────────────▶ sent
             ▲                          │ ▲ │                               ▲
             └── certainly not sent ────┘ │ │ outcome unknown, or the       │ accepted: a caller that was
                 and none unknown before  │ │ lease is over: one unknown    │ taken for dead tells it late
                                          │ ▼ call more                     │
                                       unknown ─────────────────────────────┘
                 claim by a request whose history counts all unknown calls;
                 certainly not sent leads back to unknown

The laws:

* *Calling* is written before the first byte of a call leaves, in the same atomic step that counts the request in its
  windows. It names its claim by a token, which nobody else has, and it has a lease, which is longer than any call.
* A caller that does not know what became of its claim claims again, under the next number: the new claim takes the old
  one's place. Scripts may arrive late and in any order, so what is told of an old claim changes nothing, and an old
  claim that arrives after a newer one is refused.
* A caller that does not tell in time is dead, and its call is as unknown as one that brought no answer.
* Nobody calls while a call is unknown, but a request that knows of it: its history counts every unknown call there was,
  because the lane's policy chose to send it again, or an operator did. Others are told of the unknown call, and come
  to know of it by that.
* *Sent* is for ever, as far as the memory goes: whoever claims is told the first answer.
* A token that is no longer the caller's changes nothing, unless it brings the news that the provider accepted.
* Who is cancelled is refused from then on, the caller that claims again for a claim of which it never heard among them:
  that one it certainly did not use, so it is given back. What was accepted stays so; where a call is unknown, nobody
  can promise that nothing was sent, but no other call is made.
* An id stands for one content. Whoever claims it for another, while a call for the first was accepted or is unknown,
  is refused: the answer that is remembered is not theirs.

Instants and lengths are whole microseconds of Redis' clock.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final, NamedTuple, TypeAlias

import orjson

from worker.core.instant import to_the_millisecond
from worker.core.message.request import SmsRequest
from worker.core.outcome.catalog import Catalog
from worker.core.outcome.outcome import Cancelled, Failed, Sent, Underway

#: Why a call is unknown whose caller never told: a row of the catalogue's local table.
CALLER_LOST: Final = "local.caller_lost"
#: Why a request is refused whose id stands for another content.
ID_REUSED: Final = "local.id_reused"
#: Two contents under one id are taken for one with a probability of 2**-64.
_FINGERPRINT_BYTES: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Token(NamedTuple):
    """Names one claim."""

    #: Nobody else has this name.
    caller: str
    #: From 1, one more with each claim of the caller.
    number: int = 1


#: The token of nobody, who only looks.
NOBODY: Final = Token("", 0)


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else calls, or died doing so less than a lease ago."""

    left: int


@dataclass(frozen=True, slots=True)
class Doubtful:
    """So many earlier calls are unknown, more than the asker's history counts."""

    unknowns: int
    since: int
    code: str


@dataclass(frozen=True, slots=True)
class Reused:
    """The id stands for another content, which was sent or may have been."""


#: What the ledger may know against calling.
Known: TypeAlias = Sent | Busy | Doubtful | Reused | Cancelled


def fingerprint(sms: SmsRequest) -> bytes:
    """Of all that the provider is told of *sms*; deadline, schedule and metadata are between publisher and worker."""
    template = [sms.template.code, sorted(sms.template.params.items())] if sms.template else None
    content = [sms.number, sms.type.value, sms.sender, sms.text, template, sms.task_id]
    return blake2b(orjson.dumps(content), digest_size=_FINGERPRINT_BYTES).digest()


def outcome_of(verdict: Known, catalog: Catalog) -> Sent | Underway | Cancelled | Failed:
    """What *verdict* means for the request that asked."""
    match verdict:
        case Sent() | Cancelled():
            return verdict
        case Reused():
            return catalog.failed(ID_REUSED, called=False)
        case Busy(left):
            return Underway(timedelta(microseconds=left))
        case Doubtful(unknowns, since, code):
            at = to_the_millisecond(_EPOCH + timedelta(microseconds=since))
            detail = f"({code or CALLER_LOST}, called at {at})"
            return replace(catalog.failed(CALLER_LOST, called=True, detail=detail), unknowns=unknowns)
