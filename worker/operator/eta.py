"""How long the lanes' backlogs last, when calls go on at the present rate and nothing new comes."""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Final, NamedTuple

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
    return {lane: phase.end_s for phase in _phases(waiting, per_s, floors) for lane in phase.ending}


def shares(waiting: Mapping[Lane, int], per_s: float, floors: Mapping[Lane, float]) -> dict[Lane, float]:
    """What each lane that waits gets of *per_s* now, shared as `etas` has it.

    >>> shares({Lane.OTP: 80, Lane.MARKETING: 100}, 10, {Lane.MARKETING: 0.2})
    {<Lane.OTP: 'otp'>: 8.0, <Lane.MARKETING: 'marketing'>: 2.0}
    """
    return next((dict(phase.rates) for phase in _phases(waiting, per_s, floors)), {})


def late(
    waiting: Mapping[Lane, int], per_s: float, floors: Mapping[Lane, float], lifetimes_s: Mapping[Lane, float]
) -> dict[Lane, int]:
    """How many of each lane that waits do not have their turn within its lifetime from now on.

    Rather too few than too many: they have lived for a while already, and some end sooner than their lane's do.

    >>> late({Lane.OTP: 80, Lane.MARKETING: 100}, 10, {}, {Lane.OTP: 5, Lane.MARKETING: 60})
    {<Lane.OTP: 'otp'>: 30, <Lane.MARKETING: 'marketing'>: 0}
    """
    served = dict.fromkeys(Lane, 0.0)
    begin_s = 0.0
    for phase in _phases(waiting, per_s, floors):
        for lane, rate in phase.rates.items():
            served[lane] += rate * max(0.0, min(phase.end_s, lifetimes_s[lane]) - begin_s)
        begin_s = phase.end_s
    counts = {lane: count for lane in Lane if per_s > 0 and (count := waiting.get(lane))}
    return {lane: max(0, ceil(count - served[lane] - _NOTHING)) for lane, count in counts.items()}


def in_words(seconds: float) -> str:
    """*seconds* in the units that a person would use.

    >>> [in_words(seconds) for seconds in (0.2, 75, 4000, 200_000)]
    ['1 s', '75 s', '67 min', '2.3 d']
    """
    for least, unit, length in ((2 * 86_400, "d", 86_400), (2 * 3600, "h", 3600), (120, "min", 60)):
        if seconds >= least:
            return f"{seconds / length:.0f} {unit}" if unit == "min" else f"{seconds / length:.1f} {unit}"
    return f"{max(seconds, 1):.0f} s"


class _Phase(NamedTuple):
    """A time in which the same lanes wait."""

    #: Seconds from now.
    end_s: float
    rates: Mapping[Lane, float]
    #: Lanes that are empty at its end.
    ending: tuple[Lane, ...]


def _phases(waiting: Mapping[Lane, int], per_s: float, floors: Mapping[Lane, float]) -> Iterator[_Phase]:
    """One after the other until nothing waits; none without a rate."""
    left = {lane: float(waiting[lane]) for lane in Lane if waiting.get(lane)}
    clock = 0.0
    while left and per_s > 0:
        rates = _rates(list(left), per_s, floors)
        step = min(left[lane] / rate for lane, rate in rates.items() if rate)
        clock += step
        left = {lane: count - rates[lane] * step for lane, count in left.items()}
        yield _Phase(clock, rates, tuple(lane for lane, count in left.items() if count < _NOTHING))
        left = {lane: count for lane, count in left.items() if count >= _NOTHING}


def _rates(lanes: list[Lane], per_s: float, floors: Mapping[Lane, float]) -> dict[Lane, float]:
    """What each of *lanes*, the most urgent first, gets of *per_s*."""
    first, *others = lanes
    rates = {lane: per_s * floors.get(lane, 0.0) for lane in others}
    return {first: max(per_s - sum(rates.values()), 0.0), **rates}
