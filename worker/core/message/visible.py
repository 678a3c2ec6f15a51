"""Whether a text shows anything: a message of invisible characters is billed, and arrives as an empty bubble."""

import unicodedata
from typing import Final

#: Categories that draw nothing: controls, format and direction marks, half surrogate pairs, blanks, line ends.
_UNSEEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
#: What belongs to a category that is drawn and yet draws nothing: fillers, the blank of Braille, and the rest of
#: Unicode's Default_Ignorable_Code_Point (joiners, variation selectors, and what is reserved for more of them).
_UNSEEN: Final = frozenset(
    {
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x2800, 0x3164, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xFFF0, 0xFFF9),
        *range(0xE0000, 0xE1000),
    }
)


def is_seen(character: str) -> bool:
    r"""Whether *character* alone draws anything.

    >>> [is_seen(character) for character in ("a", "\u3164", "\u200b", " ")]
    [True, False, False, False]
    """
    return unicodedata.category(character) not in _UNSEEN_CATEGORIES and ord(character) not in _UNSEEN


def shows_nothing(text: str) -> bool:
    """Whether nothing of *text* can be seen."""
    first = text[:1]
    if first.isascii() and first.isalnum():  # as most begin, and this is faster
        return False
    return not any(map(is_seen, text))


def without_unseen_ends(text: str) -> str:
    r"""*text* without blanks, line ends, direction marks and other invisible characters before and behind it.

    >>> without_unseen_ends("\u202a +852 1\u00a0")
    '+852 1'
    """
    if text[:1].isalnum() and text[-1:].isalnum():  # most are so, and this is faster
        return text
    start, end = 0, len(text)
    while start < end and not is_seen(text[start]):
        start += 1
    while end > start and not is_seen(text[end - 1]):
        end -= 1
    return text[start:end]
