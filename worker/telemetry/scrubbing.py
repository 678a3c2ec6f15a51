"""The last net under phone numbers: masks long runs of digits, and tells an exception without its text.

Nothing should need it: no event carries a number or a text. It is here for the day when something does.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import PurePath
from traceback import walk_tb
from types import CodeType
from typing import Any, Final

#: What stands for a masked run.
MASK: Final = "*******"
#: The shortest E.164 number has this many digits.
_SHORTEST: Final = 7
_RUN: Final = re.compile(r"\d{7}")
# 32 hexadecimal digits are an identifier of ours: longer than any number, and worth reading.
_NUMBER: Final = re.compile(r"(?P<id>\b[0-9a-f]{32}\b)|\+?\d{7,}", re.ASCII)
_UNICODE_NUMBER: Final = re.compile(r"\+?\d{7,}")
#: Fields that hold identifiers, which may be all digits and are not numbers of people.
FREE: Final = frozenset({"request_id", "message_id", "error_id", "event_id", "epoch"})
#: A chain of causes is followed this far.
_MOST_CAUSES: Final = 8
#: Frames shown of each exception, the innermost.
_MOST_FRAMES: Final = 12


def scrub_text(text: str) -> str:
    """Return *text* with every run of seven or more digits masked.

    >>> scrub_text("no route to +85251234567")
    'no route to *******'
    """
    if _RUN.search(text) is None:
        return text
    return _UNICODE_NUMBER.sub(_unless_id, _NUMBER.sub(_unless_id, text)) if not text.isascii() else _masked(text)


def _masked(text: str) -> str:
    return _NUMBER.sub(_unless_id, text)


def _unless_id(match: "re.Match[str]") -> str:
    return match[0] if "id" in match.re.groupindex and match["id"] else MASK
