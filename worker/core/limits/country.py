"""Which country a number belongs to, as far as its first digits tell: its calling code.

Source: ITU-T, list of Recommendation E.164 assigned country codes. A calling code may be that of several countries: 1
is all of the North American numbering plan, 7 is Russia and Kazakhstan.
"""

import re
from typing import Final

#: One digit, two digits; all other codes have three, and those that are not assigned count as such.
_CODE: Final = re.compile(r"[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|[2-9]\d\d", re.ASCII)


def calling_code(number: str) -> str:
    """The calling code of *number* (digits only, without a zero or ``+`` before them); empty when it has none.

    >>> [calling_code(number) for number in ("12025550123", "6591234567", "85251234567")]
    ['1', '65', '852']
    """
    found = _CODE.match(number)
    return found[0] if found else ""
