"""Text from outside as it may be shown: what acts on a terminal, or shows nothing, becomes an escape that is seen.

Controls end lines and move cursors, direction marks make a line read otherwise than it is, and what has no width makes
two different texts look the same. A test compares the list with the standard library's Unicode tables.
"""

import re
from typing import Final

_HIDDEN: Final = (
    "\\x00-\\x1f\\x7f-\\x9f"  # C0, delete, C1
    "\\xad\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u180e\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f"
    "\\ufeff\\ufff9-\\ufffb\\U000110bd\\U000110cd\\U00013430-\\U0001343f\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a"
    "\\u2028\\u2029"  # line and paragraph separators
    "\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180d\\u180f\\u2800\\u3164\\uffa0"  # fillers that show nothing
    "\\ufe00-\\ufe0f\\U000e0000-\\U000e0fff"  # variation selectors, tags
    "\\ud800-\\udfff"  # halves of a surrogate pair: no terminal can be given them
)
_FOUND: Final = re.compile(f"[{_HIDDEN}]")


def one_line(text: str) -> str:
    r"""*text* in one line, whatever it holds.

    >>> print(one_line("a\nb\u202ec"))
    a\x0ab\u202ec
    """
    if text.isascii() and text.isprintable():
        return text
    return _FOUND.sub(_escaped, text)


def json_line(line: bytes) -> bytes:
    r"""A line of JSON in UTF-8, with what is hidden as JSON's own escapes: it is parsed to the same value.

    >>> print(json_line('{"a":"\u202e"}'.encode()).decode())
    {"a":"\u202e"}
    """
    if line.isascii() and b"\x7f" not in line:
        return line  # JSON escapes the rest of C0 itself
    end = b"\n" if line.endswith(b"\n") else b""
    return _FOUND.sub(_json_escaped, line.removesuffix(b"\n").decode()).encode() + end


def _escaped(found: "re.Match[str]") -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 1 << 8 else f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def _json_escaped(found: "re.Match[str]") -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
