"""The magic recipients: what the sandbox does by a number's last six digits, whatever comes before.

    990NNN  always answers the API code whose SMPP code is NNN: 990020 is OK, 990033 MOBILE_NUMBER_ILLEGAL, ... 990086.
            Codes without an SMPP code follow in the order of the catalogue: 990901 DATA_NOT_EXIST,
            990902 CONTENT_EXCEED_LIMIT, 990903 QUANTITY_INCONSISTENT, 990904 InvalidAccessKeyId.NotFound
    991NNN  the same on the first call for that number, OK afterwards
    992NNN  the fault NNN of `FAULTS`
    993NNN  the same on the first call for that number, OK afterwards

Every other number, and a NNN that nothing stands behind, is answered OK. In a batch a refused number goes to the
failed list, and the first number with a fault gives it to the whole call.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Table
from worker.sandbox import gateway

#: Numbers are told by this many digits at their end.
_DIGITS: Final = 6


class Wire(StrEnum):
    """How an answer leaves."""

    WHOLE = "whole"
    #: The connection is closed, no byte is sent.
    CUT = "cut"
    #: The connection is reset after half of the body.
    RESET = "reset"
    #: No byte is sent as long as the client stays.
    NEVER = "never"
    #: Bytes that are no UTF-8 stand in the middle of the JSON.
    GARBLED = "garbled"
    #: The JSON ends half way, the HTTP message is whole.
    TRUNCATED = "truncated"
    #: JSON of the right fields with the wrong types.
    WRONG_TYPES = "wrong types"
    EMPTY = "empty"
    #: A page of a proxy in front of the gateway.
    HTML = "html"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the sandbox does with a recipient."""

    #: The code that it answers; None when no readable code leaves.
    code: str | None = "OK"
    #: Whether the message is accepted, and would be paid for, whatever the client hears.
    accepted: bool = True
    wire: Wire = Wire.WHOLE
    #: HTTP status of a page (`Wire.HTML`); other answers have the status of their code.
    status: int = 200
    #: Seconds before the answer.
    pause_s: float = 0.0
    #: Header ``x-acs-retry-after``, in milliseconds.
    retry_after_ms: int | None = None
    #: Only the first call for the number; afterwards it is ordinary.
    first_only: bool = False

    @property
    def spoils_the_call(self) -> bool:
        """Whether it concerns the whole call, in a batch too."""
        return self.wire is not Wire.WHOLE or self.pause_s > 0 or self.code in _WHOLE_CALL


ORDINARY: Final = Behaviour()
_WHOLE_CALL: Final = frozenset({"ServiceUnavailable", "InternalError", "Throttling.User"})

#: NNN of 992NNN and 993NNN.
FAULTS: Final[Mapping[str, Behaviour]] = {
    "001": Behaviour(pause_s=3.0),
    "002": Behaviour(None, accepted=True, wire=Wire.CUT),
    "003": Behaviour(None, accepted=False, wire=Wire.CUT),
    "004": Behaviour(None, accepted=True, wire=Wire.GARBLED),
    "005": Behaviour(None, accepted=False, wire=Wire.HTML, status=502),
    "006": Behaviour("ServiceUnavailable", accepted=False),
    "007": Behaviour("InternalError", accepted=True),
    "008": Behaviour(None, accepted=True, wire=Wire.TRUNCATED),
    "009": Behaviour(None, accepted=True, wire=Wire.WRONG_TYPES),
    "010": Behaviour("Throttling.User", accepted=False, retry_after_ms=300, first_only=True),
    "011": Behaviour("SANDBOX_UNLISTED_CODE", accepted=False),
    "012": Behaviour(None, accepted=True, wire=Wire.NEVER),
    "013": Behaviour(None, accepted=True, wire=Wire.RESET),
    "014": Behaviour(None, accepted=True, wire=Wire.EMPTY),
    "015": Behaviour(None, accepted=False, wire=Wire.HTML, status=414),
}


def _codes() -> Iterator[tuple[str, Behaviour]]:
    """NNN of 990NNN and 991NNN with its behaviour, for every API code of the catalogue."""
    without_smpp_code = 900
    for row in catalog():
        if row.table is not Table.API:
            continue
        if row.smpp_code is None:
            without_smpp_code += 1
        code = gateway.BY_MESSAGE.get(row.code, row.code)
        yield (row.smpp_code or str(without_smpp_code)).zfill(3), Behaviour(code, accepted=code == "OK")


def _table() -> Iterator[tuple[str, Behaviour]]:
    for always, first, rows in (("990", "991", dict(_codes())), ("992", "993", FAULTS)):
        for ending, behaviour in rows.items():
            yield always + ending, behaviour
            yield first + ending, replace(behaviour, first_only=True)


#: The last six digits of every magic number.
TABLE: Final[Mapping[str, Behaviour]] = dict(_table())


def behaviour_of(number: str) -> Behaviour:
    """What the sandbox does with *number*.

    >>> behaviour_of("6581990033").code
    'MOBILE_NUMBER_ILLEGAL'
    """
    return TABLE.get(number[-_DIGITS:], ORDINARY)
