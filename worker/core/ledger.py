"""The ledger: what Redis remembers of each request id, so that none is sent twice unless a policy chose it.

This is the model of `limiter/admit.lua` and `limiter/record.lua`: the same decisions in the same order, so a test can
feed both the same sequence and expect equal answers.

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
* An id stands for one content. Whoever claims it for another, while a call for the first was accepted or is unknown,
  is refused: the answer that is remembered is not theirs.

Instants and lengths are whole microseconds of Redis' clock.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Final, TypeAlias

import orjson

from worker.core.catalog import Catalog
from worker.core.outcome import Answer, Failed, Sent, Underway
from worker.core.request import SmsRequest

#: Why a call is unknown whose caller never told: a row of the catalogue's local table.
CALLER_LOST: Final = "local.caller_lost"
#: Why a request is refused whose id stands for another content.
ID_REUSED: Final = "local.id_reused"
#: Two contents under one id are taken for one with a probability of 2**-64.
_FINGERPRINT_BYTES: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class State(StrEnum):
    """What is known of a request id."""

    CALLING = "calling"
    SENT = "sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Token:
    """Names one claim."""

    #: Nobody else has this name.
    caller: str
    #: From 1, one more with each claim of the caller.
    number: int = 1


#: The token of nobody, who only looks.
NOBODY: Final = Token("", 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of one request id."""

    state: State
    #: The latest claim.
    token: Token = NOBODY
    #: Of the content that the id stands for; empty when it is not known.
    fingerprint: bytes = b""
    #: When the latest caller is taken for dead.
    until: int = 0
    #: When its call began.
    began: int = 0
    #: Calls whose outcome stayed unknown.
    unknowns: int = 0
    #: When the latest of them began, and why it is unknown.
    since: int = 0
    code: str = ""
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The asker may call, and nobody else until it tells or its lease is over."""


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
Known: TypeAlias = Sent | Busy | Doubtful | Reused
Verdict: TypeAlias = Claimed | Known


def fingerprint(sms: SmsRequest) -> bytes:
    """Of all that the provider is told of *sms*; deadline, schedule and metadata are between publisher and worker."""
    template = [sms.template.code, sorted(sms.template.params.items())] if sms.template else None
    content = [sms.number, sms.type.value, sms.sender, sms.text, template, sms.task_id]
    return blake2b(orjson.dumps(content), digest_size=_FINGERPRINT_BYTES).digest()


def claim(
    entry: Entry | None, token: Token, counted: int, now: int, lease: int, of: bytes = b""
) -> tuple[Entry, Verdict]:
    """Ask to call.

    Args:
        entry: What is remembered.
        token: Of this claim; a later one of the same caller takes its place, and renews the lease.
        counted: Unknown calls in the asker's history.
        now: Redis' clock.
        lease: How long the caller may take.
        of: Fingerprint of the content.
    """
    entry = _settled(entry, token, now)
    if entry is None:
        return Entry(State.CALLING, token, of, now + lease, now, counted), Claimed()
    if entry.state is State.CALLING and not _takes_over(entry, token):
        return entry, Busy(max(entry.until - now, 0))
    if _is_reused(entry, of):
        return entry, Reused()
    if entry.state is State.SENT and entry.answer is not None:
        return entry, Sent(entry.answer, entry.unknowns)
    if entry.state is State.UNKNOWN and entry.unknowns > counted:
        return entry, Doubtful(entry.unknowns, entry.since, entry.code)
    unknowns = max(entry.unknowns, counted)
    claimed = replace(entry, state=State.CALLING, token=token, until=now + lease, began=now, unknowns=unknowns)
    return replace(claimed, fingerprint=entry.fingerprint or of), Claimed()


def recall(entry: Entry | None, counted: int, now: int, of: bytes = b"") -> tuple[Entry | None, Known | None]:
    """Look without wanting to call; None says that nothing stands in the way of giving the request up."""
    entry = _settled(entry, NOBODY, now)
    if entry is None:
        return None, None
    _, verdict = claim(entry, NOBODY, counted, now, 0, of)
    return entry, None if isinstance(verdict, Claimed) else verdict


def accepted(entry: Entry | None, answer: Answer, of: bytes = b"") -> Entry:
    """The provider accepted a call, whosever. The first acceptance stays; *of* is the fingerprint of what it took."""
    if entry is None:  # Redis was emptied meanwhile
        return Entry(State.SENT, fingerprint=of, answer=answer)
    if entry.state is State.SENT:
        return entry
    return Entry(State.SENT, fingerprint=of, unknowns=entry.unknowns, answer=answer)


def unknown(entry: Entry | None, token: Token, counted: int, code: str, now: int, of: bytes = b"") -> Entry:
    """Nobody knows whether the provider accepted *token*'s call; *counted* and *of* as in `claim`."""
    if entry is None:
        return Entry(State.UNKNOWN, fingerprint=of, since=now, unknowns=counted + 1, code=code)
    return _doubted(entry, code) if _is_callers(entry, token) else entry


def not_sent(entry: Entry | None, token: Token) -> Entry | None:
    """*token*'s call was not made, or certainly not accepted: what was known before it is what is known now."""
    if entry is None or not _is_callers(entry, token):
        return entry
    return _at_rest(entry) if entry.unknowns else None


def outcome_of(verdict: Known, catalog: Catalog) -> Sent | Underway | Failed:
    """What *verdict* means for the request that asked."""
    match verdict:
        case Sent():
            return verdict
        case Reused():
            return catalog.failed(ID_REUSED, called=False)
        case Busy(left):
            return Underway(timedelta(microseconds=left))
        case Doubtful(unknowns, since, code):
            at = (_EPOCH + timedelta(microseconds=since)).isoformat(timespec="milliseconds")
            detail = f"({code or CALLER_LOST}, called at {at})"
            return replace(catalog.failed(CALLER_LOST, called=True, detail=detail), unknowns=unknowns)


def _settled(entry: Entry | None, token: Token, now: int) -> Entry | None:
    """*entry* without a caller that is dead; the one that asks is not."""
    if entry is None or entry.state is not State.CALLING or entry.until > now or entry.token.caller == token.caller:
        return entry
    return _doubted(entry, CALLER_LOST)


def _doubted(entry: Entry, code: str) -> Entry:
    return _at_rest(replace(entry, unknowns=entry.unknowns + 1, since=entry.began, code=code))


def _at_rest(entry: Entry) -> Entry:
    return replace(entry, state=State.UNKNOWN, token=NOBODY, until=0, began=0)


def _is_callers(entry: Entry, token: Token) -> bool:
    return entry.state is State.CALLING and entry.token == token


def _takes_over(entry: Entry, token: Token) -> bool:
    """Whether *token* is a later claim of the same caller; an earlier one comes late, and nobody waits for it."""
    return entry.token.caller == token.caller and token.number > entry.token.number


def _is_reused(entry: Entry, of: bytes) -> bool:
    """An entry of an older version has no fingerprint, and a claim none where nobody cares."""
    return entry.fingerprint != of and bool(entry.fingerprint) and bool(of)
