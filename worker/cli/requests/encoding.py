"""Which encoding a text is in.

Only UTF-8 and UTF-16 with a mark are taken: another is a guess, and a guess sends other characters than were written.
"""

import re
from typing import Final

from worker.errors import UsageError

#: Bytes at the beginning that are looked at.
SAMPLE: Final = 65_536
#: What a line that could not be decoded holds; no text that could be decoded holds any.
UNDECODED: Final = re.compile("[\ud800-\udfff]")

_UTF_8: Final = "save it as CSV UTF-8, in an editor as UTF-8"
#: Longer marks first: that of UTF-32 begins like that of UTF-16.
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", None),
    (b"\x00\x00\xfe\xff", None),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_NO_TEXTS: Final = (
    (b"PK\x03\x04", "an Excel workbook, or another ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "compressed with gzip"),
)
#: ASCII in UTF-16 is half NULs, in UTF-32 three quarters; in a text of other scripts it is still the separators.
_LEAST_NULS: Final = 0.05
_MANY_NULS: Final = 0.6
#: A word that is not ASCII alone.
_WORD: Final = re.compile(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*")
_ASCII: Final = bytes(range(0x80))
#: The part of such words that is beyond ASCII: small where letters with a mark are among others.
_LATIN: Final = 0.6


def encoding_of(shown: str, head: bytes) -> str:
    """The codec of the text that begins with *head*; *shown* names the file.

    Raises:
        UsageError: it is in another encoding, or is no text; says which, and what to do.
    """
    for beginning, what in _NO_TEXTS:
        if head.startswith(beginning):
            raise UsageError(f"{shown}: is {what}; export it as CSV UTF-8")
    for mark, codec in _MARKS:
        if head.startswith(mark):
            if codec is None:
                raise UsageError(f"{shown}: is UTF-32; {_UTF_8}")
            return codec
    nuls = head.count(0)
    if nuls > len(head) * _LEAST_NULS:
        raise UsageError(f"{shown}: looks like {_wide(head, nuls)} without a byte order mark; {_UTF_8}")
    return "utf-8"


def _wide(head: bytes, nuls: int) -> str:
    if nuls > len(head) * _MANY_NULS:
        return "UTF-32"
    return "UTF-16 (big endian)" if head[::2].count(0) > nuls / 2 else "UTF-16 (little endian)"


class Survey:
    """Tells a file in another encoding from a file in UTF-8 of which a line is spoiled."""

    def __init__(self, shown: str) -> None:
        """*shown* names the file."""
        self._shown = shown
        self._decoded = self._undecoded = 0
        self._bytes = self._beyond = 0

    def look(self, text: str) -> None:
        """Take the next line, in which each byte that is not UTF-8 is half a surrogate pair."""
        if text.isascii():
            return
        if UNDECODED.search(text):
            words = b"".join(_WORD.findall(text.encode("utf-8", "surrogateescape")))
            self._undecoded += 1
            self._bytes += len(words)
            self._beyond += len(words.translate(None, _ASCII))
        else:
            self._decoded += 1

    def conclude(self) -> None:
        """Refuse a file that has several lines which are not UTF-8, and more of them than lines which need it.

        Raises:
            UsageError: it looks like another encoding; says which, and what to do.
        """
        if self._undecoded < 2 or self._undecoded <= self._decoded:  # noqa: PLR2004 - one may be an accident
            return
        is_latin = self._beyond <= _LATIN * self._bytes
        name = "Windows-1252 or the like" if is_latin else "GBK, Big5, Windows-1251 or the like"
        raise UsageError(f"{self._shown}: is not UTF-8, it looks like {name}; {_UTF_8}")
