"""Plans that are played under a virtual clock, each with an answer that can be reckoned by hand."""

import pytest

from tests.plans import played, stream
from worker.core.limits.bucket import silence_us
from worker.core.limits.quota import Quota
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import ErrorClass
from worker.delivery import batches as real_batches
from worker.delivery import dispatch, overload
from worker.errors import SettingsError
from worker.simulation import batches, worker

BATCHED = {"batch.size": 1000}


def test_singles_go_at_the_rate_of_the_quota() -> None:
    report = played(stream(count=3000), flags={"quota.send_message_to_globe": 100})

    assert report.seconds == pytest.approx(3000 / 100 * 1.01, rel=0.01)
    assert (report.singles.calls, report.batches) == (3000, None)
    assert report.singles.used == pytest.approx(1 / 1.01, rel=0.01)
    assert report.lanes[Lane.MARKETING].sent == 3000


def test_with_an_empty_redis_nothing_is_granted_for_a_while() -> None:
    warm, cold = (played(stream(count=60), cold=cold) for cold in (False, True))

    silence_s = silence_us(Quota(30)) / 1e6
    assert cold.seconds - warm.seconds == pytest.approx(silence_s, abs=0.1)


def test_both_quotas_are_used_together() -> None:
    report = played(stream(count=20_000), flags=BATCHED, workers=1)
    batched = report.batches

    assert batched is not None
    # 1,000 every 1.05 s, and 30 every 1.01 s, after some seconds in which texts are new and sizes are found.
    assert 20_000 / (1000 / 1.05 + 30 / 1.01) < report.seconds < 20_000 / (1000 / 1.05 + 30 / 1.01) + 10
    assert batched.calls + report.singles.calls < 1000
    assert report.fill * batched.calls + report.singles.calls == pytest.approx(20_000)
    assert batched.used > 0.9


def test_one_workers_hand_bounds_how_full_calls_are() -> None:
    one = played(stream(count=20_000), flags=BATCHED)
    three = played(stream(count=20_000, senders=["Shop", "Parcel", "Club"]), flags=BATCHED)

    assert three.fill < 0.9 * one.fill


def test_the_first_call_of_a_text_has_ten() -> None:
    report = played(stream(count=12), flags=BATCHED | {"quota.send_message_to_globe": 1})

    assert report.batches is not None
    assert (report.batches.calls, report.fill) == (1, 10)


def test_passwords_overtake_a_campaign() -> None:
    report = played(stream(count=3000), stream("OTP", count=..., rate=2.0, duration="20s"))
    otp, marketing = report.lanes[Lane.OTP].waits, report.lanes[Lane.MARKETING].waits

    assert otp is not None
    assert marketing is not None
    assert otp.p99 < 0.2
    assert marketing.p50 == pytest.approx(report.seconds / 2, rel=0.1)


def test_a_floor_keeps_marketing_alive() -> None:
    flags = {"lanes.marketing.floor": 0.2, "lanes.otp.floor": 0.0}
    report = played(stream(count=30), stream("OTP", count=900, lifetime="1h"), flags=flags)
    waits = report.lanes[Lane.MARKETING].waits

    assert waits is not None
    assert waits.most == pytest.approx(30 / (0.2 * 30), rel=0.15)


def test_what_cannot_be_sent_in_time_expires() -> None:
    report = played(stream("OTP", count=300, lifetime="2s"))
    otp = report.lanes[Lane.OTP]

    assert otp.sent == pytest.approx(60, abs=3)
    assert otp.expired == 300 - otp.sent
    assert report.seconds < 4


def test_who_cannot_have_a_turn_in_time_is_expired_at_once() -> None:
    late = played(stream("OTP", count=190, lifetime="6s")).lanes[Lane.OTP]

    assert late.sent == pytest.approx(178, abs=3)
    left = late.published - sum(late.curves.rate[:2]) - late.expired
    assert late.curves.backlog[1] == pytest.approx(left, abs=6)  # it would be 12 more


def test_the_earliest_deadline_goes_first() -> None:
    report = played(stream(count=60, lifetime="1h"), stream(count=60, lifetime="2500ms"))

    assert report.lanes[Lane.MARKETING].expired == 0


def test_a_refused_number_is_dead_and_learns_why_alone() -> None:
    refusals = {"refusals": [{"code": "MOBILE_NUMBER_ILLEGAL", "probability": 0.1}]}
    report = played(stream(count=5000), flags=BATCHED, provider=refusals)
    marketing = report.lanes[Lane.MARKETING]

    assert marketing.dead[ErrorClass.RECIPIENT] == pytest.approx(500, rel=0.2)
    assert marketing.sent + marketing.dead[ErrorClass.RECIPIENT] == 5000
    assert report.singles.refused == marketing.dead[ErrorClass.RECIPIENT]
    assert report.batches is not None
    assert report.batches.refused == 0


def test_what_fails_for_a_moment_is_tried_again() -> None:
    refusals = {"refusals": [{"code": "local.not_reached", "probability": 0.5}]}
    marketing = played(stream(count=50), provider=refusals).lanes[Lane.MARKETING]

    assert marketing.sent == 50
    assert marketing.retries >= 25


def test_an_unknown_outcome_is_dead_but_for_a_password_which_is_sent_once_more() -> None:
    refusals = {"refusals": [{"code": "local.timeout", "probability": 1.0}]}
    report = played(stream(count=10), stream("OTP", count=10), provider=refusals)

    assert [lane.dead for lane in report.lanes.values()] == [{ErrorClass.UNKNOWN: 10}] * 2
    assert report.singles.calls == 10 + 2 * 10
    assert report.seconds > 2 * 10  # each of them took the time-out


def test_an_unanswered_batch_call_leaves_all_its_members_unknown() -> None:
    refusals = {"refusals": [{"code": "local.timeout", "probability": 1.0}]}
    report = played(stream(count=500), flags=BATCHED, provider=refusals)

    assert report.lanes[Lane.MARKETING].dead == {ErrorClass.UNKNOWN: 500}
    assert report.batches is not None
    assert report.fill == 10  # a text that was not accepted stays new


@pytest.mark.parametrize("flags", [{}, BATCHED])
def test_a_quota_that_is_set_too_high_is_learned(flags: dict[str, object]) -> None:
    walls = {"single_calls": 30, "batch_calls": 1}
    high = {"quota.send_message_to_globe": 60, "quota.batch_send_message_to_globe": 2}
    report = played(stream(count=1800), flags=flags | high, provider=walls)

    assert report.lanes[Lane.MARKETING].sent == 1800
    assert report.singles.refused > 0
    if not flags:
        assert report.seconds == pytest.approx(1800 / 30, rel=0.05)
        assert report.singles.refused < 60


def test_the_concurrency_bounds_slow_calls() -> None:
    slow = {"fastest": "1s", "slowest": "1s"}
    report = played(stream(count=200), flags={"provider.concurrency": 5}, provider=slow)

    assert report.seconds == pytest.approx(200 / 5, rel=0.05)


def test_the_backlog_falls_to_nothing_and_the_rates_add_up() -> None:
    report = played(stream(count=600), stream("NOTIFY", count=..., rate=3.0, duration="15s", start="2s"))

    for lane in report.lanes.values():
        assert lane.curves.backlog[-1] == 0
        assert sum(lane.curves.rate) * report.step_s == pytest.approx(lane.sent)
    assert report.lanes[Lane.MARKETING].curves.backlog[0] == pytest.approx(570, abs=3)
    assert report.lanes[Lane.NOTIFY].published == 45


def test_segments_are_those_of_the_text() -> None:
    report = played(stream(count=10, characters=161), stream("OTP", count=10, characters=71, alphabet="ucs-2"))

    assert [lane.segments for lane in report.lanes.values()] == [20, 20]


def test_the_same_plan_has_the_same_answer_and_another_seed_another() -> None:
    provider = {"slowest": "200ms", "refusals": [{"code": "local.not_reached", "probability": 0.2}]}
    first, second, other = (
        played(stream(count=..., rate=20.0, duration="30s"), provider=provider, flags=BATCHED, seed=seed, workers=2)
        for seed in (1, 1, 2)
    )

    assert first == second
    assert first != other


def test_times_are_those_of_a_worker() -> None:
    assert worker.LEAD_US == dispatch._LEAD_S * 1e6
    assert worker.SWEEP_US == dispatch._SWEEP_S * 1e6 == overload._LOOK_S * 1e6
    assert batches.LEAD_US == real_batches._LEAD_S * 1e6
    assert batches.LEAD_EACH_US == real_batches._LEAD_EACH_S * 1e6
    assert batches.LOOK_US == real_batches._LOOK_S * 1e6
    assert batches.LOOK_PAUSE_US == real_batches._LOOK_PAUSE_S * 1e6


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("AMOUNT_NOT_ENOUGH", "holds the account, a sender or a country, and holds are not simulated"),
        ("NONSENSE", "is no code of a refusal"),
        ("OK", "is no code of a refusal"),
    ],
)
def test_codes_that_cannot_be_simulated_are_refused(code: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        played(stream(), provider={"refusals": [{"code": code, "probability": 0.1}]})

    assert str(caught.value).startswith("provider.refusals[0].code: ")


@pytest.mark.parametrize("key", ["quota.send_message_to_globe", "quota.batch_send_message_to_globe"])
def test_a_quota_without_limit_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match=f"{key} = 0 is no limit"):
        played(stream(), flags=BATCHED | {key: 0})
