"""The limits in force, in the language of the scripts; they may be swapped at any time."""

from collections.abc import Mapping, Sequence

from worker.core.limits.bucket import Share, silence_us
from worker.core.limits.quota import Cap, Operation, Quota, Shadow, Window
from worker.core.message.lane import Lane
from worker.limiter.admission import Counters


class Limits:
    """What `RedisLimiter` tells the scripts."""

    def __init__(self, quotas: Mapping[Operation, Quota], windows: Sequence[Window], caps: Sequence[Cap]) -> None:
        #: How long nothing is granted after slots may have been forgotten. Microseconds.
        self.silences: Mapping[Operation, int] = {}
        self.change(quotas, windows, caps)

    def change(
        self,
        quotas: Mapping[Operation, Quota],
        windows: Sequence[Window],
        caps: Sequence[Cap],
        shadow: Shadow = Shadow(),  # noqa: B008 - it is frozen
    ) -> None:
        """Hold to these limits from now on; slots that are booked stay, and so does the silence that they need."""
        #: Calls per window of each operation; 0: no limit.
        self.rates = {operation: quota.rate for operation, quota in quotas.items()}
        self.shares = {(op, lane): Share.of(quota, lane) for op, quota in quotas.items() for lane in Lane}
        self.silences = {op: max(silence_us(one), self.silences.get(op, 0)) for op, one in quotas.items()}
        self.counters = Counters(windows, caps, shadow)
