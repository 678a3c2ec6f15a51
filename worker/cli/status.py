"""``sms-worker status``: what waits, how fast it goes, what is held and why, what died."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer

from worker.cli import exit_codes
from worker.cli.context import Context
from worker.cli.holds import show_holds
from worker.cli.interrupt import complete
from worker.cli.options import JsonOption
from worker.cli.output import complain, json_line, say
from worker.cli.table import listing
from worker.operator.eta import in_words
from worker.operator.status import ask, summary

#: A shorter pause is not worth a sentence.
_SOON_S: Final = 0.5


def status(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """Show lanes with their estimated time, the rate of calls, retry-delay and dead-letter queues, and what is held.

    Asks RabbitMQ and Redis, changes nothing, needs no worker. Messages in the hands of workers are not counted. Those
    that are due waited for their time and go first; they are counted as waiting too. The
    quota is that of the workers, as the last granted call told it, beside that of the configuration here. The rate is
    that of the last seconds; the estimate assumes that it goes on and that nothing new comes. Leaves with 3 when
    RabbitMQ or Redis could not be asked.

    For example:

        sms-worker status
        sms-worker status --json
    """
    settings = Context.of(context).settings()
    found = complete(ask(settings))
    if as_json:
        json_line(summary(found, settings))
    else:
        _show(summary(found, settings))
    for fault in found.faults:
        complain(fault)
    if found.faults:
        raise typer.Exit(exit_codes.UNAVAILABLE)


def _show(status: Mapping[str, Any]) -> None:
    if status["lanes"] is not None:
        rows = [row | {"eta": _eta(row)} for row in status["lanes"]]
        listing("Lanes", ("lane", "waiting", "due", "workers", "eta"), rows)
        for row in status["lanes"]:
            if row["due"] and not row["due_workers"]:
                say(f"No worker takes what is due on {row['lane']}: start one of this version.")
    _show_quota(status["quota"])
    if status["queues"] is not None:
        rows = [{"queue": name, "messages": depth} for name, depth in status["queues"].items() if depth]
        if rows:
            listing("Retry-delay, done and dead-letter queues", ("queue", "messages"), rows)
        elif not status["looked_into"]:
            say("Retry-delay, done and dead-letter queues are empty.")
        for name in status["looked_into"]:
            say(f"Somebody is looking into {name}: letters in their hands are not counted.")
    say(f"Account: {status['account']}")
    if status["holds"]:
        show_holds(status["holds"])


def _show_quota(quota: Sequence[Mapping[str, Any]]) -> None:
    rows = [dict(row) for row in quota]
    for row in rows:
        row["configured_here"] = row["configured_per_s"] or "none"
        row["quota_per_s"] = (row["quota_per_s"] or "none") if row["quota_known"] else "unknown"
    listing("Quota", ("operation", "quota_per_s", "configured_here", "granted_per_s"), rows)
    for row, told in zip(rows, quota, strict=True):
        if told["quota_known"] and told["quota_per_s"] != told["configured_per_s"]:
            say(
                f"Workers send {row['operation']} with a quota of {row['quota_per_s']}, the configuration here says "
                f"{row['configured_here']}: is it theirs?"
            )
        if told["opens_in_s"] >= _SOON_S:
            because = "Redis is new or restarted, or the provider asked for a pause"
            say(f"No {row['operation']} for {in_words(told['opens_in_s'])} more: {because}.")


def _eta(row: Mapping[str, Any]) -> str | None:
    if not row["waiting"]:
        return None
    return "unknown" if row["eta_s"] is None else in_words(row["eta_s"])
