"""What the operator chose: the constants of every decision about a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from worker.core.decision.backoff import Backoff
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import Catalog
from worker.core.topology import Topology


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
