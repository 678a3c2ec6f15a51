"""Which requests go together into one batch call: one call of a quota of its own, with up to a thousand recipients.

Rules of this file. Singles take all they can; a batch call takes what they would need long for.

* Only what the call has one value for goes together: type, sender, task id, and length of validity (`BatchKey`).
* A key is worth a call when so many wait that singles would need a quarter of a second for them, or when its earliest
  deadline would pass in that time. There is no linger: a request never waits for others to come.
* Of several keys the one with the highest ``min(n, most) * age of its oldest ** 2`` is called for: the largest first
  would starve small keys, the oldest first would waste calls.
* A one-time password never goes in a batch, nor a template, nor what was tried before: its outcome must be its own.
* No number twice in a call: the provider names failed members by their number alone.
* A new (sender, country, text) goes with few members at first: a text that is refused, or a call that brings no answer,
  must not cost a thousand.

Source of the call's form: the provider's API reference, BatchSendMessageToGlobe, version 2018-05-01.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from worker.core.limits.country import calling_code
from worker.core.message.decode import Request
from worker.core.message.lane import Lane, SmsType

#: Lanes whose requests may go in a batch; the operation has no type for one-time passwords.
BATCHED: Final = frozenset({Lane.NOTIFY, Lane.MARKETING})
#: Recipients of one call at the most (the provider's limit).
MOST_MEMBERS: Final = 1000
#: A key is worth a call when singles would need this long for it. Seconds.
_WORTH_S: Final = 0.25
#: Whatever the singles' rate, a call needs so many members, and so many are enough.
_FEWEST: Final = 2
_ENOUGH: Final = 500
#: How long a batch call may last until its members are with the provider. Seconds.
_CALL_S: Final = 2.0
#: Members of a new likeness in its first call, and how much more in each one after an accepted one.
CANARY: Final = 10
CANARY_GROWTH: Final = 10
#: What differs between the texts of one campaign most often.
_VARIABLE: Final = re.compile(r"\d+")


class BatchKey(NamedTuple):
    """What a call has one value for."""

    type: SmsType
    sender: str | None
    #: The publisher's own; None: the call gets one of ours.
    task_id: str | None
    #: Seconds, rounded down.
    validity_s: int
    #: Parts of a refused call are keys of their own; 0 for all others.
    part: int = 0


class Likeness(NamedTuple):
    """What is probably accepted, or refused, for the same reasons."""

    sender: str | None
    country: str
    #: Of the text without its digits.
    text: int


class Member(NamedTuple):
    """What filling a call looks at."""

    number: str
    #: That it adds to the call.
    size: int
    likeness: Likeness


class Group(NamedTuple):
    """What waits of one key."""

    waiting: int
    #: Age of the oldest, in seconds.
    age_s: float
    #: Until the earliest deadline, in seconds.
    left_s: float


def batch_key(request: Request, left_s: float) -> BatchKey | None:
    """The key of *request*, which is of use for *left_s* seconds; None when it goes alone."""
    sms, history = request.sms, request.history
    if request.lane not in BATCHED or sms.template is not None or history.retries or history.unknowns:
        return None
    validity_s = rounded_validity_s(left_s)
    return BatchKey(sms.type, sms.sender, sms.task_id, validity_s) if validity_s else None


def rounded_validity_s(left_s: float) -> int:
    """The longest of 1, 2 and 5 times a power of ten seconds that is not longer than *left_s*; 0 when none is.

    So that keys do not shatter: every request has a deadline of its own.

    >>> [rounded_validity_s(left) for left in (0.5, 1, 4.9, 86_399, 259_200)]
    [0, 1, 2, 50000, 200000]
    """
    if left_s < 1:
        return 0
    power: int = 10 ** (len(str(int(left_s))) - 1)
    return next(step * power for step in (5, 2, 1) if step * power <= left_s)


def likeness_of(request: Request) -> Likeness:
    """What the outcome of *request* says something about."""
    sms = request.sms
    return Likeness(sms.sender, calling_code(sms.number), hash(_VARIABLE.sub("", sms.text or "")))


def fewest(singles_per_s: float) -> int:
    """How many must wait of a key for a batch call to be worth it, when singles go at that rate (0: without limit)."""
    if singles_per_s <= 0:
        return _ENOUGH
    return int(min(max(singles_per_s * _WORTH_S, _FEWEST), _ENOUGH))


def worthy(groups: Mapping[BatchKey, Group], singles_per_s: float, most: int) -> list[BatchKey]:
    """The keys that are worth a batch call, the best first.

    Args:
        groups: What waits.
        singles_per_s: The singles' rate (0: without limit).
        most: Members of a call.
    """
    enough = fewest(singles_per_s)
    worth = [key for key, group in groups.items() if group.waiting >= enough or _would_miss(group, singles_per_s)]
    return sorted(worth, key=lambda key: min(groups[key].waiting, most) * groups[key].age_s ** 2, reverse=True)


def _would_miss(group: Group, singles_per_s: float) -> bool:
    """Whether singles alone would come too late for the earliest deadline of *group*."""
    singles_s = group.waiting / singles_per_s if singles_per_s > 0 else 0.0
    return group.waiting >= _FEWEST and group.left_s < singles_s + _CALL_S


def fill(members: Iterable[Member], most: int, most_bytes: int, allowance: Callable[[Likeness], int]) -> Iterator[int]:
    """Which of *members*, the most urgent first, go into one call; yields their indices.

    Args:
        members: Of one key.
        most: How many may go.
        most_bytes: What they may add to the call together; who does not fit leaves the place to smaller ones.
        allowance: How many of a likeness may go.
    """
    numbers: set[str] = set()
    of_likeness: dict[Likeness, int] = {}
    for index, (number, size, likeness) in enumerate(members):
        if len(numbers) >= most:
            return
        left = of_likeness.get(likeness)
        if left is None:
            left = allowance(likeness)
        if number in numbers or size > most_bytes or left <= 0:
            of_likeness[likeness] = left
            continue
        of_likeness[likeness] = left - 1
        numbers.add(number)
        most_bytes -= size
        yield index
