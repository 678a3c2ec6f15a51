r"""How many segments a text is billed as.

Source: the provider's billing rules. Abroad: GSM-7 160 septets alone, 153 in each of several; ``| ^ { } [ ] ~ \\``
and the euro sign take two; one character outside the alphabet turns the whole text to UCS-2, 70 code units alone,
67 in each of several. To mainland China: 70 then 67 characters whatever the alphabet.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

import gsm0338

_GSM: Final = cast("codecs.Codec", gsm0338.Codec())  # type: ignore[no-untyped-call]  # the library has no types
_ESCAPE = "\x1b"


class Alphabet(StrEnum):
    """The alphabet that a text needs on the air."""

    GSM7 = "gsm-7"
    UCS2 = "ucs-2"


@dataclass(frozen=True, slots=True)
class Segments:
    """What a text costs: *count* billed segments in *alphabet*."""

    alphabet: Alphabet
    count: int


def segments(text: str, *, mainland: bool = False) -> Segments:
    """Count the billed segments of *text*; an empty text is one segment."""
    widths = _gsm_widths(text)
    if widths is None or mainland:
        return Segments(Alphabet.UCS2 if widths is None else Alphabet.GSM7, _pack(_ucs_widths(text), 70, 67))
    return Segments(Alphabet.GSM7, _pack(iter(widths), 160, 153))


def _gsm_widths(text: str) -> list[int] | None:
    """Septets of each character, or None when one is outside the alphabet.

    ESC is the alphabet's own shift code and never a character: the library lets it through, we do not.
    """
    if _ESCAPE in text:
        return None
    try:
        return [len(_GSM.encode(character)[0]) for character in text]
    except UnicodeEncodeError:
        return None


def _ucs_widths(text: str) -> Iterator[int]:
    return (2 if ord(character) > 0xFFFF else 1 for character in text)  # noqa: PLR2004 - beyond it: a surrogate pair


def _pack(widths: Iterator[int], alone: int, each: int) -> int:
    """Parts needed when no character may be cut: an escape pair or a surrogate pair moves on as a whole."""
    parts, used, total = 1, 0, 0
    for width in widths:
        total += width
        if used + width > each:
            parts, used = parts + 1, 0
        used += width
    return 1 if total <= alone else parts
