"""Tells how the demo ended, and whether the sandbox's books and the queues agree to the last message."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker.cli.demo.cast import ORDINARY
from worker.cli.demo.play import Ended
from worker.cli.output import say
from worker.cli.table import listing
from worker.core.limits.quota import Operation
from worker.core.outcome.outcome import ErrorClass
from worker.operator.letters import grouped


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was counted twice, independently."""

    what: str
    books: int
    queues: int

    @property
    def agrees(self) -> bool:
        """Whether both counts are the same."""
        return self.books == self.queues


def report(ended: Ended) -> bool:
    """Write the tables; returns whether everything agrees."""
    say("")
    _destinations(ended)
    _rate(ended)
    rows = [row for dead, letters in ended.letters.items() for row in grouped(dead, len(letters), letters)]
    listing("Dead-letter groups", ("class", "code", "letters", "remedy"), rows, wide=("remedy",))
    _explain("What sms-worker dlq groups shows: the provider's code, and what an operator should do about it.")
    found = list(checks(ended))
    rows = [
        {"check": one.what, "books": one.books, "queues": one.queues, "agree": "yes" if one.agrees else "NO"}
        for one in found
    ]
    listing("Do the sandbox's books and the queues agree?", ("check", "books", "queues", "agree"), rows)
    _explain("The sandbox counts what it accepted, the queues what the workers made of it.")
    agreed = all(one.agrees for one in found)
    say(
        "Everything agrees: no request was lost, and none was sent twice but by the OTP lane's policy."
        if agreed
        else "Something does not agree."
    )
    return agreed


def _destinations(ended: Ended) -> None:
    ends = [
        ("done", ErrorClass.ACCEPTED.value, len(ended.done)),
        *((f"dead.{dead.value}", dead.value, len(letters)) for dead, letters in ended.letters.items() if letters),
        *((name, "not ended", depth) for name, depth in ended.left.items()),
    ]
    ends.append(("in all", "", sum(count for _, _, count in ends)))
    rows = [{"queue": queue, "class": error_class, "requests": count} for queue, error_class, count in ends]
    listing("Requests by final queue and class", ("queue", "class", "requests"), rows)
    _explain("Accepted requests are done; each other one is in the dead-letter queue of its class, with the reason.")


def _rate(ended: Ended) -> None:
    calls = [call.arrived for call in ended.calls if call.action == Operation.GLOBE.value]
    slots = [slot / 1_000_000 for slot in ended.slots]
    batches = Counter(call.call for call in ended.calls if call.action == Operation.BATCH.value)
    most = max(batches.values(), default=0)
    throttled = ended.summary.by_code.get("QPS_LIMIT_CONTROL", 0)
    measures = {
        "quota of SendMessageToGlobe": f"{ended.scenario.quota} calls per second for {ended.scenario.workers} workers",
        "rate reached while requests waited": f"{rate_while_waiting(ended):.1f} calls per second",
        "most grants in any second": f"{worst_second(slots)}",
        "most arrivals in any second, as the sandbox saw them": f"{worst_second(calls)}",
        "calls that the sandbox refused for its own quota": f"{throttled}",
        "messages in batch calls": f"{batches.total()} in {len(batches)} calls, at most {most} in one",
        "from the first publish to the last end": f"{ended.seconds:.1f} s",
    }
    rows = [{"measure": measure, "value": value} for measure, value in measures.items()]
    listing("Rate", ("measure", "value"), rows)
    _explain("All workers share one quota through Redis: no second holds more grants than it.")


def checks(ended: Ended) -> Iterator[Check]:
    """Count what happened twice: in the sandbox's books, and in the queues."""
    published = {one.request_id for one in ended.published}
    # A batch call has one task id for all: its messages are known by their numbers.
    by_number = {one.number: one.request_id for one in ended.published}
    accepted = Counter(
        call.task_id if call.task_id in published else by_number.get(call.number) or call.number
        for call in ended.calls
        if call.accepted
    )
    templates = sum(call.accepted for call in ended.calls if call.action == Operation.TEMPLATE.value)
    done = [str(event["id"]) for event in ended.done]
    told_once = set(done)
    unknown = {letter.request_id for letter in ended.letters.get(ErrorClass.UNKNOWN, ())}
    globe = [one for one in accepted if one in published]
    globe_done = [one for one in done if one in accepted]
    yield Check("published, and ended in a queue", len(ended.published), _ended(ended))
    yield Check("outcome events, one per request", len(done), len(told_once))
    yield Check("accepted, and done or dead as unknown", len(globe), len(globe_done) + len(unknown & accepted.keys()))
    yield Check("accepted templates, and done", templates, len(done) - len(globe_done))
    twice = [one for one, times in accepted.items() if times > 1]
    chosen = [one for one in twice if one.startswith("reply-lost-otp.") and one in told_once]
    yield Check("accepted twice, all chosen by the OTP lane's policy", len(twice), len(chosen))


def _ended(ended: Ended) -> int:
    return len(ended.done) + sum(map(len, ended.letters.values()))


def rate_while_waiting(ended: Ended) -> float:
    """Calls per second from the first call to the first call for the last ordinary request: so long some waited.

    Retries and delayed requests come later, when there is no more of a hurry.
    """
    calls = [call for call in ended.calls if call.action == Operation.GLOBE.value]
    firsts: dict[str, float] = {}
    for call in calls:
        if call.task_id.partition(".")[0] in ORDINARY:
            firsts.setdefault(call.task_id, call.arrived)
    if not firsts:
        return 0.0
    began, last = calls[0].arrived, max(firsts.values())
    return sum(began < call.arrived <= last for call in calls) / (last - began) if last > began else 0.0


def worst_second(instants: Sequence[float]) -> int:
    """The most of *instants* (seconds, ascending) in any second, wherever it begins."""
    worst = first = 0
    for last, instant in enumerate(instants):
        while instant - instants[first] >= 1.0:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


def _explain(sentence: str) -> None:
    """What the table before shows; an empty line parts it from the next."""
    say(sentence)
    say("")
