"""What ``sms-worker status`` shows people: tables, and sentences about what is not as it should be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from worker.cli.holds import show_holds
from worker.cli.output import counted, say
from worker.cli.table import listing
from worker.operator.eta import in_words

#: A shorter pause is not worth a sentence.
_SOON_S: Final = 0.5


def show(status: Mapping[str, Any]) -> None:
    """Write *status*, as `operator.status.summary` has it; its faults are somebody else's to tell."""
    if status["lanes"] is not None:
        _show_lanes(status["lanes"])
    if status["delayed"] is not None:
        _show_delayed(status["delayed"])
    _show_quota(status["quota"])
    if status["queues"] is not None:
        _show_queues(status["queues"], status["looked_into"])
    say(f"Account: {status['account']}")
    if status["holds"]:
        show_holds(status["holds"])
    _show_workers(status["brake"], status["workers"] or ())
    for sentence in status["unknown"]:
        say(f"Not known: {sentence}.")


def _show_lanes(lanes: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        {
            "lane": row["lane"],
            "waiting": _or_unknown(row["waiting"]),
            "due": _or_unknown(row["due"]),
            "in_hand": _or_unknown(row["in_hand"]),
            "oldest_in_hand": _words(row["oldest_in_hand_s"]),
            "workers": _or_unknown(row["workers"]),
            "share_per_s": row["share_per_s"],
            "eta": _eta(row),
            "expiring": row["expiring"],
        }
        for row in lanes
    ]
    columns = ("lane", "waiting", "due", "in_hand", "oldest_in_hand", "workers", "share_per_s", "eta", "expiring")
    listing("Lanes", columns, rows, spare=("oldest_in_hand", "share_per_s"))
    for row in lanes:
        if row["due"] and not row["due_workers"]:
            say(f"No worker takes what is due on {row['lane']}: start one of this version.")
        if row["expiring"]:
            lifetime = in_words(row["lifetime_s"])
            say(f"About {row['expiring']} of {row['lane']} will expire before their turn: they live for {lifetime}.")


def _show_delayed(delayed: Mapping[str, Any]) -> None:
    if delayed["messages"]:
        soon, all_of_them = in_words(delayed["next_due_within_s"]), in_words(delayed["all_due_within_s"])
        count = counted(delayed["messages"], "request")
        say(f"Delayed: {count}; the next is due within {soon}, all within {all_of_them}.")


def _show_quota(quota: Sequence[Mapping[str, Any]]) -> None:
    rows = [dict(row) for row in quota]
    for row in rows:
        row["configured_here"] = row["configured_per_s"] or "none"
        row["quota_per_s"] = (row["quota_per_s"] or "none") if row["quota_known"] else "unknown"
        row["throttled"] = row["throttled_last_60_s"]
        row["foreign"] = None if row["foreign_ratio"] is None else f"{row['foreign_ratio']:.0%}"
    columns = ("operation", "quota_per_s", "configured_here", "granted_per_s", "learned_per_s", "foreign", "throttled")
    listing("Quota", columns, rows, spare=("learned_per_s", "foreign", "throttled"))
    for told in quota:
        for sentence in explained(told):
            say(sentence)


def explained(row: Mapping[str, Any]) -> Iterator[str]:
    """What is to be said of a *row* of quotas."""
    operation, shared, configured = (row[key] for key in ("operation", "quota_per_s", "configured_per_s"))
    if row["set_by"] is not None:
        ends_in_s = row["set_ends_in_s"]
        until = "until it is reset" if ends_in_s is None else f"for {in_words(ends_in_s)} more"
        yield f"{operation} is set to {row['in_force_per_s'] or 'none'} {until}: see sms-worker limits show."
    if row["quota_known"] and shared != (configured if row["set_by"] is None else row["in_force_per_s"]):
        if row["set_by"] is None or shared != configured:
            theirs = f"Workers send {operation} with a quota of {shared or 'none'}"
            yield f"{theirs}, the configuration here says {configured or 'none'}: is it theirs?"
        else:  # what the workers share is what the last granted call told
            yield f"No call of {operation} was granted since."
    if row["throttled_last_60_s"]:
        count = counted(row["throttled_last_60_s"], "call")
        yield f"The provider refused {count} of {operation} in the last minute because of its limit."
    if row["opens_in_s"] >= _SOON_S:
        because = "Redis is new or restarted, or the provider asked for a pause"
        yield f"No {operation} for {in_words(row['opens_in_s'])} more: {because}."


def _show_queues(queues: Mapping[str, int], looked_into: Sequence[str]) -> None:
    rows = [{"queue": name, "messages": depth} for name, depth in queues.items() if depth]
    if rows:
        listing("Retry-delay, done and dead-letter queues", ("queue", "messages"), rows)
    elif not looked_into:
        say("Retry-delay, done and dead-letter queues are empty.")
    for name in looked_into:
        say(f"Somebody is looking into {name}: letters in their hands are not counted.")


def _show_workers(brake: str, workers: Sequence[Mapping[str, Any]]) -> None:
    say(f"Brake: {brake}")
    for worker in workers:
        where = f"Worker {worker['pid']} on {worker['host']}"
        if worker["braked"]:
            say(f"{where} has its brake set: {worker['braked']}.")
        if worker["intake_paused"]:
            say(f"{where} takes nothing, or next to nothing, in: {worker['intake_paused']}.")
        if worker["draining"]:
            say(f"{where} is leaving, with {worker['in_hand']} in hand.")


def _or_unknown(count: int | None) -> int | str:
    return "unknown" if count is None else count


def _words(seconds: float | None) -> str | None:
    return None if seconds is None else in_words(seconds)


def _eta(row: Mapping[str, Any]) -> str | None:
    if not row["waiting"] and row["waiting"] is not None:
        return None
    return "unknown" if row["eta_s"] is None else in_words(row["eta_s"])
