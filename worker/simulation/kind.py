"""What all messages of one sender in one stream have in common, reckoned once."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from worker.core.batch import BatchKey, Likeness, batch_key, likeness_of, rounded_validity_s
from worker.core.limits.bucket import SECOND_US
from worker.core.message.decode import Request
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.message.request import SmsRequest
from worker.core.message.segments import segments
from worker.provider.parameters import member_size
from worker.simulation.plan import Plan

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant_of(now: int) -> datetime:
    """Microseconds since 1970 as an instant."""
    return _EPOCH + timedelta(microseconds=now)


class Kind:
    """A sender's messages in a stream."""

    __slots__ = ("_from_us", "_key", "_until_us", "lane", "lifetime_us", "likeness", "segments", "size", "sms")

    def __init__(self, sms: SmsRequest, lifetime: timedelta) -> None:
        """Of messages like *sms* that are of use for *lifetime*."""
        self.sms = sms
        self.lane: Lane = sms.lane
        self.lifetime_us: int = lifetime // timedelta(microseconds=1)
        self.segments = segments(sms.text or "").count
        #: What a message adds to a batch call.
        self.size = member_size(sms)
        self.likeness: Likeness = likeness_of(self.request(History(), 0))
        #: The key of those that are of use for so long: many in a row have the same.
        self._key: BatchKey | None = None
        self._from_us = self._until_us = 0

    def request(self, history: History, deadline: int) -> Request:
        """A message as the core sees it."""
        return Request(self.sms, self.lane, history, instant_of(deadline))

    def key(self, history: History | None, left_us: int) -> BatchKey | None:
        """With whom a message goes that is of use for *left_us*; None of its *history*: nothing has happened to it."""
        if history is not None:
            return batch_key(self.request(history, 0), left_us / SECOND_US)
        if not self._from_us <= left_us < self._until_us:
            validity_s = rounded_validity_s(left_us / SECOND_US)
            self._from_us, self._until_us = left_us, left_us + 1
            if validity_s:  # 1, 2, 5, 10: the next longer one is twice as long, and two and a half times after a 2
                longer_s = 5 * validity_s // 2 if str(validity_s).startswith("2") else 2 * validity_s
                self._from_us, self._until_us = validity_s * SECOND_US, longer_s * SECOND_US
            self._key = batch_key(self.request(History(), 0), left_us / SECOND_US)
        return self._key


def kinds_of(plan: Plan, lifetimes: Mapping[Lane, timedelta]) -> Sequence[Sequence[Kind]]:
    """Those of each stream of *plan*, one per sender; a lifetime that is not given is that of the lane."""
    return [
        [Kind(stream.request(sender), stream.lifetime or lifetimes[stream.lane]) for sender in stream.senders]
        for stream in plan.streams
    ]
