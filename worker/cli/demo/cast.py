"""What the demo publishes: every kind of request that the program treats differently, in a realistic mixture.

Recipients are the sandbox's magic numbers (``worker/sandbox/magic.py``): their last six digits choose the answer.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from worker.core.message.lane import Lane

_TEXTS: Final = {
    Lane.OTP: "Your code is 482913. It is valid for five minutes.",
    Lane.NOTIFY: "Your parcel is on its way and arrives tomorrow between 9 and 12.",
    Lane.MARKETING: "Spring sale: everything is 20% off until Sunday. Reply STOP to leave.",
}


@dataclass(frozen=True, slots=True)
class Role:
    """*count* requests of one kind."""

    #: Begins their ids, so that the report can be read.
    name: str
    lane: Lane
    count: int
    #: The last six digits of each number; None gives every request an ordinary number of its own.
    magic: str | None = None
    #: Seconds from publication to the deadline; None leaves the lane's default.
    deadline_s: float | None = None
    #: Seconds from publication to the earliest instant of sending.
    not_before_s: float | None = None
    #: To mainland China, with a template.
    mainland: bool = False
    #: Every request goes to the same number.
    one_number: bool = False


@dataclass(frozen=True, slots=True)
class Publication:
    """One message to publish, as it stands."""

    #: None for what has no id that could be read.
    request_id: str | None
    routing_key: str
    body: bytes
    #: The recipient, of which an ordinary request is the only one; empty when that is not so.
    number: str = ""


_SPECIAL: Final = (
    Role("first-call-fails", Lane.NOTIFY, 6, "991046"),
    Role("first-call-billing", Lane.MARKETING, 6, "991049"),
    Role("first-call-throttled", Lane.MARKETING, 1, "993010"),
    Role("always-unavailable", Lane.NOTIFY, 4, "992006", deadline_s=12),
    Role("no-such-number", Lane.NOTIFY, 8, "990033"),
    Role("no-such-country", Lane.MARKETING, 5, "990065"),
    Role("illegal-content", Lane.MARKETING, 7, "990062"),
    Role("blocked-sender", Lane.MARKETING, 4, "990067"),
    Role("invalid-parameters", Lane.NOTIFY, 4, "990036"),
    Role("day-limit-reached", Lane.NOTIFY, 4, "990083", deadline_s=600),
    Role("reply-lost-otp", Lane.OTP, 4, "993002"),
    Role("reply-lost", Lane.NOTIFY, 5, "992002"),
    Role("reply-garbled", Lane.MARKETING, 3, "992004"),
    Role("code-from-the-future", Lane.NOTIFY, 2, "992011"),
    Role("too-late", Lane.OTP, 4, deadline_s=-1),
    Role("scheduled", Lane.NOTIFY, 5, not_before_s=6),
    Role("same-number-twice", Lane.OTP, 2, one_number=True),
    Role("mainland", Lane.NOTIFY, 20, mainland=True),
)
#: Names of the roles to which nothing special happens.
ORDINARY: Final = frozenset(lane.value for lane in Lane)
_BROKEN: Final = (
    (Lane.OTP.value, b"this is not JSON"),
    (Lane.OTP.value, b'{"to": "85251234567", "type": "OTP", "text": "no id"}'),
    (Lane.OTP.value, b'{"id": "broken-lane", "to": "85251234567", "type": "MKT", "text": "wrong lane"}'),
    (Lane.NOTIFY.value, b'{"id": "broken-typo", "to": "85251234567", "type": "NOTIFY", "txet": "a typo"}'),
    (Lane.NOTIFY.value, b'{"id": "broken-to", "to": 85251234567, "type": "NOTIFY", "text": "a number as a number"}'),
    ("no-such-lane", b'{"id": "broken-route", "to": "85251234567", "type": "NOTIFY", "text": "nowhere"}'),
)


def roles(total: int) -> tuple[Role, ...]:
    """The roles of a demo of about *total* requests: the special ones, and ordinary ones for the rest."""
    rest = max(total - sum(role.count for role in _SPECIAL) - len(_BROKEN), 10)
    otp, notify = rest * 2 // 10, rest * 3 // 10
    counts = {Lane.OTP: otp, Lane.NOTIFY: notify, Lane.MARKETING: rest - otp - notify}
    return (*(Role(lane.value, lane, count) for lane, count in counts.items()), *_SPECIAL)


def publications(total: int, now: datetime, dice: random.Random) -> list[Publication]:
    """Everything that the demo publishes, shuffled by *dice*."""
    everything = [*_requests(roles(total), now), *(Publication(None, key, body) for key, body in _BROKEN)]
    dice.shuffle(everything)
    return everything


def _requests(cast: tuple[Role, ...], now: datetime) -> Iterator[Publication]:
    serial = 0
    for role in cast:
        for index in range(role.count):
            serial += 1
            body = _body(role, index, 0 if role.one_number else serial, now)
            yield Publication(body["id"], role.lane.value, orjson.dumps(body), "" if role.mainland else body["to"])


def _body(role: Role, index: int, serial: int, now: datetime) -> dict[str, Any]:
    body: dict[str, Any] = {"id": f"{role.name}.{index:04d}", "type": role.lane.sms_type}
    if role.mainland:
        body |= {"to": f"86138{serial:08d}", "template": {"code": "SMS_1", "params": {"name": "Li"}}, "from": "Example"}
    else:
        ending = role.magic or f"{100_000 + serial % 100_000}"
        body |= {"to": f"85298{serial % 10_000:04d}{ending}", "text": _TEXTS[role.lane]}
    if role.name not in ORDINARY:  # a task id of its own, so that it does not spoil a batch call of others
        body["task_id"] = body["id"]
    if role.deadline_s is not None:
        body["deadline"] = now + timedelta(seconds=role.deadline_s)
    if role.not_before_s is not None:
        body["not_before"] = now + timedelta(seconds=role.not_before_s)
    return body
