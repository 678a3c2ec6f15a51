"""What every simulation keeps, whatever the plan."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plans import played
from worker.core.limits.quota import Operation
from worker.simulation.books import Books
from worker.simulation.quotas import Quotas
from worker.simulation.token_bucket import Booked

CODES = ("MOBILE_NUMBER_ILLEGAL", "local.not_reached", "local.timeout", "QPS_LIMIT_CONTROL", "FREQUENCY_LIMIT_DAY")


@st.composite
def streams(draw: st.DrawFn) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "type": draw(st.sampled_from(["OTP", "NOTIFY", "MKT"])),
        "senders": draw(st.sampled_from([("Shop",), ("Shop", "Club")])),
        "count": draw(st.integers(1, 200)),
        "start": draw(st.sampled_from(["0s", "1500ms", "20s"])),
        "lifetime": draw(st.sampled_from(["500ms", "5s", "10m", "2d"])),
    }
    if draw(st.booleans()):
        fields["rate"] = draw(st.floats(1, 200))
    return fields


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    refusals = draw(st.lists(st.sampled_from(CODES), max_size=3, unique=True))
    walls = {"single_calls": draw(st.sampled_from([0, 20])), "batch_calls": draw(st.sampled_from([0, 1]))}
    return {
        "streams": draw(st.lists(streams(), min_size=1, max_size=4)),
        "workers": draw(st.integers(1, 3)),
        "seed": draw(st.integers(0, 9)),
        "provider": walls | {"slowest": "300ms", "refusals": [{"code": code, "probability": 0.2} for code in refusals]},
        "flags": {
            "quota.send_message_to_globe": draw(st.sampled_from([1, 30, 300])),
            "batch.size": draw(st.sampled_from([0, 3, 100])),
            "provider.concurrency": draw(st.sampled_from([1, 7, 200])),
            "lanes.marketing.prefetch": draw(st.sampled_from([1, 5, 200])),
        },
    }


@settings(max_examples=60)
@given(plans())
def test_every_message_ends_once_and_is_sent_in_time_and_in_a_call(plan: dict[str, Any]) -> None:
    report = played(*plan.pop("streams"), **plan)

    for lane in report.lanes.values():
        assert lane.sent + sum(lane.dead.values()) == lane.published
        assert lane.curves.backlog[-1] == 0
        if lane.waits is not None:
            assert 0 <= lane.waits.p50 <= lane.waits.p99 <= lane.waits.most
    members = report.fill * report.batches.calls if report.batches else 0
    accepted = sum(lane.sent for lane in report.lanes.values())
    assert accepted <= round(members) + report.singles.calls - report.singles.refused
    if report.batches:
        assert report.fill <= plan["flags"]["batch.size"]


@settings(max_examples=40)
@given(plans())
def test_slots_are_never_more_than_the_quota_and_calls_never_more_than_slots(plan: dict[str, Any]) -> None:
    slots: dict[Operation, list[int]] = {operation: [] for operation in Operation}
    books: list[Books] = []
    grant, begin = Quotas.grant, Books.__init__

    def granted(self: Quotas, now: int, operation: Operation, lane: Any, want: int) -> Any:
        answer = grant(self, now, operation, lane, want)
        if isinstance(answer, Booked):
            slots[operation] += [now + wait for wait in answer.waits_us]
        return answer

    def began(self: Books, begins: int, messages: int) -> None:
        begin(self, begins, messages)
        books.append(self)

    try:
        Quotas.grant, Books.__init__ = granted, began  # type: ignore[method-assign]
        played(*plan.pop("streams"), **plan)
    finally:
        Quotas.grant, Books.__init__ = grant, begin  # type: ignore[method-assign]

    rates = {Operation.GLOBE: plan["flags"]["quota.send_message_to_globe"], Operation.BATCH: 1}
    for operation, rate in rates.items():
        booked = slots[operation]
        assert all(later - earlier >= 1_000_000 for earlier, later in zip(booked, booked[rate:], strict=False))
        assert books[0].calls[operation] <= len(booked)
