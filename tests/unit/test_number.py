"""A recipient's number: what is one, and what is told of one that a spreadsheet or an address book spoiled."""

import re

import pytest

from tests.makers import NUMBER
from worker.core.message.number import fault_of


@pytest.mark.parametrize("number", [NUMBER, f"+{NUMBER}", "1234567", "8" * 15])
def test_a_number_with_its_country_code_has_no_fault(number: str) -> None:
    assert fault_of(number) is None


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("8.52512E+10", "power of ten"),
        ("8,52512e+10", "power of ten"),
        ("85251234507.0", r"ends in \.0"),
        (f"'+{NUMBER}", "apostrophe"),
        (f"\u2019{NUMBER}", "apostrophe"),
        ("+852 5123 4502", "blanks, hyphens"),
        ("+852\u00a051234502", "blanks, hyphens"),
        ("852-5123-4567", "blanks, hyphens"),
        ("(852) 51234567", "blanks, hyphens"),
        (f"{NUMBER}\n", "blanks, hyphens"),
        ("+44 (0)7911 123456", r"leave \(0\) out"),
        (f"00{NUMBER}", r"begins with 00; write \+"),
        (f"+00{NUMBER}", r"begins with 00; write \+"),
        ("00 852 5123 4567", r"begins with 00; write \+"),
        ("07911123456", "begins with 0; write the country code"),
        (f"\u202a+{NUMBER}\u202c", "invisible characters"),
        (f"852\u200b{NUMBER}", "invisible characters"),
        ("\uff18\uff15\uff12\uff15\uff11\uff12\uff13\uff14\uff15\uff16\uff17", "another script"),
        ("852512", "has 6 digits; with its country code a number has 7 to 15"),
        ("8" * 16, "has 16 digits"),
        (f"{NUMBER};{NUMBER}", "several numbers"),
        (f"tel:+{NUMBER}", "letters"),
        (f"++{NUMBER}", r"more than one \+"),
        ("", "is empty"),
        ("+", "is empty"),
        (f"{NUMBER}#", "other characters than digits"),
    ],
)
def test_a_spoiled_number_is_told_in_words_and_never_quoted(written: str, words: str) -> None:
    told = fault_of(written)

    assert told is not None
    assert re.search(words, told)
    assert len(written) < 6 or written[-6:] not in told
