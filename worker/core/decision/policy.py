"""What the operator chose: the constants of every decision about a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from worker.core.message.lane import Lane
from worker.core.outcome.catalog import Catalog
from worker.core.topology import Topology


@dataclass(frozen=True, slots=True)
class Backoff:
    """A bound that doubles with every retry; the delay is drawn evenly from zero to it.

    The spread keeps many requests that failed together from coming back together. The ladder of delay queues rounds
    up to a sixteenth of a second.
    """

    #: Upper bound of the first delay.
    first: timedelta
    #: Upper bound of every delay.
    ceiling: timedelta

    def delay(self, retry: int, jitter: float) -> timedelta:
        """Return the delay before retry *retry* (1-based), with *jitter* in [0, 1).

        >>> Backoff(timedelta(seconds=2), timedelta(minutes=10)).delay(retry=3, jitter=0.5)
        datetime.timedelta(seconds=4)
        """
        doublings = min(max(retry, 1) - 1, 32)  # beyond 32 every ceiling is long reached, and 2**n would overflow
        bound = min(self.first.total_seconds() * 2.0**doublings, self.ceiling.total_seconds())
        return timedelta(seconds=bound * jitter)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a request is sent again."""

    backoff: Backoff
    #: How many calls with an unknown outcome a request may have and still be sent again, per lane; 0 dead-letters it.
    resends: Mapping[Lane, int]


@dataclass(frozen=True, slots=True)
class Policy:
    """All of them."""

    catalog: Catalog
    topology: Topology
    retry: RetryPolicy
    #: The deadline of a request that gives none, counted from its publication.
    lifetimes: Mapping[Lane, timedelta]
    show_numbers: bool = False
