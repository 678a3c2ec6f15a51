"""A request that waits for its turn in this worker, and what it waits for."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from worker.core.batch import BatchKey, Member
from worker.core.limits.quota import Admitted, Operation
from worker.core.message.decode import Request
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import Outcome


class Slot(NamedTuple):
    """A turn to call, due at *due* (monotonic clock)."""

    operation: Operation
    lane: Lane
    due: float
    #: Used later than this (monotonic clock), it would break the promise of N calls in any second.
    use_by: float
    floor: bool
    probe: bool


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits for its slot."""

    request: Request
    #: When it began to wait (monotonic clock).
    since: float
    #: Becomes its slot, or its outcome when it gets none.
    turn: "asyncio.Future[Slot | Outcome]"
    #: False when its delivery was lost and comes again: then a call would be one too many.
    is_wanted: Callable[[], bool] = lambda: True
    #: Names its caller in the ledger; nobody else has this name.
    caller: str = ""
    #: How often it was claimed: each claim has a token of its own, so nothing that is told late of one hits another.
    claims: int = 0
    #: Seconds until its place in its recipient's windows, when that is near enough to be waited for here.
    rest_s: float = 0.0
    #: Set while it is claimed and counted for the slot that it is about to use.
    admitted: Admitted | None = None
    #: With whom it may go in a batch call; None: it goes alone.
    key: BatchKey | None = None
    #: What filling a call looks at, once that was reckoned.
    member: Member | None = None

    def resolve(self, turn: Slot | Outcome) -> None:
        """End its wait; its delivery may have been cancelled meanwhile."""
        if not self.turn.done():
            self.turn.set_result(turn)
