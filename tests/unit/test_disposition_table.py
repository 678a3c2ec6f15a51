"""The whole policy as one table: class, lane, time left -> disposition, queue, delay. It needs the core and no more."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.makers import POLICY, make_failed, make_request
from worker.core.decision.decide import decide
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.outcome.disposition import Dead, Done, Requeue, Retry, Withdrawn
from worker.core.outcome.outcome import Accepted, Cancelled, Closed, Early, Outcome, Unserved

#: Noon in Singapore: the day ends in twelve hours, the month in a week.
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
AMPLE, SHORT = timedelta(days=30), timedelta(seconds=1)
ANY = tuple(Lane)
NOT_OTP = (Lane.NOTIFY, Lane.MARKETING)

#: What happened | lanes | time until the deadline | disposition and dead-letter class | seconds at jitter 0.5.
TABLE: list[tuple[str, tuple[Lane, ...], timedelta, str, float]] = [
    ("accepted", ANY, AMPLE, "done", 0),
    ("accepted", ANY, -SHORT, "done", 0),
    ("QPS_LIMIT_CONTROL", ANY, AMPLE, "retry", 0),
    ("QPS_LIMIT_CONTROL", ANY, -SHORT, "retry", 0),
    ("AMOUNT_NOT_ENOUGH", ANY, AMPLE, "retry", 0),
    ("AMOUNT_NOT_ENOUGH", ANY, -SHORT, "retry", 0),
    ("SYSTEM_ERROR", ANY, AMPLE, "retry", 2.5),
    ("SYSTEM_ERROR", ANY, SHORT, "dead expired", 0),
    ("local.not_reached", ANY, AMPLE, "retry", 2.5),
    ("local.not_reached", ANY, SHORT, "dead expired", 0),
    ("DATA_NOT_EXIST", ANY, AMPLE, "retry", 2.5),
    ("FREQUENCY_LIMIT_DAY", ANY, AMPLE, "retry", 43_230),
    ("FREQUENCY_LIMIT_DAY", ANY, timedelta(hours=12), "dead limited", 0),
    ("COUNTRY_TRAFFIC_LIMIT", ANY, AMPLE, "retry", 43_230),
    ("ALERT_LIMIT_DAY", ANY, AMPLE, "retry", 43_230),
    ("ALERT_LIMIT_MONTH", ANY, AMPLE, "retry", 648_030),
    ("ALERT_LIMIT_MONTH", ANY, timedelta(days=7), "dead limited", 0),
    ("window closed for 90 s", ANY, AMPLE, "retry", 90),
    ("window closed for 90 s", ANY, timedelta(seconds=90), "dead limited", 0),
    ("window that just opened", ANY, AMPLE, "retry", 0.05),
    ("early by 60 s", ANY, AMPLE, "retry", 60),
    ("early by 60 s", ANY, timedelta(seconds=60), "dead expired", 0),
    ("local.timeout", (Lane.OTP,), AMPLE, "retry", 2.5),
    ("local.timeout", (Lane.OTP,), SHORT, "dead unknown", 0),
    ("local.timeout after a resend", (Lane.OTP,), AMPLE, "dead unknown", 0),
    ("local.timeout", NOT_OTP, AMPLE, "dead unknown", 0),
    ("InternalError", NOT_OTP, AMPLE, "dead unknown", 0),
    ("A_CODE_OF_TOMORROW", NOT_OTP, AMPLE, "dead unknown", 0),
    ("INVALID_PARAMETERS", ANY, AMPLE, "dead invalid", 0),
    ("MOBILE_NUMBER_ILLEGAL", ANY, AMPLE, "dead recipient", 0),
    ("SMS_CONTENT_ILLEGAL", ANY, AMPLE, "dead content", 0),
    ("local.expired", ANY, -SHORT, "dead expired", 0),
    ("local.internal", ANY, AMPLE, "dead internal", 0),
    ("cancelled", ANY, AMPLE, "withdrawn", 0),
    ("cancelled", ANY, -SHORT, "withdrawn", 0),
    ("cancelled after a resend", ANY, AMPLE, "dead unknown", 0),
    ("cancelled, one call unknown", ANY, AMPLE, "dead unknown", 0),
    ("unserved", ANY, AMPLE, "give back", 0),
]
NOT_CALLS: dict[str, Outcome] = {
    "accepted": Accepted("M-1", "R-1", 1),
    "window closed for 90 s": Closed("otp 1 per 30 s", timedelta(seconds=90)),
    "window that just opened": Closed("otp 1 per 30 s", timedelta(milliseconds=-1)),
    "early by 60 s": Early(NOON + timedelta(seconds=60)),
    "cancelled": Cancelled(),
    "cancelled, one call unknown": Cancelled(unknowns=1),
    "unserved": Unserved("the worker is draining"),
}
ROWS = [(what, lane, left, *expected) for what, lanes, left, *expected in TABLE for lane in lanes]


@pytest.mark.parametrize(("what", "lane", "left", "becomes", "delay_s"), ROWS)
def test_what_becomes_of_a_request(what: str, lane: Lane, left: timedelta, becomes: str, delay_s: float) -> None:
    code = what.removesuffix(" after a resend")
    history = History(published=NOON, unknowns=1 if code != what else 0)
    outcome = NOT_CALLS.get(code) or make_failed(code)

    disposition = decide(make_request(lane, deadline=NOON + left, history=history), outcome, POLICY, NOON, 0.5)

    match disposition:
        case Done():
            assert becomes == "done"
        case Withdrawn():
            assert becomes == "withdrawn"
        case Retry(delay, _, _):
            assert (becomes, delay_s) == ("retry", delay.total_seconds())
        case Dead(reason, _):
            assert becomes == f"dead {reason.error_class.value}"
        case Requeue():
            assert becomes == "give back"
