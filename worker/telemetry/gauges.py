"""States of the worker, asked for at every scrape rather than kept: they cannot go stale or drift."""

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from worker.core.limits.holds import ACCOUNT, SCOPES, Hold
from worker.core.limits.learned import LearnedRate
from worker.core.limits.quota import Operation
from worker.core.message.lane import Lane
from worker.core.standing import Standing


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the worker stands at this moment."""

    #: Deliveries received and not yet settled.
    in_hand: Mapping[Lane, int] = field(default_factory=dict)
    #: How long ago the oldest of them was published first, where that is known. Seconds.
    oldest_s: Mapping[Lane, float] = field(default_factory=dict)
    #: Of them, those that wait for their turn.
    waiting: Mapping[Lane, int] = field(default_factory=dict)
    #: Messages are taken from the broker.
    consuming: bool = False
    #: The publishing connection stands.
    publishing: bool = False
    #: The broker refuses publishes because of an alarm.
    blocked: bool = False
    #: What was called for can be told: no publish waits for its confirm for longer than one try.
    telling: bool = True
    #: Redis answers.
    limiter: bool = False
    #: How fast each operation may be called, as refused calls have taught.
    learned: Mapping[Operation, LearnedRate] = field(default_factory=dict)
    draining: bool = False
    #: Scopes for which sending is stopped.
    holds: Sequence[Hold] = ()
    #: Why the brake is set.
    braked: str | None = None
    #: Why nothing can be sent for longer than a moment: limiter, outcomes or held.
    standstill: str | None = None

    @property
    def held(self) -> str | None:
        """The code for which the account is held."""
        return next((hold.code for hold in self.holds if hold.name == ACCOUNT), None)

    def told(self) -> Standing:
        """What others hear of this worker."""
        return Standing(
            in_hand=self.in_hand,
            oldest_s=self.oldest_s,
            braked=self.braked,
            standstill=self.standstill,
            draining=self.draining,
            host=platform.node(),
            pid=os.getpid(),
        )

    def conditions(self) -> dict[str, bool | str]:
        """What readiness is made of (`health.Health`): ready is able to take messages and to settle them.

        A hold is a fact and no condition: the worker does what it should, and taking it out of service mends nothing.
        """
        return {
            "broker_consuming": self.consuming,
            "broker_publishing": self.publishing,
            "broker_not_blocked": not self.blocked,
            "outcomes_told": self.telling,
            "limiter_available": self.limiter,
            "not_draining": not self.draining,
            "not_braked": self.braked is None,
            "brake": self.braked or "released",
            "intake_paused": self.standstill or "no",
            "account_held": self.held or "no",
            "held": ", ".join(str(hold.name) for hold in self.holds) or "nothing",
        }


class Gauges(Collector):
    """Tells a `Snapshot` to Prometheus; nothing until one is set."""

    def __init__(self) -> None:
        self.snapshot: Callable[[], Snapshot] | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every gauge."""
        if self.snapshot is None:
            return
        now = self.snapshot()
        yield _by("sms_in_hand", "Deliveries received and not yet settled.", "lane", _lanes(now.in_hand))
        yield _by("sms_waiting", "Of those in hand, the ones that wait for their turn.", "lane", _lanes(now.waiting))
        roles = {"consume": now.consuming, "publish": now.publishing}
        yield _by("sms_broker_connected", "Whether RabbitMQ is connected.", "role", roles)
        yield _one("sms_broker_blocked", "Whether RabbitMQ refuses publishes because of an alarm.", now.blocked)
        yield _one("sms_limiter_available", "Whether Redis answers; nothing is sent while it does not.", now.limiter)
        held = {scope.value: sum(hold.name.scope is scope for hold in now.holds) for scope in SCOPES}
        yield _by("sms_held", "Holds: how many accounts, senders, countries are stopped for now.", "scope", held)
        rates = {operation.value: rate for operation, rate in now.learned.items()}
        learned = {name: rate.rate for name, rate in rates.items()}
        yield _by("sms_quota_learned", "Calls per second that the provider lets through.", "operation", learned)
        foreign = {name: rate.foreign for name, rate in rates.items()}
        yield _by("sms_quota_foreign_ratio", "Part of the quota that the provider refuses.", "operation", foreign)
        yield _one("sms_draining", "Whether the worker is leaving.", now.draining)
        yield _one("sms_worker_braked", "Whether too much goes wrong, so that intake pauses.", now.braked is not None)
        yield _one("sms_intake_paused", "Whether intake waits until sending is possible.", now.standstill is not None)


def _lanes(counts: Mapping[Lane, int]) -> dict[str, float]:
    """Every lane is told, so that an absent series means an absent worker."""
    return {lane.value: counts.get(lane, 0) for lane in Lane}


def _one(name: str, sentence: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, sentence, value=float(value))


def _by(name: str, sentence: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, sentence, labels=[label])
    for value, amount in values.items():
        family.add_metric([value], float(amount))
    return family
