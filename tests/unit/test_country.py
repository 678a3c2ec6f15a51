"""Calling codes against the list of ITU-T E.164 assigned country codes."""

import pytest

from worker.core.limits.country import calling_code

#: One number's beginning for each length and zone of the numbering plan.
CASES = {
    "12025550123": "1",
    "18765550123": "1",
    "77012345678": "7",
    "201001234567": "20",
    "27821234567": "27",
    "211912345678": "211",
    "254712345678": "254",
    "299221234": "299",
    "33612345678": "33",
    "351912345678": "351",
    "37060012345": "370",
    "393123456789": "39",
    "420601123456": "420",
    "447911123456": "44",
    "50212345678": "502",
    "5511961234567": "55",
    "59171234567": "591",
    "60123456789": "60",
    "6591234567": "65",
    "66812345678": "66",
    "67012345678": "670",
    "819012345678": "81",
    "821012345678": "82",
    "84912345678": "84",
    "85251234567": "852",
    "8613800138000": "86",
    "8801712345678": "880",
    "919876543210": "91",
    "95912345678": "95",
    "96512345678": "965",
    "97150123456": "971",
    "989121234567": "98",
    "998901234567": "998",
}


@pytest.mark.parametrize(("number", "code"), CASES.items())
def test_the_calling_code_is_what_the_plan_assigns(number: str, code: str) -> None:
    assert calling_code(number) == code


def test_no_code_is_the_beginning_of_another() -> None:
    codes = {calling_code(f"{digits}0000000") for digits in range(100, 1000)}

    assert not [(short, long) for short in codes for long in codes if short != long and long.startswith(short)]
    assert len([code for code in codes if len(code) == 2]) == 44


@pytest.mark.parametrize("digits", ["", "0", "2", "21", "x65"])
def test_what_begins_no_number_has_no_code(digits: str) -> None:
    assert calling_code(digits) == ""
