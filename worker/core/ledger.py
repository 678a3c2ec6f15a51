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
  windows. It names its caller by a token, which nobody else has, and it has a lease, which is longer than any call.
* A caller that does not tell in time is dead, and its call is as unknown as one that brought no answer.
* Nobody calls while a call is unknown, but a request that knows of it: its history counts every unknown call there was,
  because the lane's policy chose to send it again, or an operator did. Others are told of the unknown call, and come
  to know of it by that.
* *Sent* is for ever, as far as the memory goes: whoever claims is told the first answer.
* A token that is no longer the caller's changes nothing, unless it brings the news that the provider accepted.

Instants and lengths are whole microseconds of Redis' clock.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from worker.core.catalog import Catalog
from worker.core.outcome import Answer, Failed, Sent, Underway

#: Why a call is unknown whose caller never told: a row of the catalogue's local table.
CALLER_LOST: Final = "local.caller_lost"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class State(StrEnum):
    """What is known of a request id."""

    CALLING = "calling"
    SENT = "sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of one request id."""

    state: State
    #: The latest caller.
    token: str = ""
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


Verdict: TypeAlias = Claimed | Sent | Busy | Doubtful


def claim(entry: Entry | None, token: str, counted: int, now: int, lease: int) -> tuple[Entry, Verdict]:
    """Ask to call; *counted* are the unknown calls in the asker's history. A repeated claim renews the lease."""
    entry = _settled(entry, token, now)
    if entry is None:
        return Entry(State.CALLING, token, now + lease, now, counted), Claimed()
    if entry.state is State.SENT and entry.answer is not None:
        return entry, Sent(entry.answer, entry.unknowns)
    if entry.state is State.CALLING and entry.token != token:
        return entry, Busy(entry.until - now)
    if entry.state is State.UNKNOWN and entry.unknowns > counted:
        return entry, Doubtful(entry.unknowns, entry.since, entry.code)
    unknowns = max(entry.unknowns, counted)
    return replace(entry, state=State.CALLING, token=token, until=now + lease, began=now, unknowns=unknowns), Claimed()


def recall(entry: Entry | None, counted: int, now: int) -> tuple[Entry | None, Verdict | None]:
    """Look without wanting to call; None says that nothing stands in the way of giving the request up."""
    entry = _settled(entry, "", now)
    if entry is None or (entry.state is State.UNKNOWN and entry.unknowns <= counted):
        return entry, None
    return claim(entry, "", counted, now, 0)


def accepted(entry: Entry | None, answer: Answer) -> Entry:
    """The provider accepted a call, whosever. The first acceptance stays."""
    if entry is None:  # Redis was emptied meanwhile
        return Entry(State.SENT, answer=answer)
    return entry if entry.state is State.SENT else Entry(State.SENT, unknowns=entry.unknowns, answer=answer)


def unknown(entry: Entry | None, token: str, counted: int, code: str, now: int) -> Entry:
    """Nobody knows whether the provider accepted *token*'s call; *counted* as in `claim`."""
    if entry is None:
        return Entry(State.UNKNOWN, since=now, unknowns=counted + 1, code=code)
    return _doubted(entry, code) if _is_callers(entry, token) else entry


def not_sent(entry: Entry | None, token: str) -> Entry | None:
    """*token*'s call was not made, or certainly not accepted: what was known before it is what is known now."""
    if entry is None or not _is_callers(entry, token):
        return entry
    return _at_rest(entry) if entry.unknowns else None


def outcome_of(verdict: Sent | Busy | Doubtful, catalog: Catalog) -> Sent | Underway | Failed:
    """What *verdict* means for the request that asked."""
    match verdict:
        case Sent():
            return verdict
        case Busy(left):
            return Underway(timedelta(microseconds=left))
        case Doubtful(unknowns, since, code):
            at = (_EPOCH + timedelta(microseconds=since)).isoformat(timespec="milliseconds")
            detail = f"({code or CALLER_LOST}, called at {at})"
            return replace(catalog.failed(CALLER_LOST, called=True, detail=detail), unknowns=unknowns)


def _settled(entry: Entry | None, token: str, now: int) -> Entry | None:
    """*entry* without a caller that is dead; the one that asks is not."""
    if entry is None or entry.state is not State.CALLING or entry.until > now or entry.token == token:
        return entry
    return _doubted(entry, CALLER_LOST)


def _doubted(entry: Entry, code: str) -> Entry:
    return _at_rest(replace(entry, unknowns=entry.unknowns + 1, since=entry.began, code=code))


def _at_rest(entry: Entry) -> Entry:
    return replace(entry, state=State.UNKNOWN, token="", until=0, began=0)


def _is_callers(entry: Entry, token: str) -> bool:
    return entry.state is State.CALLING and entry.token == token
