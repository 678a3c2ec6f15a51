"""What can be held, how an operator names it, and when a request that meets a hold comes back."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.makers import make_request
from worker.core.limits.holds import (
    ACCOUNT,
    LONGEST_SPREAD,
    LONGEST_WAIT,
    LONGEST_WAIT_WITH_END,
    By,
    Hold,
    HoldName,
    look_again,
    names_of,
    on_hold,
    spread,
)
from worker.core.outcome.outcome import OnHold, Scope

ACME = HoldName(Scope.SENDER, "ACME")


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [
        (ACCOUNT, "account", "account"),
        (ACME, "sender:ACME", "sender ACME"),
        (HoldName(Scope.SENDER, "a:b c"), "sender:a:b c", "sender a:b c"),
        (HoldName(Scope.COUNTRY, "65"), "country:65", "country 65"),
    ],
)
def test_a_name_survives_its_key_and_can_be_read(name: HoldName, key: str, words: str) -> None:
    assert (name.key, str(name)) == (key, words)
    assert HoldName.from_key(key) == name


@pytest.mark.parametrize(
    ("scope", "subject", "name"),
    [
        (Scope.ACCOUNT, None, ACCOUNT),
        (Scope.SENDER, "ACME", ACME),
        (Scope.SENDER, "阿里云", HoldName(Scope.SENDER, "阿里云")),
        (Scope.COUNTRY, "65", HoldName(Scope.COUNTRY, "65")),
        (Scope.COUNTRY, "+852", HoldName(Scope.COUNTRY, "852")),
    ],
)
def test_an_operator_names_what_is_held(scope: Scope, subject: str | None, name: HoldName) -> None:
    assert HoldName.parse(scope, subject) == name


@pytest.mark.parametrize(
    ("scope", "subject", "sentence"),
    [
        (Scope.ACCOUNT, "ACME", "the account is one"),
        (Scope.SENDER, None, "which sender"),
        (Scope.SENDER, "", "which sender"),
        (Scope.SENDER, " ", "visible characters"),
        (Scope.SENDER, "A\nB", "visible characters"),
        (Scope.SENDER, "x" * 65, "1 to 64"),
        (Scope.COUNTRY, None, "which country"),
        (Scope.COUNTRY, "SG", "SG is no calling code: write its digits"),
        (Scope.COUNTRY, "6591", "6591 is no calling code; numbers that begin so have 65"),
        (Scope.COUNTRY, "85", "85 is no calling code"),
        (Scope.COUNTRY, "065", "065 is no calling code"),
        (Scope.RECIPIENT, "85251234567", "a recipient cannot be held"),
    ],
)
def test_what_cannot_be_held_is_refused_with_a_sentence(scope: Scope, subject: str | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        HoldName.parse(scope, subject)


def test_a_request_is_of_the_account_of_its_country_and_of_its_sender() -> None:
    assert [str(name) for name in names_of(make_request(**{"from": "ACME"}).sms)] == [  # type: ignore[arg-type]  # `from` is a field of the body
        "account",
        "country 852",
        "sender ACME",
    ]
    assert [str(name) for name in names_of(make_request().sms)] == ["account", "country 852"]


@pytest.mark.parametrize(
    ("hold", "after"),
    [
        (Hold(ACME, "X", age_s=0, probe_in_s=5), 5),
        (Hold(ACME, "X", age_s=0, probe_in_s=0), 5),
        (Hold(ACME, "X", age_s=60, probe_in_s=15), 60),
        (Hold(ACME, "X", age_s=60, probe_in_s=90), 90),
        (Hold(ACME, "X", age_s=86_400, probe_in_s=15), 600),
        (Hold(ACME, "operator", age_s=86_400, by=By.OPERATOR), 600),
        (Hold(ACME, "X", age_s=60, ends_in_s=7200), 60),
        (Hold(ACME, "X", age_s=7200, ends_in_s=7200), 3600),
        (Hold(ACME, "X", age_s=7200, ends_in_s=10), 10),
    ],
)
def test_a_request_comes_back_after_about_as_long_again_as_the_hold_has_lasted(hold: Hold, after: float) -> None:
    assert look_again(hold) == timedelta(seconds=after)
    assert on_hold(hold) == OnHold("sender ACME", hold.code, timedelta(seconds=after))


@given(
    age=st.floats(0, 1e7),
    probe=st.none() | st.floats(0, 120),
    ends=st.none() | st.floats(0, 1e7),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_nobody_comes_back_before_the_next_probe_or_long_after_the_end(
    age: float, probe: float | None, ends: float | None, jitter: float
) -> None:
    after = look_again(Hold(ACME, "X", age, probe if ends is None else None, ends_in_s=ends))

    assert timedelta(0) <= after <= max(LONGEST_WAIT, LONGEST_WAIT_WITH_END)
    if ends is None:
        assert after >= timedelta(seconds=probe or 0)
    else:
        assert after <= timedelta(seconds=ends)
    assert after <= spread(after, jitter) < after + LONGEST_SPREAD + timedelta(microseconds=1)


def test_a_hundred_thousand_that_wait_for_one_hold_do_not_come_back_in_one_second() -> None:
    after = look_again(Hold(ACME, "X", age_s=900, probe_in_s=60))
    seconds = [spread(after, index / 100_000) // timedelta(seconds=1) for index in range(100_000)]

    assert max(map(seconds.count, set(seconds))) < 200
