"""What the outcome of one call means for all others.

    the outcome                                     the feedback
    class account, or limited with scope account    the account is refused: it is held at once
    class content with scope sender                 its sender is refused: held when it repeats
    class limited with scope country                its country is refused until the period ends
    class limited with scope recipient              its number is refused until the period ends
    class throttled                                 the quota slows down
    accepted                                        its sender works
    a code that the catalogue does not list         somebody must look

A probe says more: when it shows that its scope works, the hold is lifted; when it shows nothing (unknown, throttled,
not reached), it is as good as failed, and gives its place to the next.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from worker.core.limits.calendar import period_end
from worker.core.limits.country import calling_code
from worker.core.limits.holds import ACCOUNT, HoldName, sender_of
from worker.core.message.request import SmsRequest
from worker.core.outcome.outcome import Accepted, ErrorClass, Failed, Outcome, Period, Scope, Table

_UNLISTED: Final = "local.unlisted"
#: Refusals about one request alone: the provider looks at the account first.
_OF_THE_REQUEST: Final = frozenset({ErrorClass.RECIPIENT, ErrorClass.CONTENT, ErrorClass.INVALID})


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider refuses everything of *name*."""

    name: HoldName
    code: str
    remedy: str
    #: Whether the call was the probe of its hold.
    probed: bool = False
    #: After which it takes them again; None when that is not known.
    lasts: timedelta | None = None


class Works(NamedTuple):
    """The provider takes what is of *name*."""

    name: HoldName
    probed: bool = False


@dataclass(frozen=True, slots=True)
class Undecided:
    """The probe of *name* showed nothing."""

    name: HoldName


@dataclass(frozen=True, slots=True)
class SlowDown:
    """Too many calls."""

    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class NumberFull:
    """The provider takes no more for *number*."""

    number: str
    code: str
    lasts: timedelta


@dataclass(frozen=True, slots=True)
class Unlisted:
    """The catalogue does not know the code."""

    code: str


Feedback: TypeAlias = Refused | Works | Undecided | SlowDown | NumberFull | Unlisted


def feedback_of(sms: SmsRequest, outcome: Outcome, probes: frozenset[HoldName], now: datetime) -> Iterator[Feedback]:
    """What the *outcome* of a call for *sms*, which was the probe of *probes*, means for all others."""
    refused = _refusal(sms, outcome, probes, now)
    if refused is not None:
        yield refused
    if probes:
        for name in sorted(probes - {refused.name if refused else None}, key=str):
            yield Works(name, probed=True) if _works(name, outcome) else Undecided(name)
    if isinstance(outcome, Accepted):
        yield from (Works(name) for name in sender_of(sms) if name not in probes)
    elif isinstance(outcome, Failed):
        yield from _others(sms, outcome, now)


def holds_account(outcome: Outcome) -> bool:
    """Whether *outcome* says that nothing of the account can succeed now."""
    if not isinstance(outcome, Failed):
        return False
    match outcome.row.error_class:
        case ErrorClass.ACCOUNT:  # whatever the scope: without a hold its requests would circle at full speed
            return True
        case ErrorClass.LIMITED:
            return outcome.row.scope is Scope.ACCOUNT
        case _:
            return False


def _refusal(sms: SmsRequest, outcome: Outcome, probes: frozenset[HoldName], now: datetime) -> Refused | None:
    if not isinstance(outcome, Failed):
        return None
    row, code = outcome.row, outcome.code
    if holds_account(outcome):
        return Refused(ACCOUNT, code, row.remedy, ACCOUNT in probes)
    match row.error_class, row.scope:
        case ErrorClass.CONTENT, Scope.SENDER:
            return next((Refused(name, code, row.remedy, name in probes) for name in sender_of(sms)), None)
        case ErrorClass.LIMITED, Scope.COUNTRY:
            country = HoldName(Scope.COUNTRY, calling_code(sms.number))
            return Refused(country, code, row.remedy, country in probes, _reopens(outcome, now))
    return None


def _works(name: HoldName, outcome: Outcome) -> bool:
    """Whether a probe's *outcome* says that the hold of *name* can be lifted."""
    if isinstance(outcome, Accepted):
        return True
    return (
        name == ACCOUNT
        and isinstance(outcome, Failed)
        and outcome.row.table in {Table.API, Table.LEGACY}
        and outcome.row.error_class in _OF_THE_REQUEST
    )


def _others(sms: SmsRequest, failed: Failed, now: datetime) -> Iterator[Feedback]:
    row = failed.row
    if row.error_class is ErrorClass.THROTTLED:
        yield SlowDown(failed.retry_after.total_seconds() if failed.retry_after else None)
    elif row.error_class is ErrorClass.LIMITED and row.scope is Scope.RECIPIENT and row.table is not Table.LOCAL:
        yield NumberFull(sms.number, failed.code, _reopens(failed, now))
    elif row.code == _UNLISTED:
        yield Unlisted(failed.code)


def _reopens(failed: Failed, now: datetime) -> timedelta:
    reopens = period_end(now, failed.row.period or Period.DAY) - now
    return max(reopens, failed.retry_after or timedelta(0))
