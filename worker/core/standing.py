"""How a worker stands, as it tells those who look at all workers: what only it knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.core.message.lane import Lane


@dataclass(frozen=True, slots=True)
class Standing:
    """One worker, at the moment at which it told this."""

    #: Deliveries in hand, that is unacknowledged, of every lane that it serves.
    in_hand: Mapping[Lane, int] = field(default_factory=dict)
    #: How long ago the oldest of them was published first, in seconds; lanes of which nobody knows are left out.
    oldest_s: Mapping[Lane, float] = field(default_factory=dict)
    #: Why the brake is set.
    braked: str | None = None
    #: Why nothing can be sent for longer than a moment.
    standstill: str | None = None
    #: It is leaving.
    draining: bool = False
    #: Where it runs.
    host: str = ""
    pid: int = 0
