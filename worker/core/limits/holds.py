"""Holds as values: what can be held, what is known of a hold, and when a request that meets one comes back.

A hold stops sending for a scope in which nothing can succeed now. That of the account keeps requests in their queues:
no slot is granted but to one probe at a time. Requests for other senders and countries go on, so a request that meets
the hold of its sender or country makes room: it is delayed, and nothing is noted against it. Nothing is dead-lettered
because of a hold.

A hold is set by the provider's answers or by the operator. The operator's wins: no answer changes it, and it ends when
the operator releases it, or at the instant that was given with it.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple, Self

from worker.core.limits.country import calling_code
from worker.core.message.request import SmsRequest
from worker.core.outcome.outcome import OnHold, Scope

#: What can be held.
SCOPES: Final = (Scope.ACCOUNT, Scope.SENDER, Scope.COUNTRY)
#: The code of a hold that the operator set.
OPERATORS_CODE: Final = "operator"
#: A delayed request comes back at least this often while the end is not known: the hold may be lifted at any time.
LONGEST_WAIT: Final = timedelta(minutes=10)
#: The same while the end is known: coming back before it serves only those whose hold is released early.
LONGEST_WAIT_WITH_END: Final = timedelta(hours=1)
#: A hold that has just begun is not asked for sooner than this.
FIRST_WAIT: Final = timedelta(seconds=5)
#: A request may come back this much later than it must, so that not all of them come in one second.
LONGEST_SPREAD: Final = timedelta(minutes=10)

_LONGEST_SENDER: Final = 64


class By(StrEnum):
    """Who set a hold."""

    PROVIDER = "provider"
    OPERATOR = "operator"


class HoldName(NamedTuple):
    """What is held: a scope, and which of it."""

    scope: Scope
    #: A sender ID as it is given to the provider, or the digits of a calling code; empty for the account.
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.scope.value} {self.subject}".rstrip()

    @property
    def key(self) -> str:
        """The name as Redis has it: ``account``, ``sender:ACME``, ``country:65``."""
        return f"{self.scope.value}:{self.subject}" if self.subject else self.scope.value

    @classmethod
    def from_key(cls, key: str) -> Self:
        """The name that is written as *key*; raises ValueError when it is none."""
        scope, _, subject = key.partition(":")
        return cls(Scope(scope), subject)

    @classmethod
    def parse(cls, scope: Scope, subject: str | None) -> Self:
        """What an operator wrote.

        Raises:
            ValueError: it names nothing that can be held; the text is a sentence.
        """
        match scope:
            case Scope.ACCOUNT:
                if subject is not None:
                    raise ValueError("the account is one: leave out what follows it")
                return cls(scope)
            case Scope.SENDER:
                return cls(scope, _sender(subject))
            case Scope.COUNTRY:
                return cls(scope, _country(subject))
            case _:
                raise ValueError(f"a {scope.value} cannot be held; choose among {', '.join(SCOPES)}")


#: The one that everything belongs to.
ACCOUNT: Final = HoldName(Scope.ACCOUNT)


@dataclass(frozen=True, slots=True)
class Hold:
    """Sending is stopped for *name*."""

    name: HoldName
    #: The provider's, or `OPERATORS_CODE`.
    code: str
    #: Seconds that it has lasted.
    age_s: float
    #: Seconds until the next probe; None when there are no probes.
    probe_in_s: float | None = None
    #: Probes that failed so far.
    probes: int = 0
    #: Seconds until it ends by itself; None when it does not.
    ends_in_s: float | None = None
    by: By = By.PROVIDER
    #: The operator's words.
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the provider's refusal of a call did to a scope."""

    #: The hold that there is now; None when it takes more refusals.
    hold: Hold | None
    #: Whether the hold begins with it.
    began: bool = False


def names_of(sms: SmsRequest) -> tuple[HoldName, ...]:
    """Everything whose hold stops *sms*: the account first, then its country, then its sender if it has one."""
    country = HoldName(Scope.COUNTRY, calling_code(sms.number))
    return (ACCOUNT, country, *sender_of(sms))


def sender_of(sms: SmsRequest) -> tuple[HoldName, ...]:
    """The sender of *sms*, or nothing when it leaves that to the provider."""
    return (HoldName(Scope.SENDER, sms.sender),) if sms.sender else ()


def on_hold(hold: Hold) -> OnHold:
    """What *hold* means for a request that meets it."""
    return OnHold(str(hold.name), hold.code, look_again(hold))


def look_again(hold: Hold) -> timedelta:
    """The shortest time after which a request that meets *hold* should ask again.

    It grows with the age of the hold: whatever ends it, a request waits at most about as long again as it has waited.
    It is never before the next probe, which one request alone may make.
    """
    age = max(timedelta(seconds=hold.age_s), FIRST_WAIT)
    if hold.ends_in_s is not None:
        return min(age, LONGEST_WAIT_WITH_END, timedelta(seconds=hold.ends_in_s))
    return max(min(age, LONGEST_WAIT), timedelta(seconds=hold.probe_in_s or 0))


def spread(after: timedelta, jitter: float) -> timedelta:
    """*after*, and up to as long again: many wait for the same hold; *jitter* is in [0, 1)."""
    return after + min(max(after, FIRST_WAIT), LONGEST_SPREAD) * jitter


def _sender(subject: str | None) -> str:
    if not subject:
        raise ValueError("which sender? write: sender ID")
    if len(subject) > _LONGEST_SENDER or not subject.isprintable() or not subject.strip():
        raise ValueError(f"a sender ID has 1 to {_LONGEST_SENDER} visible characters")
    return subject


def _country(subject: str | None) -> str:
    digits = (subject or "").removeprefix("+")
    if not digits:
        raise ValueError("which country? write: country CODE, the digits that its numbers begin with, for example 65")
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"{subject} is no calling code: write its digits, for example 65")
    if (found := calling_code(digits)) != digits:
        raise ValueError(f"{digits} is no calling code" + (f"; numbers that begin so have {found}" if found else ""))
    return digits
