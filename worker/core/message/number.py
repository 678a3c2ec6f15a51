"""A recipient's number: what it looks like, and in words what spreadsheets and address books make of it."""

import re
from collections.abc import Callable
from typing import Final

from worker.core.message.visible import is_seen

#: E.164: a country code and a national number, 7 to 15 digits; a leading ``+`` may be given and is not sent.
PATTERN: Final = r"^\+?[1-9][0-9]{6,14}$"

_NUMBER: Final = re.compile(PATTERN, re.ASCII)
_FEWEST: Final = 7
_MOST: Final = 15
_AS_TEXT: Final = "format the column as text and enter the number anew"
_INTERNATIONAL: Final = "begins with 00; write + and the country code in its place"
_OTHER: Final = "has other characters than digits; write the country code and the number, for example +85251234567"


def _fits(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern, re.DOTALL).fullmatch


def _has_invisible(text: str) -> bool:
    return any(not is_seen(character) and not character.isspace() for character in text)


def _has_foreign_digits(text: str) -> bool:
    return any(character.isdigit() and not character.isascii() for character in text)


#: The first that fits is told; none quotes what was written, because numbers are told nowhere.
_SPOILED: Final = (
    (_fits(r"\+?"), "is empty"),
    (_has_invisible, "has invisible characters, which address books add to tell the direction; type the number anew"),
    (_has_foreign_digits, "has digits of another script; write 0 to 9"),
    (
        _fits(r"\+?\d+(?:[.,]\d+)?[eE][+-]?\d+"),
        f"was made a power of ten by a spreadsheet, which loses digits; {_AS_TEXT}",
    ),
    (_fits(r"\+?\d+[.,]0+"), f"ends in .0, which a spreadsheet appended; {_AS_TEXT}"),
    (_fits(r"['\u2018\u2019`].*"), "begins with an apostrophe; leave it out"),
    (_fits(r".*\(\s*0\s*\).*"), "has a zero in brackets, which is dialled within the country only; leave (0) out"),
    (_fits(r"\+\+.*"), "has more than one +"),
    (_fits(r"\s*\+?\s*00.*"), _INTERNATIONAL),
    (_fits(r".*[;,/|&].*"), "has several numbers, or separators within one; a request has one recipient, digits only"),
    (_fits(r".*[^\W\d_].*"), "has letters; write the country code and the number in digits"),
    (_fits(r"[+\d\s().\u2010-\u2015\u2212-]*"), "has blanks, hyphens, dots or brackets; write digits only"),
)


def fault_of(text: str) -> str | None:
    """What keeps *text* from being a number that can be called from anywhere; None when nothing does.

    >>> fault_of("+85251234567")
    >>> fault_of("0085251234567")
    'begins with 00; write + and the country code in its place'
    """
    digits = text.removeprefix("+")
    if _NUMBER.fullmatch(text):
        return None
    if digits.isascii() and digits.isdigit():
        return _of_digits(digits)
    return next((problem for is_so, problem in _SPOILED if is_so(text)), _OTHER)


def _of_digits(digits: str) -> str:
    if digits.startswith("0") and not digits.startswith("00"):
        return "begins with 0; write the country code, and no 0 before the number"
    if digits.startswith("00"):
        return _INTERNATIONAL
    return f"has {len(digits)} digits; with its country code a number has {_FEWEST} to {_MOST}"
