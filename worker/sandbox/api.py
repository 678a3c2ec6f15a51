"""Judges one call: from what arrived to what is answered and entered into the books, in one synchronous step.

The order is the provider's as far as it can be known: the gateway first (method, authorization, operation, version,
missing parameters), then the quota, the account, the parameters, the recipients, the day limit. Clock and dice come
from outside.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, Final, NamedTuple

import orjson

from worker.sandbox import answer, checks
from worker.sandbox.account import NO_CODE, Account, Verdict
from worker.sandbox.answer import Answer
from worker.sandbox.arrival import Arrival
from worker.sandbox.limits import PerDay, PerSecond
from worker.sandbox.magic import ORDINARY, Behaviour, Wire, behaviour_of
from worker.sandbox.operation import BATCH, QUERY, REQUIRED, TEMPLATE, VERSION
from worker.sandbox.query import report
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.signature import Verifier

_METHODS: Final = frozenset({"GET", "POST"})


class Judgement(NamedTuple):
    """What the steps of one judgement share."""

    arrival: Arrival
    now: float
    action: str
    request_id: str

    @property
    def task_id(self) -> str:
        """As given; empty when there is none."""
        return self.arrival.parameters.get("TaskId", "")

    def refusal(self, code: str, retry_after_ms: int | None = None) -> Answer:
        """The answer with *code*."""
        host = self.arrival.headers.get("host", "")
        return answer.refusal(code, self.request_id, host, retry_after_ms=retry_after_ms)


class Api:
    """The operations, with all that they remember."""

    def __init__(self, settings: SandboxSettings, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._dice = Random(settings.seed)  # noqa: S311 - ids of a double, not secrets
        self._verifier = Verifier(settings.access_key_id, settings.access_key_secret)
        self.account = Account(self._dice.randrange(10**17, 9 * 10**17))
        self.settings = settings
        self._per_second: dict[str, PerSecond] = {}
        self.configure(settings)
        self.reset()

    def configure(self, settings: SandboxSettings) -> None:
        """Go on with *settings*; quotas that changed start anew."""
        before = self.settings.qps if self._per_second else {}
        rates = {name: rate for name, rate in settings.qps.items() if rate}
        self._per_second = {
            name: self._per_second[name] if before.get(name) == rate else PerSecond(rate, settings.second)
            for name, rate in rates.items()
        }
        self.settings = settings

    def reset(self) -> None:
        """Forget every call: the books, the nonces, the limits, which magic numbers were met."""
        self.account.reset()
        self._verifier.forget()
        self._per_day = PerDay()
        self._met: set[str] = set()
        self._per_second = {}
        self.configure(self.settings)

    def answer(self, arrival: Arrival) -> Answer:
        """Judge *arrival* and enter it into the books."""
        action = arrival.action if arrival.action in REQUIRED else NO_CODE
        call = Judgement(arrival, self._clock(), action, self._request_id())
        judged = self._judge(call)
        latency = self.settings.latency_s
        if self.settings.jitter_s:
            latency += self.settings.jitter_s * self._dice.random()
        return replace(judged, pause_s=judged.pause_s + latency) if latency else judged

    def _judge(self, call: Judgement) -> Answer:
        if code := self._gateway_code(call) or self._throttle_code(call):
            return self._refuse(call, code)
        if call.action == QUERY:
            return self._query(call)
        parameters = call.arrival.parameters
        if code := self.settings.account_code or checks.refused(call.action, parameters):
            return self._refuse(call, code)
        return self._batch(call) if call.action == BATCH else self._single(call)

    def _gateway_code(self, call: Judgement) -> str | None:
        arrival = call.arrival
        if arrival.method not in _METHODS:
            return "UnsupportedHTTPMethod"
        if self.settings.check_signature and (code := self._verifier.refusal(arrival, call.now)):
            return code
        if call.action == NO_CODE:
            return "InvalidAction.NotFound" if arrival.action else "MissingAction"
        if arrival.version != VERSION:
            return "NoSuchVersion" if arrival.version else "MissingVersion"
        return checks.missing(call.action, arrival.parameters)

    def _throttle_code(self, call: Judgement) -> str | None:
        quota = self._per_second.get(call.action)
        return self.settings.throttle_code if quota and not quota.passes(call.now) else None

    def _refuse(self, call: Judgement, code: str) -> Answer:
        number = call.arrival.parameters.get("To", "")
        shown = number if checks.is_number(number) else ""
        self.account.record(call.now, call.action, call.task_id, (Verdict(shown, code, accepted=False),))
        return call.refusal(code)

    def _query(self, call: Judgement) -> Answer:
        entry = self.account.find(call.arrival.parameters["MessageId"])
        code = "OK" if entry else "DATA_NOT_EXIST"
        number = entry.number if entry else ""
        self.account.record(call.now, call.action, "", (Verdict(number, code, accepted=False),))
        return Answer(orjson.dumps(report(entry, call.request_id))) if entry else call.refusal(code)

    def _single(self, call: Judgement) -> Answer:
        parameters = call.arrival.parameters
        number = parameters["To"]
        text = None if call.action == TEMPLATE else parameters["Message"]
        behaviour = self._behaviour(call, number, text or "")
        if behaviour.accepted and not self._within_day(number, call.now):
            behaviour = Behaviour("FREQUENCY_LIMIT_DAY", accepted=False)
        shown = number if checks.is_number(number) else ""
        verdict = Verdict(shown, behaviour.code or NO_CODE, behaviour.accepted)
        ids = self.account.record(call.now, call.action, call.task_id, (verdict,))
        reply = answer.accepted(call.request_id, ids[0], number, parameters.get("From"), text) if ids else {}
        return _answer(call, behaviour, reply)

    def _batch(self, call: Judgement) -> Answer:
        pairs = checks.batch(call.arrival.parameters)
        if isinstance(pairs, str):
            return self._refuse(call, pairs)
        behaviours = [self._behaviour(call, number, text) for number, text in pairs]
        whole = next((behaviour for behaviour in behaviours if behaviour.spoils_the_call), ORDINARY)
        numbers = [number for number, _ in pairs]
        verdicts = [self._verdict(call, *each, whole) for each in zip(numbers, behaviours, strict=True)]
        ids = self.account.record(call.now, call.action, call.task_id, verdicts)
        failed = [number for number, verdict in zip(numbers, verdicts, strict=True) if not verdict.accepted]
        reply = answer.batch_accepted(call.request_id, call.arrival.parameters.get("From"), ids, failed)
        return _answer(call, whole, reply)

    def _verdict(self, call: Judgement, number: str, behaviour: Behaviour, whole: Behaviour) -> Verdict:
        shown = number if checks.is_number(number) else ""
        if not whole.accepted:
            return Verdict(shown, whole.code or NO_CODE, accepted=False)
        if not behaviour.accepted:
            return Verdict(shown, behaviour.code or NO_CODE, accepted=False)
        if not self._within_day(number, call.now):
            return Verdict(shown, "FREQUENCY_LIMIT_DAY", accepted=False)
        return Verdict(shown, whole.code or NO_CODE, accepted=True)

    def _behaviour(self, call: Judgement, number: str, text: str) -> Behaviour:
        """What becomes of one recipient, as far as its number and text tell."""
        if code := checks.recipient_refused(call.action, number) or checks.text_refused(text):
            return Behaviour(code, accepted=False)
        behaviour = behaviour_of(number)
        if not behaviour.first_only:
            return behaviour
        if number in self._met:
            return ORDINARY
        self._met.add(number)
        return behaviour

    def _within_day(self, number: str, now: float) -> bool:
        limit = self.settings.day_limit
        return not limit or self._per_day.passes(number, limit, now)

    def _request_id(self) -> str:
        digits = f"{self._dice.getrandbits(128):032X}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _answer(call: Judgement, behaviour: Behaviour, reply: dict[str, Any]) -> Answer:
    """*reply*, unless *behaviour* answers otherwise."""
    if behaviour.wire is Wire.HTML:
        return answer.page(behaviour.status)
    if behaviour.code not in {None, "OK"}:
        return call.refusal(behaviour.code or NO_CODE, behaviour.retry_after_ms)
    return Answer(answer.spoiled(reply, behaviour.wire), wire=behaviour.wire, pause_s=behaviour.pause_s)
