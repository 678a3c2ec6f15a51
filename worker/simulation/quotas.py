"""The shared quotas, as the limiter has them in Redis."""

from collections.abc import Mapping
from typing import Final

from worker.core.limits.bucket import Share, silence_us
from worker.core.limits.learned import LearnedRate
from worker.core.limits.quota import Operation, Quota
from worker.core.message.lane import Lane
from worker.errors import SettingsError
from worker.settings.policy import QUOTA_KEYS
from worker.simulation.token_bucket import Answer, TokenBucket


class Quotas:
    """One bucket per operation."""

    def __init__(self, quotas: Mapping[Operation, Quota], *, batches: bool, cold_at: int | None = None) -> None:
        """As the configuration gives them; *batches*: whether there are batch calls.

        Redis is empty at *cold_at*; None: it knows of all calls.

        Raises:
            SettingsError: one that is needed has no limit.
        """
        used = (Operation.GLOBE, Operation.BATCH) if batches else (Operation.GLOBE,)
        for operation in used:
            if not quotas[operation].rate:
                raise SettingsError(
                    f"{QUOTA_KEYS[operation]} = 0 is no limit, and how fast calls go then is not simulated; give a rate"
                )
        self.rates: Final = {operation: quotas[operation].rate for operation in used}
        self._buckets: Final = {
            operation: TokenBucket(0 if cold_at is None else cold_at + silence_us(quotas[operation]))
            for operation in used
        }
        self._shares: Final = {
            (operation, lane): Share.of(quotas[operation], lane) for operation in used for lane in Lane
        }

    def grant(self, now: int, operation: Operation, lane: Lane, want: int) -> Answer:
        """Book up to *want* slots."""
        return self._buckets[operation].grant(now, lane, self._shares[operation, lane], want)

    def learned(self, now: int) -> Mapping[Operation, LearnedRate]:
        """How fast each operation may be called."""
        return {
            operation: LearnedRate(self._buckets[operation].learned_now(now, rate), rate)
            for operation, rate in self.rates.items()
        }

    def throttled(self, now: int, operation: Operation) -> None:
        """The provider refused a call because of its limit."""
        self._buckets[operation].throttle(now, self.rates[operation], 0)
