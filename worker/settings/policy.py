"""From the configuration to the values that the core decides with."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from worker.core.batch import BATCHED
from worker.core.decision.policy import Backoff, Policy, RetryPolicy
from worker.core.limits.brake import Limits
from worker.core.limits.quota import Cap, Operation, Quota, Window
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.topology import Bounds, Topology
from worker.settings.sections import Settings

#: The guard of batch calls at least: they are large, so their way to the provider takes more or less time.
_LEAST_BATCH_GUARD: Final = timedelta(milliseconds=50)
#: For what comes before a call and after it: a slot that is not due yet, a busy machine, a Redis that is slow.
_LEASE_MARGIN: Final = timedelta(seconds=5)


def topology_of(settings: Settings) -> Topology:
    """The broker's topology."""
    return Topology(settings.broker.namespace, Bounds(settings.outcomes.length, settings.outcomes.age))


def policy_of(settings: Settings) -> Policy:
    """The constants of every decision."""
    lanes = {lane: settings.lanes.of(lane) for lane in Lane}
    return Policy(
        catalog=catalog().overridden(settings.catalog.classes),
        topology=topology_of(settings),
        retry=RetryPolicy(
            Backoff(settings.retry.first, settings.retry.ceiling),
            {lane: section.resends for lane, section in lanes.items()},
        ),
        lifetimes={lane: section.lifetime for lane, section in lanes.items()},
        show_numbers=settings.outcomes.show_numbers,
    )


def lease_of(settings: Settings) -> timedelta:
    """Longer than any call lasts, from the moment before it until its outcome is known."""
    return settings.provider.connect_timeout + settings.provider.read_timeout + _LEASE_MARGIN


#: The key of each operation's quota.
QUOTA_KEYS: Final[Mapping[Operation, str]] = {
    Operation.GLOBE: "quota.send_message_to_globe",
    Operation.TEMPLATE: "quota.send_message_with_template",
    Operation.BATCH: "quota.batch_send_message_to_globe",
}


def quotas_of(settings: Settings) -> Mapping[Operation, Quota]:
    """The quota of each operation; a lane's floor is its share of the rate. Batch calls have no floors."""
    rates = {
        Operation.GLOBE: settings.quota.send_message_to_globe,
        Operation.TEMPLATE: settings.quota.send_message_with_template,
    }
    guard = settings.quota.guard
    singles = {
        operation: Quota(rate, guard, {lane: rate * settings.lanes.of(lane).floor for lane in Lane})
        for operation, rate in rates.items()
    }
    batch = Quota(settings.quota.batch_send_message_to_globe, max(guard, _LEAST_BATCH_GUARD))
    return {**singles, Operation.BATCH: batch}


def prefetch_of(settings: Settings, lane: Lane) -> int:
    """Unsettled deliveries of *lane* that a worker has at the most from each of its queues.

    Enough for the next batch call, and for the one after it while that is under way.
    """
    more = 2 * settings.batch.size if lane in BATCHED else 0
    return settings.lanes.of(lane).prefetch + more


def windows_of(settings: Settings) -> tuple[Window, ...]:
    """The windows of every recipient."""
    return tuple(Window(one.limit, one.period, frozenset(one.lanes)) for one in settings.limits.recipient)


def caps_of(settings: Settings) -> tuple[Cap, ...]:
    """The caps per country and account."""
    return tuple(Cap(one.limit, one.period, one.prefix) for one in settings.limits.caps)


def brake_of(settings: Settings) -> Limits:
    """How much may go wrong before intake pauses."""
    brake = settings.brake
    return Limits(brake.internal, brake.dead, brake.sample, brake.pause)
