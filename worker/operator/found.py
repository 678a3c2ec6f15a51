"""What RabbitMQ and Redis told of how everything stands; what they could not is None, or not there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from worker.broker.depths import Depth
from worker.core.limits.holds import ACCOUNT, Hold
from worker.core.limits.learned import LearnedRate
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.standing import Standing
from worker.limiter.overrides import Seen
from worker.limiter.ring import Shared


@dataclass(slots=True)
class Found:
    """What was told."""

    #: The two queues of each lane: what is new, and what is due; None is a queue that does not exist.
    lanes: Mapping[Lane, tuple[Depth | None, Depth | None]] | None = None
    queues: Mapping[str, Depth] | None = None
    #: Calls per second; an operation without a quota is not there, because its calls are not counted.
    granted: Mapping[Operation, float] | None = None
    holds: Sequence[Hold] = ()
    #: Why something could not be asked for.
    faults: list[str] = field(default_factory=list)
    #: What workers share, which may be another quota than that of the configuration here.
    shared: Mapping[Operation, Shared] = field(default_factory=dict)
    #: What refused calls have taught of the operations that have a quota.
    learned: Mapping[Operation, LearnedRate] = field(default_factory=dict)
    #: Calls that the provider refused because of its limit in the last minute.
    throttled: Mapping[Operation, int] = field(default_factory=dict)
    #: Limits that an operator has changed.
    limits: Seen | None = None
    #: How each worker stands.
    workers: Mapping[str, Standing] | None = None

    @property
    def is_held(self) -> bool:
        """Whether the account is, and so all of its senders and countries."""
        return any(hold.name == ACCOUNT for hold in self.holds)
