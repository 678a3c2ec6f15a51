"""Counting against an oracle that really cuts the message up, as a sender does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.core.message.segments import Alphabet, Segments, segments

#: 3GPP TS 23.038, 6.2.1: the default alphabet without its escape code, and its extension table.
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"
TEXTS = st.builds(
    "".join,
    st.lists(
        st.builds(
            lambda text, times: text * times, st.sampled_from([*"aé€{", "a€", "验", "😀", "a😀"]), st.integers(0, 90)
        ),
        max_size=5,
    ),
)


def cut_septets(text: str) -> int:
    """E stands for the escape code that a character of the extension table needs before it."""
    septets = "".join("Ex" if character in EXTENSION else "x" for character in text)
    if len(septets) <= 160:
        return 1
    parts = 0
    while septets:
        part = septets[:153].removesuffix("E")
        septets = septets[len(part) :]
        parts += 1
    return parts


def cut_code_units(text: str) -> int:
    octets = text.encode("utf-16-be")
    if len(octets) <= 140:
        return 1
    parts = 0
    while octets:
        part = octets[:134]
        if 0xD8 <= part[-2] <= 0xDB:  # the first half of a surrogate pair
            part = part[:-2]
        octets = octets[len(part) :]
        parts += 1
    return parts


@settings(deadline=None)
@given(text=TEXTS | st.text(st.characters(codec="utf-8"), max_size=20) | st.text(BASIC + EXTENSION, max_size=400))
def test_the_count_is_that_of_really_cutting_the_text_up(text: str) -> None:
    is_gsm = all(character in BASIC + EXTENSION for character in text)
    alphabet = Alphabet.GSM7 if is_gsm else Alphabet.UCS2

    assert segments(text) == Segments(alphabet, cut_septets(text) if is_gsm else cut_code_units(text))
    assert segments(text, mainland=True) == Segments(alphabet, cut_code_units(text))
