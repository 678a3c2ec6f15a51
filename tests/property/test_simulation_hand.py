"""What a simulated worker has in hand, against a list that is sorted each time."""

from datetime import timedelta
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from worker.core.message.lane import Lane
from worker.core.message.request import read
from worker.simulation.hand import Hand, Waiting
from worker.simulation.kind import Kind
from worker.simulation.queues import Consumer

SECOND = 1_000_000
FIELDS = {"id": "r-1", "to": "+85251234567", "text": "A sale.", "from": "Shop"}
KINDS = {lane: Kind(read(FIELDS | {"type": lane.sms_type.value}), timedelta(hours=1)) for lane in Lane}
NOBODY = cast("Consumer", None)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from(list(Lane)), st.integers(1, 300), st.booleans()),
        st.tuples(st.just("take"), st.sampled_from(list(Lane)), st.booleans()),
        st.tuples(st.just("remove"), st.integers(0, 10_000)),
        st.tuples(st.just("expire"), st.integers(0, 300)),
    ),
    max_size=300,
)


def chosen(model: list[Waiting], slot_lane: Lane, *, floor: bool) -> Waiting | None:
    lanes = [slot_lane, *Lane] if floor else list(Lane)
    return next((min(of) for lane in lanes if (of := [one for one in model if one.kind.lane is lane])), None)


@given(STEPS)
def test_who_leaves_is_who_should_and_groups_are_those_who_wait(steps: list[tuple[object, ...]]) -> None:
    hand, model = Hand(), list[Waiting]()
    for step in steps:
        match step:
            case "join", Lane() as lane, int(deadline), bool(batched):
                kind, number = KINDS[lane], hand.number(at_the_front=batched)
                key = kind.key(None, 9 * SECOND) if batched else None
                model.append(Waiting(deadline, number, kind, 0, 0, key, None, NOBODY))
                hand.join(model[-1])
            case "take", Lane() as lane, bool(floor):
                expected = chosen(model, lane, floor=floor)
                assert hand.take(lane, floor=floor) == expected
                model = [one for one in model if one is not expected]
            case "remove", int(index) if model:
                hand.remove(model.pop(index % len(model)))
            case "expire", int(now):
                late = {one.number for one in model if one.deadline <= now}
                assert {one.number for one in hand.expired(now)} == late
                model = [one for one in model if one.number not in late]
        for lane, line in hand.lines.items():
            assert hand.in_order(line) == sorted(one for one in model if one.kind.lane is lane)
            assert len(line) == len(hand.in_order(line))
    keys = {one.key for one in model if one.key is not None}
    assert hand.groups(0).keys() == keys
    assert all(hand.most_urgent_first(key) == sorted(one for one in model if one.key == key) for key in keys)
