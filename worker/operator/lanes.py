"""How the lanes stand: what waits, who has it in hand, how fast it goes, what will come too late."""

from collections.abc import Mapping
from typing import Any

from worker.broker.depths import Depth
from worker.core.limits.quota import SINGLES
from worker.core.message.lane import Lane
from worker.operator.eta import etas, late, shares
from worker.operator.found import Found
from worker.settings.sections import Settings


def lane_rows(found: Found, settings: Settings) -> list[dict[str, Any]] | None:
    """One row a lane, with the floors and lifetimes of *settings*; None when nothing is known of the queues.

    What is in hand goes on with what waits: it has no turn yet, or is nearly done.
    """
    if found.lanes is None:
        return None
    in_hand = {lane: _in_hand(found, lane, new, due) for lane, (new, due) in found.lanes.items()}
    backlog = {
        lane: new.messages + due.messages + (in_hand[lane] or 0)
        for lane, (new, due) in found.lanes.items()
        if new is not None and due is not None and new.consumers
    }
    lanes = {lane: settings.lanes.of(lane) for lane in Lane}
    floors = {lane: section.floor for lane, section in lanes.items()}
    lifetimes_s = {lane: section.lifetime.total_seconds() for lane, section in lanes.items()}
    per_s = 0.0 if found.is_held else sum((found.granted or {}).get(operation, 0.0) for operation in SINGLES)
    ends, gets = etas(backlog, per_s, floors), shares(backlog, per_s, floors)
    too_late = late(backlog, per_s, floors, lifetimes_s)
    return [
        {
            "lane": lane.value,
            "waiting": _sum(new, due),
            "due": due and due.messages,
            "in_hand": in_hand[lane],
            "oldest_in_hand_s": _oldest_s(found, lane),
            "workers": new and new.consumers,
            # Fewer than workers while some are of a version that knows of no due queues.
            "due_workers": due and due.consumers,
            # Fewer than workers while some do not tell what they have in hand.
            "telling_workers": None if found.workers is None else _telling(found, lane),
            "share_per_s": gets.get(lane),
            "eta_s": ends.get(lane),
            "lifetime_s": lifetimes_s[lane],
            "expiring": too_late.get(lane),
        }
        for lane, (new, due) in found.lanes.items()
    ]


def unknown_of(rows: list[dict[str, Any]] | None) -> list[str]:
    """What is not known of lanes although Redis answers, and why."""
    return [
        f"{row['workers'] - row['telling_workers']} of {row['workers']} workers of {row['lane']} do not tell what they "
        "have in hand: they are of an older version, or cannot use Redis"
        for row in rows or ()
        if row["telling_workers"] is not None and row["workers"] is not None and row["telling_workers"] < row["workers"]
    ]


def _sum(new: Depth | None, due: Depth | None) -> int | None:
    return None if new is None or due is None else new.messages + due.messages


def _telling(found: Found, lane: Lane) -> int:
    return sum(lane in standing.in_hand for standing in (found.workers or {}).values())


def _in_hand(found: Found, lane: Lane, new: Depth | None, due: Depth | None) -> int | None:
    """What workers told; None when nobody told, and somebody may have some."""
    if found.workers is None or (_may_consume(new, due) and not _telling(found, lane)):
        return None
    return sum(standing.in_hand.get(lane, 0) for standing in found.workers.values())


def _may_consume(*queues: Depth | None) -> bool:
    return any(queue is None or queue.consumers for queue in queues)


def _oldest_s(found: Found, lane: Lane) -> float | None:
    ages: Mapping[str, float] = {
        name: standing.oldest_s[lane] for name, standing in (found.workers or {}).items() if lane in standing.oldest_s
    }
    return max(ages.values(), default=None)
