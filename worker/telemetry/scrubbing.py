"""The last net under phone numbers: masks every seven digits or more in whatever leaves the process.

People write numbers with spaces, dashes, dots, slashes and brackets between the digits, and copy invisible marks along;
so a run goes on over up to four of these. Nothing should need the net, because no event carries a number or a text. It
is here for the day when something does. What our own sentences are full of and no number looks like is left alone:
instants, UUIDs and our own identifiers, addresses of machines.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

#: What stands for a masked run.
MASK: Final = "*******"
#: Fields that hold identifiers: these may be all digits and are nobody's number.
FREE: Final = frozenset({"request_id", "message_id", "error_id", "event_id", "epoch"})
#: Seven digits are the shortest E.164 number.
_SHORTEST: Final = 7
_SHORTEST_NUMBER: Final = 10 ** (_SHORTEST - 1)
#: What people, and the programs that they copy from, write between the digits of one number.
_BETWEEN: Final = (
    r"[\s\-./()_\xb7\u2010-\u2015\u2022\u2044\u2212"
    r"\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]{0,4}"
)
_RUN: Final = re.compile(rf"\d(?:{_BETWEEN}\d){{6}}")
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IDENTIFIER: Final = r"\b[0-9a-f]{32}\b|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
#: A day, and the time on it; digits that follow closely make it something else.
_INSTANT: Final = (
    r"\b(?:19|20)\d\d-[01]\d-[0-3]\d"
    r"(?:[T ][0-2]\d:[0-5]\d(?::[0-6]\d(?:[.,]\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?"
    rf"(?!{_BETWEEN}\d)"
)
_MACHINE: Final = rf"\b(?:{_OCTET}\.){{3}}{_OCTET}(?::\d{{1,5}})?(?![.:]?\d)"
_NUMBER: Final = re.compile(rf"({_IDENTIFIER}|{_INSTANT}|{_MACHINE})|[+(]*\d(?:{_BETWEEN}\d){{{_SHORTEST - 1},}}")


def scrub_text(text: str) -> str:
    """Return *text* with every run of seven or more digits masked, whatever people write between them.

    >>> scrub_text("no route to +85251234567, (852) 5123.4567 from 10.0.0.12:5672 at 2026-11-23T20:39:01Z")
    'no route to *******, ******* from 10.0.0.12:5672 at 2026-11-23T20:39:01Z'
    """
    return text if len(text) < _SHORTEST or _RUN.search(text) is None else _NUMBER.sub(_masked, text)


def scrub(value: Any) -> Any:
    """Return *value* with every text, key and whole number in it scrubbed, except under the `FREE` keys.

    What is neither plain nor a container becomes the name of its type: its text may quote anything.
    """
    match value:
        case None | bool() | float():
            return value
        case str():
            return scrub_text(str(value))
        case int():
            return value if abs(value) < _SHORTEST_NUMBER else MASK
        case Mapping():
            return {scrub_text(str(key)): each if key in FREE else scrub(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset() if not hasattr(value, "_fields"):  # a named tuple is no container
            return [scrub(each) for each in value]
        case _:
            return type(value).__name__


def _masked(match: "re.Match[str]") -> str:
    return match[1] or MASK
