"""What goes into which call: the dispatcher's choices as pure functions."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from math import ceil
from typing import Final

from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Accepted, ErrorClass, Failed, Outcome, Sent

#: Seconds of quota that one worker books ahead in one go: at high rates this, not one call to Redis per message.
LEASE_S: Final = 0.02
#: So many due requests in a row may go before the others of their lane; then one of the others goes.
MOST_OVERTAKING: Final = 3
#: Slots booked in one go when the quota has no limit: only the account's hold is looked at then.
UNLIMITED_LEASE: Final = 64
#: The most urgent first; to go over the enumeration itself costs more.
_LANES: Final = tuple(Lane)


def lane_for(slot_lane: Lane, waiting: Mapping[Lane, Sized | int], *, floor: bool) -> Lane | None:
    """The lane whose request takes a slot that is due; None when nobody waits.

    The most urgent lane does, whoever booked the slot. A slot of a lane's guaranteed share is for that lane first:
    otherwise an endless stream of urgent requests would take every slot that was meant to keep the others alive.
    """
    if floor and waiting.get(slot_lane):
        return slot_lane
    for lane in _LANES:
        if waiting.get(lane):
            return lane
    return None


def is_due_next(due: int, others: int, overtook: int) -> bool:
    """Whether a due request is the next of a lane where *due* and *others* wait and *overtook* due ones went in a row.

    What is due goes first. But requests that fail again and again are due again and again; for ever before the others,
    they would keep out those that can be sent.
    """
    return due > 0 and (others == 0 or overtook < MOST_OVERTAKING)


def lease(rate: int, unbooked: int) -> int:
    """How many slots to ask for when *unbooked* requests have none yet, at *rate* calls per second (0: no limit)."""
    most = UNLIMITED_LEASE if rate == 0 else ceil(rate * LEASE_S)
    return max(1, min(unbooked, most))


def doomed(left_s: Iterable[float], per_s: float) -> Iterator[int]:
    """Who cannot have a turn before its deadline, when no more than *per_s* go in a second.

    They are given by the seconds that each has left, the fewest first, which is the order in which they go; told by
    their places in it. Whoever is doomed leaves its place to the next, so as many as possible are in time.

    >>> list(doomed([0.5, 0.9, 1.5, 60], 2))
    []
    >>> list(doomed([0.1, 0.2, 0.3, 60], 2))
    [1, 2]
    """
    ahead = 0
    for index, left in enumerate(left_s):
        if left <= 0:  # it is over, and takes no turn
            continue
        if left < ahead / per_s:
            yield index
        else:
            ahead += 1


def is_certain(outcome: Outcome) -> bool:
    """Whether the request was certainly not accepted: then its count in the windows and its claim are given back."""
    match outcome:
        case Failed():
            return not outcome.called or outcome.row.error_class is not ErrorClass.UNKNOWN
        case Accepted() | Sent():
            return False
        case _:
            return True
