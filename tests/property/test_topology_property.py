"""The ladder of delays, walked by its declared bindings alone, as RabbitMQ would."""

import re
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from worker.core.ladder import LEVELS, STEP
from worker.core.message.lane import Lane
from worker.core.topology import Route, Topology

TOPOLOGY = Topology()
#: What whole milliseconds add to the fractions of a second.
MOST_ROUNDED = timedelta(milliseconds=1)
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
def test_a_delayed_message_is_never_early_little_late_and_ends_where_its_lane_has_what_is_due(
    delay: timedelta, lane: Lane
) -> None:
    wanted = min(max(delay, timedelta(0)), TOPOLOGY.longest_delay)

    visited, waited_ms = walk(TOPOLOGY, TOPOLOGY.to_lane_after(delay, lane))

    assert visited[-1] == TOPOLOGY.due_queue(lane)
    assert wanted <= timedelta(milliseconds=waited_ms) < wanted + STEP + MOST_ROUNDED
    assert len(visited) == len(set(visited))
    hops = [queue for queue in TOPOLOGY.delay_queues() if queue in visited]
    assert visited[:-1] == hops, "the longest wait first"


@given(seconds=st.integers(min_value=0, max_value=2**LEVELS - 1), lane=st.sampled_from(Lane))
def test_whole_seconds_wait_exactly_and_take_one_hop_for_each_bit(seconds: int, lane: Lane) -> None:
    visited, waited_ms = walk(TOPOLOGY, TOPOLOGY.to_lane_after(timedelta(seconds=seconds), lane))

    assert (waited_ms, len(visited)) == (seconds * 1000, seconds.bit_count() + 1)


@given(seconds=st.integers(min_value=1, max_value=2**LEVELS - 1), lane=st.sampled_from(Lane), data=st.data())
def test_what_a_version_without_fractions_routed_comes_to_its_lane_after_the_same_time(
    seconds: int, lane: Lane, data: st.DataObject
) -> None:
    """Wherever it is on the ladder: a rolling upgrade declares the new exchanges under what waits in the old ones."""
    bits = format(seconds, f"0{LEVELS}b")
    level = data.draw(st.sampled_from([LEVELS - 1 - place for place, bit in enumerate(bits) if bit == "1"]))

    visited, waited_ms = walk(TOPOLOGY, Route(f"sms.delay.{level:02d}", ".".join((*bits, lane.value))))

    assert visited[-1] == TOPOLOGY.lane_queue(lane)
    assert waited_ms == seconds % 2 ** (level + 1) * 1000


@given(levels=st.integers(min_value=1, max_value=8), delay=st.timedeltas(timedelta(0), timedelta(seconds=300)))
def test_a_ladder_of_any_height_never_sends_early_within_its_reach(levels: int, delay: timedelta) -> None:
    topology = Topology("other", levels=levels)
    reach = min(delay, topology.longest_delay)

    visited, waited_ms = walk(topology, topology.to_lane_after(delay, Lane.NOTIFY))

    assert visited[-1] == "other.due.notify"
    assert reach <= timedelta(milliseconds=waited_ms) < reach + STEP + MOST_ROUNDED


@given(lane=st.sampled_from(Lane))
def test_what_is_replayed_or_published_joins_the_end_of_its_lane(lane: Lane) -> None:
    for route in (TOPOLOGY.back_to_lane(lane), TOPOLOGY.to_lane(lane)):
        assert walk(TOPOLOGY, route) == ([TOPOLOGY.lane_queue(lane)], 0)
