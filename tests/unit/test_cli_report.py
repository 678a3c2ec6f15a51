"""The demo's arithmetic: what it counts twice, and whether it notices when the counts differ."""

from dataclasses import replace
from typing import Any

import pytest

from tests.letters import make_letter
from worker.cli.demo.cast import Publication
from worker.cli.demo.play import Ended, Scenario
from worker.cli.demo.report import checks, rate_while_waiting, report, worst_second
from worker.core.limits.quota import Operation
from worker.core.outcome.outcome import ErrorClass
from worker.sandbox.account import BookEntry, Summary

GLOBE, TEMPLATE = Operation.GLOBE.value, Operation.TEMPLATE.value
SUMMARY = Summary(0, 0, 0, (), {}, 0, 0, None, None)


def call(task_id: str, arrived: float = 0.0, *, accepted: bool = True, action: str = GLOBE) -> BookEntry:
    number = "85251234567" if action == GLOBE else "8613800000001"
    return BookEntry(1, arrived, action, task_id, "OK" if accepted else "X", accepted, number, None)


#: An ordinary one; one refused; one sent twice by policy; one whose reply was lost; a template; one malformed.
CALLS = (
    call("otp.1", 0.0),
    call("no-such-number.1", 0.5, accepted=False),
    call("reply-lost-otp.1", 1.0),
    call("reply-lost-otp.1", 3.0),
    call("reply-lost.1", 1.5),
    call("", 2.0, action=TEMPLATE),
)
PUBLISHED = ("otp.1", "no-such-number.1", "reply-lost-otp.1", "reply-lost.1", "mainland.1", None)
LETTERS = {
    ErrorClass.RECIPIENT: [make_letter(request_id="no-such-number.1")],
    ErrorClass.UNKNOWN: [make_letter(request_id="reply-lost.1")],
    ErrorClass.MALFORMED: [make_letter(request_id=None)],
}
ENDED = Ended(
    scenario=Scenario(requests=6, workers=2, quota=60, patience=60),
    published=[Publication(one, "otp", b"{}") for one in PUBLISHED],
    done=[{"id": one} for one in ("otp.1", "reply-lost-otp.1", "mainland.1")],
    letters=LETTERS,
    left={},
    summary=SUMMARY,
    calls=CALLS,
    slots=[0, 500_000],
    seconds=4.0,
)


def disagreements(**changes: Any) -> list[str]:
    return [one.what for one in checks(replace(ENDED, **changes)) if not one.agrees]


def test_books_and_queues_that_fit_agree() -> None:
    assert disagreements() == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        pytest.param(
            {"done": [{"id": "otp.1"}, {"id": "reply-lost-otp.1"}]},
            {"published, and ended in a queue", "accepted templates, and done"},
            id="a template's outcome is lost",
        ),
        pytest.param(
            {"letters": {**LETTERS, ErrorClass.UNKNOWN: []}},
            {"published, and ended in a queue", "accepted, and done or dead as unknown"},
            id="a request whose reply was lost is lost",
        ),
        pytest.param(
            {"done": [*ENDED.done, {"id": "otp.1"}]},
            {
                "published, and ended in a queue",
                "outcome events, one per request",
                "accepted, and done or dead as unknown",
            },
            id="an outcome is told twice",
        ),
        pytest.param(
            {"calls": (*CALLS, call("otp.1", 9.0))},
            {"accepted twice, all chosen by the OTP lane's policy"},
            id="a request is sent twice",
        ),
        pytest.param(
            {"calls": (*CALLS, call("no-such-number.1", 9.0))},
            {"accepted, and done or dead as unknown"},
            id="a dead request was sent",
        ),
    ],
)
def test_what_was_lost_or_sent_twice_is_noticed(changes: dict[str, Any], what: set[str]) -> None:
    assert set(disagreements(**changes)) == what


def test_messages_of_a_batch_call_are_known_by_their_numbers() -> None:
    both = [BookEntry(9, 2.0, Operation.BATCH.value, "ours", "OK", True, number, None) for number in ("8521", "8522")]
    asked = [Publication(f"notify.{number}", "notify", b"{}", number) for number in ("8521", "8522")]
    done = [*ENDED.done, *({"id": one.request_id} for one in asked)]

    batched = replace(ENDED, published=[*ENDED.published, *asked], done=done, calls=(*CALLS, *both))
    assert [one.what for one in checks(batched) if not one.agrees] == []
    assert [one.what for one in checks(replace(batched, calls=(*CALLS, *both, both[0]))) if not one.agrees] != []


def test_the_report_tells_whether_everything_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ENDED)
    shown = capsys.readouterr().out
    assert "Everything agrees" in shown
    assert "\\" not in shown, "an escape of what should be a line end"
    assert not report(replace(ENDED, calls=(*CALLS, call("otp.1", 9.0)), left={"demo.send.otp": 1}))
    told = capsys.readouterr().out
    assert "Something does not agree" in told
    assert "not ended" in told


def test_the_rate_is_that_of_the_time_in_which_ordinary_requests_waited() -> None:
    calls = [call(f"otp.{number}", number / 50) for number in range(101)]
    retries = [call("first-call-fails.1", 1.005), call("otp.3", 30.0), call("scheduled.1", 40.0)]

    assert rate_while_waiting(replace(ENDED, calls=[*calls, *retries])) == pytest.approx(50.5)
    assert rate_while_waiting(replace(ENDED, calls=[])) == 0.0
    assert rate_while_waiting(replace(ENDED, calls=calls[:1])) == 0.0


def test_the_fullest_second_may_begin_anywhere() -> None:
    assert worst_second([]) == 0
    assert worst_second([0.75, 1.0, 1.5, 1.75, 2.5]) == 3
    assert worst_second([0.0, 1.0, 2.0]) == 1
