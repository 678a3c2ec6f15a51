"""The model of the ledger: the decisions of `admit.lua` and `record.lua` in `limiter/lua`, in the same order.

A test can feed both the same sequence and expect equal answers. The laws stand in `core/limits/ledger.py`. Instants and
lengths are whole microseconds of Redis' clock.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from worker.core.limits.cancels import Cancel
from worker.core.limits.ledger import CALLER_LOST, NOBODY, Busy, Doubtful, Known, Reused, Token
from worker.core.outcome.outcome import Acceptance, Cancelled, Sent


class State(StrEnum):
    """What is known of a request id."""

    CALLING = "calling"
    SENT = "sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
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
    answer: Acceptance | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The asker may call, and nobody else until it tells or its lease is over."""


Verdict: TypeAlias = Claimed | Known


def claim(
    entry: LedgerEntry | None, token: Token, counted: int, now: int, lease: int, of: bytes = b""
) -> tuple[LedgerEntry, Verdict]:
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
        return LedgerEntry(State.CALLING, token, of, now + lease, now, counted), Claimed()
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


def refuse(
    entry: LedgerEntry | None, token: Token, counted: int, now: int, of: bytes = b""
) -> tuple[LedgerEntry | None, Known]:
    """Ask to call, or only look (as `NOBODY`), when the id or its campaign is cancelled: nobody may call.

    Whoever claims again did not call for its earlier claim, of which it never heard: that is given back.
    """
    entry = _settled(entry, token, now)
    if entry is None:
        return None, Cancelled(counted)
    _, verdict = claim(entry, token, counted, now, 0, of)
    if isinstance(verdict, Claimed | Doubtful):
        return not_sent(entry, entry.token), Cancelled(max(entry.unknowns, counted))
    return entry, verdict


def cancel(entry: LedgerEntry | None, now: int) -> Cancel:
    """What the cancel of an id does to it; from now on it is refused, unless it was sent."""
    if entry is None:
        return Cancel.CANCELLED
    if entry.state is State.SENT:
        return Cancel.SENT
    return Cancel.CALLING if entry.state is State.CALLING and entry.until > now else Cancel.UNKNOWN


def recall(
    entry: LedgerEntry | None, counted: int, now: int, of: bytes = b""
) -> tuple[LedgerEntry | None, Known | None]:
    """Look without wanting to call; None says that nothing stands in the way of giving the request up."""
    entry = _settled(entry, NOBODY, now)
    if entry is None:
        return None, None
    _, verdict = claim(entry, NOBODY, counted, now, 0, of)
    return entry, None if isinstance(verdict, Claimed) else verdict


def accepted(entry: LedgerEntry | None, answer: Acceptance, of: bytes = b"") -> LedgerEntry:
    """The provider accepted a call, whosever. The first acceptance stays; *of* is the fingerprint of what it took."""
    if entry is None:  # Redis was emptied meanwhile
        return LedgerEntry(State.SENT, fingerprint=of, answer=answer)
    if entry.state is State.SENT:
        return entry
    return LedgerEntry(State.SENT, fingerprint=of, unknowns=entry.unknowns, answer=answer)


def unknown(entry: LedgerEntry | None, token: Token, counted: int, code: str, now: int, of: bytes = b"") -> LedgerEntry:
    """Nobody knows whether the provider accepted *token*'s call; *counted* and *of* as in `claim`."""
    if entry is None:
        return LedgerEntry(State.UNKNOWN, fingerprint=of, since=now, unknowns=counted + 1, code=code)
    return _doubted(entry, code) if _is_callers(entry, token) else entry


def not_sent(entry: LedgerEntry | None, token: Token) -> LedgerEntry | None:
    """*token*'s call was not made, or certainly not accepted: what was known before it is what is known now."""
    if entry is None or not _is_callers(entry, token):
        return entry
    return _at_rest(entry) if entry.unknowns else None


def _settled(entry: LedgerEntry | None, token: Token, now: int) -> LedgerEntry | None:
    """*entry* without a caller that is dead; the one that asks is not."""
    if entry is None or entry.state is not State.CALLING or entry.until > now or entry.token.caller == token.caller:
        return entry
    return _doubted(entry, CALLER_LOST)


def _doubted(entry: LedgerEntry, code: str) -> LedgerEntry:
    return _at_rest(replace(entry, unknowns=entry.unknowns + 1, since=entry.began, code=code))


def _at_rest(entry: LedgerEntry) -> LedgerEntry:
    return replace(entry, state=State.UNKNOWN, token=NOBODY, until=0, began=0)


def _is_callers(entry: LedgerEntry, token: Token) -> bool:
    return entry.state is State.CALLING and entry.token == token


def _takes_over(entry: LedgerEntry, token: Token) -> bool:
    """Whether *token* is a later claim of the same caller; an earlier one comes late, and nobody waits for it."""
    return entry.token.caller == token.caller and token.number > entry.token.number


def _is_reused(entry: LedgerEntry, of: bytes) -> bool:
    """An entry of an older version has no fingerprint, and a claim none where nobody cares."""
    return entry.fingerprint != of and bool(entry.fingerprint) and bool(of)
