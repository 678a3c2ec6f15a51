"""Tells how the demo ended, and whether the sandbox's books and the queues agree to the last message."""

from collections import Counter
from collections.abc import Iterator, Sequence

from worker.cli.demo.play import Ended
from worker.cli.letters import grouped
from worker.cli.output import console, listing
from worker.core.outcome import ErrorClass
from worker.core.quota import Operation


def report(ended: Ended) -> bool:
    """Write the tables; returns whether everything agrees."""
    console.print()
    _destinations(ended)
    _rate(ended)
    rows = [row for dead, letters in ended.letters.items() for row in grouped(dead, len(letters), letters)]
    listing("Dead-letter groups", ("class", "code", "letters", "remedy"), rows, as_json=False)
    checks = list(_checks(ended))
    listing("Do the sandbox's books and the queues agree?", ("check", "books", "queues", "agree"), [
        {"check": what, "books": books, "queues": queues, "agree": "yes" if books == queues else "NO"}
        for what, books, queues in checks
    ], as_json=False)  # fmt: skip
    agreed = all(books == queues for _, books, queues in checks)
    console.print("Everything agrees." if agreed else "[bold red]Something does not agree.[/]")
    return agreed


def _destinations(ended: Ended) -> None:
    rows = [{"queue": "done", "class": ErrorClass.ACCEPTED.value, "requests": len(ended.done)}]
    rows += [
        {"queue": f"dead.{error_class.value}", "class": error_class.value, "requests": len(letters)}
        for error_class, letters in ended.letters.items()
        if letters
    ]
    rows += [{"queue": name, "class": "not ended", "requests": depth} for name, depth in ended.left.items()]
    rows.append({"queue": "in all", "class": "", "requests": sum(int(str(row["requests"])) for row in rows)})
    listing("Requests by final queue and class", ("queue", "class", "requests"), rows, as_json=False)


def _rate(ended: Ended) -> None:
    calls = [call.arrived for call in ended.calls if call.action == Operation.GLOBE.value]
    busy_s = _busy_seconds(calls)
    slots = [slot / 1_000_000 for slot in ended.slots]
    quota = ended.script.quota
    throttled = ended.summary.by_code.get("QPS_LIMIT_CONTROL", 0)
    measures = {
        "quota of SendMessageToGlobe": f"{quota} calls per second for {ended.script.workers} workers",
        "rate reached while requests waited": f"{_rate_in(calls, busy_s):.1f} calls per second",
        "most grants in any second": f"{_worst_second(slots)}",
        "most arrivals in any second, as the sandbox saw them": f"{_worst_second(calls)}",
        "calls that the sandbox refused for its own quota": f"{throttled}",
        "from the first publish to the last end": f"{ended.seconds:.1f} s",
    }
    rows = [{"measure": measure, "value": value} for measure, value in measures.items()]
    listing("Rate", ("measure", "value"), rows, as_json=False)


def _checks(ended: Ended) -> Iterator[tuple[str, int, int]]:
    """What was checked, what the sandbox's books say, what the queues say."""
    accepted = Counter(call.task_id or call.number for call in ended.calls if call.accepted)
    by_id = {one.request_id for one in ended.published}
    done = [str(event["id"]) for event in ended.done]
    unknown = {letter.request_id for letter in ended.letters[ErrorClass.UNKNOWN]}
    resent = [task_id for task_id, times in accepted.items() if times > 1]
    ended_count = len(done) + sum(map(len, ended.letters.values()))
    yield "published, and ended in a queue", len(ended.published), ended_count
    yield "outcome events, one per request", len(done), len(set(done))
    templates = sum(call.accepted for call in ended.calls if call.action == Operation.TEMPLATE.value)
    globe_done = sum(1 for one in done if one in accepted)
    yield "accepted, and done or dead as unknown", _known(accepted, by_id), globe_done + len(unknown & accepted.keys())
    yield "accepted templates, and done", templates, len(done) - globe_done
    lost_replies = [one for one in done if accepted.get(one, 0) > 1]
    yield "accepted twice, all chosen by the OTP lane's policy", len(resent), len(lost_replies)


def _known(accepted: Counter[str], published: set[str | None]) -> int:
    return sum(1 for task_id in accepted if task_id in published)


def _busy_seconds(calls: Sequence[float]) -> float:
    """How long requests waited for the quota: until 98 of 100 calls had been made; the rest are retries."""
    return calls[len(calls) * 98 // 100] - calls[0] if calls else 0.0


def _rate_in(calls: Sequence[float], seconds: float) -> float:
    return sum(call - calls[0] < seconds for call in calls) / seconds if seconds else 0.0


def _worst_second(instants: Sequence[float]) -> int:
    worst = first = 0
    for last, instant in enumerate(instants):
        while instant - instants[first] >= 1.0:
            first += 1
        worst = max(worst, last - first + 1)
    return worst
