"""The last net under phone numbers: masks every long run of digits in whatever leaves the process.

Nothing should need it, because no event carries a number or a text. It is here for the day when something does.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

#: What stands for a masked run.
MASK: Final = "*******"
#: Fields that hold identifiers: these may be all digits and are nobody's number.
FREE: Final = frozenset({"request_id", "message_id", "error_id", "event_id", "epoch"})
#: Seven digits are the shortest E.164 number.
_RUN: Final = re.compile(r"\d{7}")
#: A word of 32 hexadecimal digits is an identifier of ours, longer than any number, and worth reading.
_NUMBER: Final = re.compile(r"(\b[0-9a-f]{32}\b)|\+?\d{7,}")
_SHORTEST_NUMBER: Final = 1_000_000


def scrub_text(text: str) -> str:
    """Return *text* with every run of seven or more digits masked.

    >>> scrub_text("no route to +85251234567")
    'no route to *******'
    """
    return text if _RUN.search(text) is None else _NUMBER.sub(_masked, text)


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
        case list() | tuple() | set() | frozenset():
            return [scrub(each) for each in value]
        case _:
            return type(value).__name__


def _masked(match: "re.Match[str]") -> str:
    return match[1] or MASK
