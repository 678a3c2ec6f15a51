"""The ladder of delays, walked by its declared bindings alone, as RabbitMQ would."""

import re
from datetime import timedelta
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from worker.core.message.lane import Lane
from worker.core.topology import Route, Topology

TOPOLOGY = Topology()
DELAYS = st.timedeltas(min_value=timedelta(days=-1), max_value=timedelta(days=60))


def matches(kind: str, pattern: str, key: str) -> bool:
    """AMQP's matching of a routing key: ``*`` is one word, ``#`` any number of words."""
    if kind == "direct":
        return pattern == key
    parts = [r"[^.]+" if word == "*" else r".*" if word == "#" else re.escape(word) for word in pattern.split(".")]
    return re.fullmatch(r"\.".join(parts).replace(r"\..*", r"(\..*)?").replace(r".*\.", r"(.*\.)?"), key) is not None


def queues_reached(topology: Topology, route: Route) -> list[str]:
    """Every queue that gets a message published to *route*."""
    kinds = {exchange.name: exchange.kind for exchange in topology.exchanges()}
    found: list[str] = []
    for binding in topology.bindings():
        if binding.source == route.exchange and matches(kinds[route.exchange], binding.key, route.key):
            if binding.to_exchange:
                found += queues_reached(topology, Route(binding.destination, route.key))
            else:
                found.append(binding.destination)
    return found


def walk(topology: Topology, route: Route) -> tuple[list[str], int]:
    """The queues that a message visits and the milliseconds that it waits in them."""
    arguments = {queue.name: queue.arguments for queue in topology.queues()}
    visited: list[str] = []
    waited_ms = 0
    while True:
        reached = queues_reached(topology, route)
        assert len(reached) == 1, f"{route} reaches {reached}"
        visited += reached
        ttl_ms = arguments[reached[0]].get("x-message-ttl")
        if ttl_ms is None:
            return visited, waited_ms
        waited_ms += ttl_ms
        route = Route(arguments[reached[0]]["x-dead-letter-exchange"], route.key)


@given(delay=DELAYS, lane=st.sampled_from(Lane))
def test_a_delayed_message_waits_its_delay_rounded_up_and_ends_in_its_lane(delay: timedelta, lane: Lane) -> None:
    expected_s = min(max(ceil(delay.total_seconds()), 0), int(TOPOLOGY.longest_delay.total_seconds()))

    visited, waited_ms = walk(TOPOLOGY, TOPOLOGY.to_lane_after(delay, lane))

    assert visited[-1] == TOPOLOGY.lane_queue(lane)
    assert waited_ms == expected_s * 1000
    assert len(visited) == len(set(visited)) == expected_s.bit_count() + 1


@given(levels=st.integers(min_value=1, max_value=8), seconds=st.integers(min_value=0, max_value=300))
def test_a_ladder_of_any_height_never_sends_early_within_its_reach(levels: int, seconds: int) -> None:
    topology = Topology("other", levels=levels)
    reach = min(seconds, 2**levels - 1)

    visited, waited_ms = walk(topology, topology.to_lane_after(timedelta(seconds=seconds), Lane.NOTIFY))

    assert (visited[-1], waited_ms) == ("other.send.notify", reach * 1000)
