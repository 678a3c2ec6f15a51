"""A worker's batch calls: as `delivery/batches.py` and `batch_call.py`, in virtual time."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Final, NamedTuple

from worker.core.batch import BatchKey, Likeness, Member, fill, worthy
from worker.core.limits.quota import Operation
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.outcome.members import Resort, resort_of
from worker.core.outcome.outcome import ErrorClass
from worker.delivery.canaries import Canaries
from worker.simulation.agenda import Agenda
from worker.simulation.answers import Answers, Refusal
from worker.simulation.arrivals import Past
from worker.simulation.books import Books
from worker.simulation.call_size import CallSize
from worker.simulation.hand import Waiting
from worker.simulation.quotas import Quotas
from worker.simulation.token_bucket import Booked
from worker.simulation.worker import ROUND_TRIP_US, Worker

#: As in `delivery/batches.py`, in microseconds.
LEAD_US: Final = 30_000
LEAD_EACH_US: Final = 400
LOOK_US: Final = 250_000
LOOK_PAUSE_US: Final = 20_000
_FEWEST: Final = 2


class Called(NamedTuple):
    """A call that was made and has its answer."""

    members: Sequence[Waiting]
    #: When it began.
    at: int
    refusal: Refusal | None


class Batches:
    """Books the slots of the batch quota for one worker."""

    def __init__(
        self,
        agenda: Agenda,
        quotas: Quotas,
        answers: Answers,
        books: Books,
        worker: Worker,
        *,
        singles_per_s: Callable[[], float],
        size: int,
        call_size: CallSize,
    ) -> None:
        """At most *size* messages go in a call, and no more than *call_size* allows."""
        self._agenda = agenda
        self._quotas = quotas
        self._answers = answers
        self._books = books
        self._worker = worker
        self._size = size
        self._call_size = call_size
        self._parts: Final = count(1)
        self._canaries: Final = Canaries(lambda: agenda.now / 1e6)
        self._singles_per_s = singles_per_s
        #: How often it has begun to wait; None while it does not wait.
        self._rests: int | None = None
        self._serial: Final = count()
        worker.joined = self._joined

    def start(self, now: int) -> None:
        """Begin."""
        self._agenda.at(now, self._look)

    def _worthy(self, now: int) -> Sequence[BatchKey]:
        return worthy(self._worker.hand.groups(now), self._singles_per_s(), self._size)

    def _joined(self, now: int) -> None:
        """Somebody joined: it may be worth a call now."""
        if self._rests is not None:
            self._rests = None
            self._agenda.at(now + LOOK_PAUSE_US, self._look)

    def _look(self, now: int, _: object = None) -> None:
        if self._worthy(now):
            self._ask(now)
            return
        self._rests = next(self._serial)
        if self._worker.hand.largest():  # a deadline may come near; without anybody, the next to join wakes it
            self._agenda.at(now + LOOK_US + LOOK_PAUSE_US, self._rested, self._rests)

    def _rested(self, now: int, rest: int) -> None:
        if self._rests == rest:
            self._rests = None
            self._look(now)

    def _ask(self, now: int) -> None:
        answer = self._quotas.grant(now, Operation.BATCH, Lane.MARKETING, 1)
        if not isinstance(answer, Booked):
            self._agenda.at(now + max(answer.after_us, ROUND_TRIP_US), self._look)
            return
        due = now + answer.waits_us[0]
        lead_us = LEAD_US + LEAD_EACH_US * min(self._size, self._worker.hand.largest())
        self._agenda.at(max(now, due - lead_us), self._use, due)

    def _use(self, now: int, due: int) -> None:
        """Choose who goes, and look for the next call."""
        members = self._choose(now)
        if members:
            self._agenda.at(max(now, due), self._call, members)
        else:
            self._books.unused[Operation.BATCH] += 1
        self._agenda.at(now + (ROUND_TRIP_US if members else LOOK_PAUSE_US), self._look)

    def _choose(self, now: int) -> Sequence[Waiting]:
        hand, size, most_bytes = self._worker.hand, self._size, self._call_size.members
        for key in self._worthy(now):
            waiting = hand.most_urgent_first(key)
            members = (Member(str(one.number), one.kind.size, one.kind.likeness) for one in waiting)
            chosen = [*fill(members, size, most_bytes, self._canaries.allowance)]
            if len(chosen) >= min(size, _FEWEST):
                going = [waiting[index] for index in chosen]
                for member in going:
                    hand.remove(member)
                self._canaries.began(_likenesses(going))
                return going
        return ()

    def _call(self, now: int, members: Sequence[Waiting]) -> None:
        self._books.calls[Operation.BATCH] += 1
        self._books.members += len(members)
        takes_us, refusal = self._answers.batch(now)
        self._agenda.at(now + takes_us, self._answered, Called(members, now, refusal))

    def _answered(self, now: int, call: Called) -> None:
        if call.refusal is None:
            self._each(now, call)
            self._call_size.accepted(sum(member.kind.size for member in call.members))
        else:
            self._books.refused[Operation.BATCH] += 1
            self._whole(now, call.members, call.refusal)
        self._canaries.ended(_likenesses(call.members), accepted=call.refusal is None)

    def _each(self, now: int, call: Called) -> None:
        """The provider took the call, but for some members: they go alone, to learn why."""
        settled = Counter[int]()
        consumers = {id(member.consumer): member.consumer for member in call.members}
        refuses, worker = self._answers.refuses_members, self._worker
        for member in call.members:
            fate = self._answers.member() if refuses else None
            if fate is None:
                worker.accepted(now, call.at, member)
                settled[id(member.consumer)] += 1
            else:
                past = member.past or Past(History(), member.deadline, due=False)
                worker.put_back(now, member, None, past._replace(fate=fate))
        for consumer, messages in settled.items():
            consumers[consumer].settle(now, messages)

    def _whole(self, now: int, members: Sequence[Waiting], refusal: Refusal) -> None:
        """The provider did not take the call, or nobody knows whether it did."""
        halvings = any(member.key is not None and member.key.part for member in members)
        resort = resort_of(refusal.of_batch, refusal.failed, len(members), halvings)
        is_throttled = refusal.failed.row.error_class is ErrorClass.THROTTLED
        if is_throttled:
            self._quotas.throttled(now, Operation.BATCH)
        if resort is Resort.NONE and not is_throttled:
            for member in members:
                self._worker.failed(now, member, refusal.failed)
            return
        half, parts = len(members) // 2, (next(self._parts), next(self._parts))
        for index, member in enumerate(members):
            key = None if resort is Resort.SINGLES else member.key
            if resort is Resort.HALVES and key is not None:
                key = key._replace(part=parts[index >= half])
            self._worker.put_back(now, member, key)


def _likenesses(members: Iterable[Waiting]) -> set[Likeness]:
    return {member.kind.likeness for member in members}
