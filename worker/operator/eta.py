"""How long the lanes' backlogs last, when calls go on at the present rate and nothing new comes."""

from collections.abc import Mapping
from typing import Final

from worker.core.message.lane import Lane

#: A backlog below this is rounding. Requests.
_NOTHING: Final = 1e-6


def etas(waiting: Mapping[Lane, int], per_s: float, floors: Mapping[Lane, float]) -> dict[Lane, float]:
    """Seconds until each lane that waits is empty, as lanes share *per_s* calls per second.

    The most urgent lane takes what it can; a less urgent one gets its share of *floors* all the same, and what an empty
    lane leaves goes to the others.

    >>> etas({Lane.OTP: 80, Lane.MARKETING: 100}, 10, {Lane.MARKETING: 0.2})
    {<Lane.OTP: 'otp'>: 10.0, <Lane.MARKETING: 'marketing'>: 18.0}
    """
    left = {lane: float(waiting[lane]) for lane in Lane if waiting.get(lane)}
    ends: dict[Lane, float] = {}
    clock = 0.0
    while left and per_s > 0:
        rates = _rates(list(left), per_s, floors)
        step = min(left[lane] / rate for lane, rate in rates.items() if rate)
        clock += step
        left = {lane: count - rates[lane] * step for lane, count in left.items()}
        ends |= dict.fromkeys((lane for lane, count in left.items() if count < _NOTHING), clock)
        left = {lane: count for lane, count in left.items() if count >= _NOTHING}
    return ends


def in_words(seconds: float) -> str:
    """*seconds* in the units that a person would use.

    >>> [in_words(seconds) for seconds in (0.2, 75, 4000, 200_000)]
    ['1 s', '75 s', '67 min', '2.3 d']
    """
    for least, unit, length in ((2 * 86_400, "d", 86_400), (2 * 3600, "h", 3600), (120, "min", 60)):
        if seconds >= least:
            return f"{seconds / length:.0f} {unit}" if unit == "min" else f"{seconds / length:.1f} {unit}"
    return f"{max(seconds, 1):.0f} s"


def _rates(lanes: list[Lane], per_s: float, floors: Mapping[Lane, float]) -> dict[Lane, float]:
    """What each of *lanes*, the most urgent first, gets of *per_s*."""
    first, *others = lanes
    rates = {lane: per_s * floors.get(lane, 0.0) for lane in others}
    return {first: max(per_s - sum(rates.values()), 0.0), **rates}
