import pytest

from worker.core.message.segments import Alphabet, Segments, segments

GSM, UCS = Alphabet.GSM7, Alphabet.UCS2
#: 3GPP TS 23.038, 6.2.1: the default alphabet without its escape code, and its extension table.
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"


@pytest.mark.parametrize(
    ("text", "alphabet", "count"),
    [
        ("", GSM, 1),
        ("a" * 160, GSM, 1),
        ("a" * 161, GSM, 2),
        ("a" * 306, GSM, 2),
        ("a" * 307, GSM, 3),
        ("a" * 1500, GSM, 10),
        ("€" * 80, GSM, 1),
        ("€" * 81, GSM, 2),
        ("a" * 158 + "€", GSM, 1),
        ("a" * 159 + "€", GSM, 2),
        # An escape pair is not cut: it moves to the second part, which then overflows into a third.
        ("a" * 152 + "€" + "a" * 152, GSM, 3),
        ("a" * 152 + "€" + "a" * 151, GSM, 2),
        ("a" * 151 + "€" + "a" * 153, GSM, 2),
        ("é" * 160, GSM, 1),
        ("ç", UCS, 1),
        ("`", UCS, 1),
        ("\t", UCS, 1),
        ("\x1b", UCS, 1),
        ("a\x1be", UCS, 1),
        ("验" * 70, UCS, 1),
        ("验" * 71, UCS, 2),
        ("验" * 134, UCS, 2),
        ("验" * 135, UCS, 3),
        ("a" * 70 + "验", UCS, 2),
        ("😀" * 35, UCS, 1),
        ("😀" * 35 + "a", UCS, 2),
        # A surrogate pair is not cut either: 33 of them fill 66 of a part's 67 code units.
        ("😀" * 66, UCS, 2),
        ("😀" * 66 + "a", UCS, 2),
        ("😀" * 67, UCS, 3),
        ("a" + "😀" * 66, UCS, 2),
    ],
)
def test_segments_abroad(text: str, alphabet: Alphabet, count: int) -> None:
    assert segments(text) == Segments(alphabet, count)


@pytest.mark.parametrize(
    ("text", "alphabet", "count"),
    [
        ("a" * 70, GSM, 1),
        ("a" * 71, GSM, 2),
        ("€" * 70, GSM, 1),
        ("验" * 134, UCS, 2),
        ("验" * 135, UCS, 3),
    ],
)
def test_segments_to_mainland_china_are_counted_in_characters_whatever_the_alphabet(
    text: str, alphabet: Alphabet, count: int
) -> None:
    assert segments(text, mainland=True) == Segments(alphabet, count)


def test_the_alphabet_is_that_of_the_standard_character_by_character() -> None:
    widths = {}
    for character in map(chr, [*range(0x3000), 0x4E00, 0xFFE5]):
        if segments(character).alphabet is GSM:
            widths[character] = segments(character * 81).count

    assert len(BASIC) == 127
    assert widths == dict.fromkeys(BASIC, 1) | dict.fromkeys(EXTENSION, 2)
