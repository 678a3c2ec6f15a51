"""How the provider answers a call: after how long, and whether it takes it."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from worker.core.decision.feedback import Refused, feedback_of
from worker.core.limits.bucket import SECOND_US
from worker.core.message.request import SmsRequest
from worker.core.outcome.catalog import Catalog
from worker.core.outcome.members import BatchReply
from worker.core.outcome.outcome import ErrorClass, Failed, Fault, Reply
from worker.errors import SettingsError
from worker.sandbox.limits import PerSecond
from worker.sandbox.settings import Second
from worker.simulation.plan import Plan

_MICROSECOND: Final = timedelta(microseconds=1)
_OK: Final = 200
#: What one message is refused for, whoever goes with it; all others are about the call.
_OF_A_MESSAGE: Final = frozenset({ErrorClass.RECIPIENT, ErrorClass.CONTENT, ErrorClass.INVALID, ErrorClass.LIMITED})
_THROTTLED: Final = "QPS_LIMIT_CONTROL"


class Refusal(NamedTuple):
    """What a call is refused with."""

    answer: Reply | Fault
    failed: Failed

    @property
    def of_batch(self) -> BatchReply | Fault:
        """The answer, when the call had several messages."""
        return self.answer if isinstance(self.answer, Fault) else BatchReply(self.answer)


class Chance(NamedTuple):
    """A refusal that comes with some probability."""

    refusal: Refusal
    probability: float


class Answers:
    """The provider, with *dice*."""

    def __init__(self, plan: Plan, catalog: Catalog, timeout: timedelta, dice: random.Random) -> None:
        """A call without an answer takes *timeout*.

        Raises:
            SettingsError: a code of the plan cannot be simulated.
        """
        chances = [_chance(plan, index, catalog) for index in range(len(plan.provider.refusals))]
        of_a_message = [one for one in chances if one.refusal.failed.row.error_class in _OF_A_MESSAGE]
        self._of_a_message: Final = of_a_message
        self._of_a_call: Final = [one for one in chances if one not in of_a_message]
        self._random: Final = dice.random
        self._fastest_us = plan.provider.fastest // _MICROSECOND
        self._spread_us = plan.provider.slowest // _MICROSECOND - self._fastest_us
        self._timeout_us = timeout // _MICROSECOND
        self._singles: Final = _wall(plan.provider.single_calls)
        self._batches: Final = _wall(plan.provider.batch_calls)
        self._throttled: Final = _refusal(_THROTTLED, catalog)

    def single(self, now: int, fate: Failed | None) -> tuple[int, Failed | None]:
        """How long a call for one message takes, and what it is refused with; *fate* was drawn before."""
        if self._singles is not None and not self._singles.passes(now / SECOND_US):
            return self._latency(), self._throttled.failed
        if fate is None and (self._of_a_call or self._of_a_message):
            refusal = self._drawn(self._of_a_call) or self._drawn(self._of_a_message)
            if refusal is not None:
                return self._takes(refusal), refusal.failed
        return self._latency(), fate

    def batch(self, now: int) -> tuple[int, Refusal | None]:
        """How long a call for several takes, and what all of it is refused with."""
        if self._batches is not None and not self._batches.passes(now / SECOND_US):
            return self._latency(), self._throttled
        refusal = self._drawn(self._of_a_call)
        return (self._latency(), None) if refusal is None else (self._takes(refusal), refusal)

    @property
    def refuses_members(self) -> bool:
        """Whether `member` ever gives anything."""
        return bool(self._of_a_message)

    def member(self) -> Failed | None:
        """Why a member of a batch call is named as failed; None when it is accepted."""
        refusal = self._drawn(self._of_a_message)
        return None if refusal is None else refusal.failed

    def _latency(self) -> int:
        return self._fastest_us + int(self._random() * self._spread_us)

    def _takes(self, refusal: Refusal) -> int:
        return self._timeout_us if refusal.answer is Fault.TIMEOUT else self._latency()

    def _drawn(self, chances: Sequence[Chance]) -> Refusal | None:
        if not chances:
            return None
        left = self._random()
        for refusal, probability in chances:
            left -= probability
            if left < 0:
                return refusal
        return None


def _wall(rate: int) -> PerSecond | None:
    return PerSecond(rate, Second.SLIDING) if rate else None


def _refusal(code: str, catalog: Catalog) -> Refusal:
    """What *code* means; raises ValueError when it cannot be simulated."""
    answer = Fault(code) if code in set(Fault) else Reply(_OK, code)
    failed = catalog.classify(answer)
    if not isinstance(failed, Failed) or failed.row.code == "local.unlisted":
        raise ValueError(f"{code} is no code of a refusal; sms-worker codes lists them")
    return Refusal(answer, failed)


def _chance(plan: Plan, index: int, catalog: Catalog) -> Chance:
    section, stream = plan.provider.refusals[index], plan.streams[0]
    fault = ""
    try:
        refusal = _refusal(section.code, catalog)
        if not _holds(refusal.failed, stream.request(stream.senders[0]), plan.begins):
            return Chance(refusal, section.probability)
        fault = f"{section.code} holds the account, a sender or a country, and holds are not simulated"
    except ValueError as error:
        fault = str(error)
    raise SettingsError(f"provider.refusals[{index}].code: {fault}; choose another code")


def _holds(failed: Failed, sms: SmsRequest, now: datetime) -> bool:
    return any(isinstance(one, Refused) for one in feedback_of(sms, failed, frozenset(), now))
