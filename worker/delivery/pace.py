"""How fast requests can go: as the quotas allow, less what refused calls have taught by now."""

from collections.abc import Callable, Mapping
from math import inf

from worker.core.limits.learned import LearnedRate
from worker.core.limits.quota import Operation, Quota
from worker.core.message.lane import Lane


class Pace:
    """What all workers have together, so never less than what this one gets."""

    def __init__(
        self,
        quotas: Mapping[Operation, Quota],
        learned: Callable[[], Mapping[Operation, LearnedRate]],
        batch_size: Callable[[], int],
    ) -> None:
        """At most *batch_size* members go in a batch call (0: there are none)."""
        self._quotas = quotas
        self._learned = learned
        self._batch_size = batch_size

    def change(self, quotas: Mapping[Operation, Quota]) -> None:
        """Go by *quotas* from now on."""
        self._quotas = quotas

    def calls_per_s(self, operation: Operation) -> float:
        """Calls of *operation* in a second; infinite without a quota."""
        learned = self._learned().get(operation)
        configured = self._quotas[operation].rate
        if learned is not None and learned.configured == configured:
            return learned.rate
        return configured or inf

    def singles_per_s(self) -> float:
        """Calls with one number in a second; 0 without a quota."""
        return self.calls_per_s(Operation.GLOBE) if self._quotas[Operation.GLOBE].rate else 0.0

    def messages_per_s(self, operation: Operation, lane: Lane) -> float:
        """Requests of *lane* in a second, were it alone: by calls of *operation*, and by batch calls where they may."""
        alone = self.calls_per_s(operation)
        if operation is not Operation.GLOBE or lane is Lane.OTP or not self._batch_size():
            return alone
        return alone + self.calls_per_s(Operation.BATCH) * self._batch_size()
