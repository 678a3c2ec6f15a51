"""What the fault tests send: all lanes, ids published twice, and recipients whose first call goes wrong."""

from dataclasses import dataclass
from random import Random
from typing import Final

import orjson

from tests.makers import make_fields
from worker.core.message.lane import Lane

#: Endings of numbers and how often they are drawn; the sandbox's table says what they do (worker/sandbox/magic.py).
USUAL: Final = "000000"
_ENDINGS: Final = {
    USUAL: 78,
    "993006": 4,  # not accepted, 503 ServiceUnavailable, then OK: tried again
    "991046": 3,  # not accepted, SYSTEM_ERROR, then OK: tried again
    "993002": 3,  # accepted, the reply is lost: unknown
    "993003": 3,  # not accepted, cut: unknown
    "993004": 2,  # accepted, the reply is garbled: unknown
    "993013": 2,  # accepted, reset in the middle of the reply: unknown
    "993012": 2,  # accepted, never answered: unknown after the read timeout
    "990033": 3,  # MOBILE_NUMBER_ILLEGAL: dead
}
_LANES: Final = {Lane.OTP: 4, Lane.NOTIFY: 4, Lane.MARKETING: 2}
#: One publication in so many is one of an id that was published before.
_REPEATED: Final = 12
#: Earlier publications among which the repeated one is drawn.
_RECENT: Final = 40


@dataclass(frozen=True, slots=True)
class Publication:
    """One message to publish."""

    id: str
    lane: Lane
    body: bytes


class Mix:
    """Draws requests; the same seed draws the same."""

    def __init__(self, seed: int, *, faults: bool = True, repeats: bool = True) -> None:
        """Without *faults* every recipient is ordinary; without *repeats* no id is published twice."""
        self._dice = Random(seed)
        self._endings = _ENDINGS if faults else {USUAL: 1}
        self._repeats = repeats
        self._recent: list[Publication] = []
        self._count = 0

    def draw(self, lane: Lane | None = None, **changes: str) -> Publication:
        """The next publication, on *lane* if that is given; *changes* are fields of its body."""
        dice = self._dice
        if self._repeats and self._recent and dice.randrange(_REPEATED) == 0:
            return dice.choice(self._recent)
        self._count += 1
        lane = lane or dice.choices(list(_LANES), list(_LANES.values()))[0]
        (ending,) = dice.choices(list(self._endings), list(self._endings.values()))
        fields = make_fields(lane, id=f"r-{self._count}", to=f"852{self._count:06}{ending}", **changes)
        publication = Publication(fields["id"], lane, orjson.dumps(fields))
        self._recent = [*self._recent[1 - _RECENT :], publication]
        return publication
