"""The names, arguments and routes of the topology."""

from datetime import timedelta

import pytest

from worker.core.ladder import LEVELS
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES, ErrorClass
from worker.core.topology import DELIVERY_LIMIT, NEVER_DROP, Bounds, Queue, Route, Topology

TOPOLOGY = Topology()
QUEUES = {queue.name: queue for queue in TOPOLOGY.queues()}


@pytest.mark.parametrize(
    ("delay", "exchange", "key"),
    [
        (timedelta(seconds=-5), "sms.due", "otp.due"),
        (timedelta(0), "sms.due", "otp.due"),
        (timedelta(microseconds=1), "sms.delay.063ms", "0.0.0.0.0.0.0.1.otp.due"),
        (timedelta(milliseconds=62.5), "sms.delay.063ms", "0.0.0.0.0.0.0.1.otp.due"),
        (timedelta(milliseconds=62.501), "sms.delay.125ms", "0.0.0.0.0.0.1.0.otp.due"),
        (timedelta(milliseconds=500), "sms.delay.500ms", "0.0.0.0.1.0.0.0.otp.due"),
        (timedelta(milliseconds=937.501), "sms.delay.00", "0.0.0.1.0.0.0.0.otp.due"),
        (timedelta(seconds=1), "sms.delay.00", "0.0.0.1.0.0.0.0.otp.due"),
        (timedelta(seconds=1.001), "sms.delay.00", "0.0.0.1.0.0.0.1.otp.due"),
        (timedelta(seconds=2), "sms.delay.01", "0.0.1.0.0.0.0.0.otp.due"),
        (timedelta(seconds=8), "sms.delay.03", "1.0.0.0.0.0.0.0.otp.due"),
        (timedelta(seconds=15.9375), "sms.delay.03", "1.1.1.1.1.1.1.1.otp.due"),
        (timedelta(seconds=16), "sms.delay.03", "1.1.1.1.1.1.1.1.otp.due"),
    ],
)
def test_a_delay_enters_the_ladder_at_its_highest_bit_and_is_never_early(
    delay: timedelta, exchange: str, key: str
) -> None:
    assert Topology(levels=4).to_lane_after(delay, Lane.OTP) == Route(exchange, key)


@pytest.mark.parametrize("level", range(LEVELS))
def test_the_queues_of_whole_seconds_are_what_they_always_were(level: int) -> None:
    """Their arguments cannot be changed: a version that asked for others could not start beside the old one."""
    below = f"sms.delay.{level - 1:02d}" if level else "sms.delay.end"

    assert QUEUES[f"sms.delay.{level:02d}"].arguments == {
        "x-queue-type": "quorum",
        "x-message-ttl": 1000 * 2**level,
        "x-dead-letter-exchange": below,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def test_the_ladder_reaches_a_schedule_of_31_days() -> None:
    assert timedelta(days=31) < TOPOLOGY.longest_delay < timedelta(days=62)


def test_what_is_in_a_queue_of_the_ladder_waits_there_and_in_all_below_at_most() -> None:
    waits = TOPOLOGY.longest_waits()

    assert list(waits) == list(TOPOLOGY.delay_queues())
    assert waits["sms.delay.063ms"] == timedelta(milliseconds=63)
    assert waits["sms.delay.500ms"] == timedelta(milliseconds=938)
    assert waits["sms.delay.02"] == timedelta(seconds=7, milliseconds=938)
    assert max(waits.values()) >= TOPOLOGY.longest_delay


def test_every_queue_is_replicated_and_none_forgets_what_it_passes_on() -> None:
    assert all(queue.arguments["x-queue-type"] == "quorum" for queue in QUEUES.values())
    passing_on = [queue for queue in QUEUES.values() if "x-dead-letter-exchange" in queue.arguments]
    assert len(passing_on) == 2 * len(Lane) + len(TOPOLOGY.delay_queues())
    assert {queue.arguments["x-dead-letter-strategy"] for queue in passing_on} == {"at-least-once"}
    assert {queue.arguments["x-overflow"] for queue in passing_on} == {"reject-publish"}


@pytest.mark.parametrize("lane", Lane)
def test_a_request_that_is_delivered_too_often_becomes_poison(lane: Lane) -> None:
    arguments = QUEUES[TOPOLOGY.lane_queue(lane)].arguments
    assert QUEUES[TOPOLOGY.due_queue(lane)].arguments == arguments
    assert arguments["x-delivery-limit"] == DELIVERY_LIMIT
    target = Route(arguments["x-dead-letter-exchange"], arguments["x-dead-letter-routing-key"])
    assert target == TOPOLOGY.to_dead(ErrorClass.POISON)


@pytest.mark.parametrize("error_class", DEAD_CLASSES)
def test_a_dead_letter_is_never_dropped_by_being_looked_at_or_by_age(error_class: ErrorClass) -> None:
    assert QUEUES[TOPOLOGY.dead_queue(error_class)].arguments == {
        "x-queue-type": "quorum",
        "x-delivery-limit": NEVER_DROP,
    }


def test_the_outcome_queue_is_bounded_as_configured() -> None:
    (queue,) = _queues_named(Topology(done=Bounds(length=5, age=timedelta(minutes=2))), "sms.done")
    assert (queue.arguments["x-max-length"], queue.arguments["x-message-ttl"]) == (5, 120_000)


def test_what_no_lane_takes_has_a_queue() -> None:
    exchanges = {exchange.name: exchange for exchange in TOPOLOGY.exchanges()}
    assert exchanges["sms.send"].arguments == {"alternate-exchange": "sms.unroutable"}
    assert [binding.destination for binding in TOPOLOGY.bindings() if binding.source == "sms.unroutable"] == [
        "sms.dead.unroutable"
    ]


def test_two_namespaces_share_no_name() -> None:
    ours, theirs = Topology("ours"), Topology("theirs")
    assert not _names(ours) & _names(theirs)


def test_every_binding_is_between_things_that_are_declared() -> None:
    names = _names(TOPOLOGY)
    assert {binding.source for binding in TOPOLOGY.bindings()} <= names
    assert {binding.destination for binding in TOPOLOGY.bindings()} <= names


def _names(topology: Topology) -> set[str]:
    return {queue.name for queue in topology.queues()} | {exchange.name for exchange in topology.exchanges()}


def _queues_named(topology: Topology, name: str) -> list[Queue]:
    return [queue for queue in topology.queues() if queue.name == name]


def test_only_what_came_through_an_exchange_of_the_workers_has_headers_that_count() -> None:
    topology = Topology("acme")

    assert all(
        topology.is_ours(exchange)
        for exchange in (
            "acme.due",
            "acme.delay.00",
            "acme.delay.21",
            "acme.delay.end",
            "acme.delay.063ms",
            "acme.delay.due",
        )
    )
    assert not any(
        topology.is_ours(exchange)
        for exchange in (
            "",
            "acme.send",
            "acme.dead",
            "acme.done",
            "acme.unroutable",
            "sms.due",
            "acme.duel",
            "acme.delay",
        )
    )
    ends = {route.exchange for lane in Lane for route in (topology.back_to_lane(lane), topology.to_due(lane))}
    ends |= {topology.to_lane_after(timedelta(seconds=delay), Lane.OTP).exchange for delay in (0, 0.1, 1, 5, 3_000_000)}
    assert all(map(topology.is_ours, ends))
