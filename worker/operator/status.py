"""How everything stands: what waits, how fast it goes, what is held, what died."""

from collections.abc import Mapping
from typing import Any

from worker.broker.depths import Depth
from worker.core.outcome.outcome import DEAD_CLASSES
from worker.errors import SettingsError
from worker.limiter.overrides import read
from worker.operator.found import Found
from worker.operator.holds import rows_of
from worker.operator.lanes import lane_rows, unknown_of
from worker.operator.limits import rows_of as limit_rows
from worker.operator.quotas import quota_rows
from worker.settings.changeable import CHANGEABLE, overridden
from worker.settings.policy import topology_of
from worker.settings.sections import Settings


def summary(found: Found, settings: Settings) -> dict[str, Any]:
    """What every surface shows of *found*, as JSON has it."""
    granted, queues = found.granted, found.queues
    rows, faults = ([], []) if found.limits is None else limit_rows(settings, found.limits)
    limits = {row["key"]: row for row in rows}
    lanes = lane_rows(found, _in_force(found, settings))
    return {
        "lanes": lanes,
        "delayed": None if queues is None else _delayed(queues, settings),
        "quota": quota_rows(found, settings, limits),
        "queues": None if queues is None else {name: depth.messages for name, depth in queues.items()},
        # Dead-letter queues of which somebody has letters in hand that are not counted.
        "looked_into": None if queues is None else _looked_into(queues, settings),
        "account": "unknown" if granted is None else "held" if found.is_held else "not held",
        "holds": None if granted is None else rows_of(found.holds, settings),
        "brake": _brake(found),
        "workers": _workers(found),
        "unknown": [*_not_asked(found), *unknown_of(lanes), *faults],
        "faults": found.faults,
    }


def _in_force(found: Found, settings: Settings) -> Settings:
    """*settings* with what an operator has changed, or without it where that cannot be applied: `unknown` says so."""
    if found.limits is None:
        return settings
    try:
        overrides = read(found.limits.stored).at(found.limits.now_us).known(CHANGEABLE)
        return overridden(settings, overrides.values(), "given")
    except (SettingsError, ValueError):
        return settings


def _delayed(queues: Mapping[str, Depth], settings: Settings) -> dict[str, Any]:
    """What waits for its time; a queue tells how long that may be at most, and nothing of lanes or of single messages.

    What is in a queue may become due at any moment until then, or go on to a shorter one.
    """
    waits = topology_of(settings).longest_waits()
    full = {name: wait for name, wait in waits.items() if name in queues and queues[name].messages}
    ends_s = [wait.total_seconds() for wait in full.values()]
    return {
        "messages": sum(queues[name].messages for name in full) if waits.keys() <= queues.keys() else None,
        "next_due_within_s": min(ends_s, default=None),
        "all_due_within_s": max(ends_s, default=None),
        "by_queue": [
            {"queue": name, "messages": queues[name].messages, "due_within_s": wait.total_seconds()}
            for name, wait in full.items()
        ],
    }


def _looked_into(queues: Mapping[str, Depth], settings: Settings) -> list[str]:
    topology = topology_of(settings)
    return [name for name in map(topology.dead_queue, DEAD_CLASSES) if name in queues and queues[name].consumers]


def _brake(found: Found) -> str:
    """Whether a worker has its brake set; unknown when none tells."""
    if not found.workers:
        return "unknown"
    return "set" if any(standing.braked for standing in found.workers.values()) else "released"


def _workers(found: Found) -> list[dict[str, Any]] | None:
    if found.workers is None:
        return None
    standings = sorted(found.workers.values(), key=lambda one: (one.host, one.pid))
    return [
        {
            "host": one.host,
            "pid": one.pid,
            "lanes": [lane.value for lane in one.in_hand],
            "in_hand": sum(one.in_hand.values()),
            "braked": one.braked,
            "intake_paused": one.standstill,
            "draining": one.draining,
        }
        for one in standings
    ]


def _not_asked(found: Found) -> list[str]:
    """What is not known because somebody did not answer, or nobody told."""
    unknown = []
    if found.lanes is None:
        unknown.append("without RabbitMQ nobody knows what waits, is delayed or is dead, and how long it takes")
    if found.granted is None:
        unknown.append(
            "without Redis nobody knows what is in hand, how fast it goes, what is set, learned, held or throttled, "
            "and whether a brake is set"
        )
    elif not found.workers:
        unknown.append(
            "no worker tells whether its brake is set: none runs, or they are of an older version or cannot use Redis"
        )
    return unknown
