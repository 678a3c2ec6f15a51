"""A worker: takes messages in hand, books slots for them, calls, and decides what becomes of each.

As `delivery/dispatch.py` and `pipeline.py` in virtual time. A call is an event; a message that waits is none.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from worker.core.batch import BatchKey
from worker.core.decision.decide import decide
from worker.core.decision.policy import Policy
from worker.core.ladder import STEP
from worker.core.limits.bucket import SECOND_US
from worker.core.limits.quota import Operation
from worker.core.message.history import History
from worker.core.message.lane import Lane
from worker.core.outcome.disposition import Dead, Retry
from worker.core.outcome.outcome import ErrorClass, Failed
from worker.core.plan import doomed, lease
from worker.delivery.pace import Pace
from worker.simulation.agenda import Agenda
from worker.simulation.answers import Answers
from worker.simulation.arrivals import Arrival, Past
from worker.simulation.books import Books
from worker.simulation.hand import Hand, Waiting
from worker.simulation.kind import instant_of
from worker.simulation.queues import Consumer, Delayed, Queue
from worker.simulation.quotas import Quotas
from worker.simulation.token_bucket import Booked

#: How long before its slot a message is chosen, and how often is looked for those whose time is over; as in dispatch.
LEAD_US: Final = 20_000
SWEEP_US: Final = SECOND_US
#: From the question to the answer of Redis.
ROUND_TRIP_US: Final = 1000


class Worker:
    """One of those who share the quotas."""

    def __init__(
        self,
        agenda: Agenda,
        quotas: Quotas,
        answers: Answers,
        books: Books,
        policy: Policy,
        *,
        concurrency: int,
        pace: Pace,
        batched: bool,
        dice: Callable[[], float],
    ) -> None:
        """At most *concurrency* slots are in use; *batched*: messages may go in batch calls.

        *pace* says how fast messages can go at best.
        """
        self._pace: Final = pace
        self._agenda = agenda
        self._quotas = quotas
        self._answers = answers
        self._books = books
        self._policy: Final = policy
        self._expired: Final = policy.catalog.failed("local.expired", called=False)
        self._free = concurrency
        self._rate: Final = quotas.rates[Operation.GLOBE]
        self._batched = batched
        self._dice = dice
        self.hand: Final = Hand()
        #: Lanes for which a pump asks, or waits until it may.
        self._pumping: Final = set[Lane]()
        #: Somebody waits, so there is something to sweep.
        self._is_sweeping = False
        #: Told when somebody joined who may go in a batch call.
        self.joined: Callable[[int], None] = lambda _: None
        self._due: Mapping[Lane, tuple[Delayed, Queue]] = {}

    def start(self, due: Mapping[Lane, tuple[Delayed, Queue]]) -> None:
        """Begin; what is to be tried again comes back through *due*."""
        self._due = due

    def receive(self, now: int, arrival: Arrival, consumer: Consumer) -> bool:
        """Take *arrival* in hand; False when it is too late for it."""
        kind, published, past = arrival
        deadline = published + kind.lifetime_us if past is None else past.deadline
        key = None
        if self._batched and (past is None or past.fate is None):
            key = kind.key(None if past is None else past.history, deadline - now)
        number = self.hand.number(at_the_front=False)
        waiting = Waiting(deadline, number, kind, published, now, key, past, consumer)
        if deadline <= now:
            self._decide(now, waiting, self._expired)
            return False
        self._join(now, waiting)
        return True

    def put_back(self, now: int, waiting: Waiting, key: BatchKey | None, past: Past | None = None) -> None:
        """Let *waiting*, who had a turn and has no outcome, wait again, together with those of *key*."""
        number = self.hand.number(at_the_front=True)
        self._join(now, waiting._replace(number=number, key=key, past=past or waiting.past))

    def accepted(self, now: int, called: int, waiting: Waiting) -> None:
        """The provider took it: whatever was before, it is done."""
        kind = waiting.kind
        self._books.accepted(now, called, kind.lane, waiting.published, kind.segments)

    def failed(self, now: int, waiting: Waiting, failed: Failed) -> None:
        """End the turn of *waiting*, or of what is left of it, with *failed*."""
        self._decide(now, waiting, failed)
        waiting.consumer.settle(now)

    def _join(self, now: int, waiting: Waiting) -> None:
        self.hand.join(waiting)
        if not self._is_sweeping:
            self._is_sweeping = True
            self._agenda.at(now + SWEEP_US, self._sweep)
        lane = waiting.kind.lane
        if lane not in self._pumping:
            self._wake(now, lane)
        if waiting.key is not None:
            self.joined(now)

    def _decide(self, now: int, waiting: Waiting, failed: Failed) -> None:
        """Let it come back, or be dead."""
        kind, past = waiting.kind, waiting.past
        history = History() if past is None else past.history
        request = kind.request(history, waiting.deadline)
        disposition = decide(request, failed, self._policy.retry, instant_of(now), self._dice())
        if isinstance(disposition, Dead):
            self._books.died(now, kind.lane, disposition.reason.error_class)
        elif isinstance(disposition, Retry):
            steps = -(-disposition.delay // STEP)
            fate = past.fate if past is not None and failed.row.error_class is ErrorClass.THROTTLED else None
            again = Past(disposition.history, waiting.deadline, due=True, fate=fate)
            delayed, queue = self._due[kind.lane]
            self._books.lanes[kind.lane].resent += 1
            delayed.add(now + steps * STEP // timedelta(microseconds=1), Arrival(kind, waiting.published, again))
            queue.deal(now)

    # -- booking slots ------------------------------------------------------------------------------------------

    def _wake(self, now: int, lane: Lane) -> None:
        line = self.hand.lines[lane]
        if lane not in self._pumping and self._free > 0 and len(line) > line.booked:
            self._pumping.add(lane)
            self._agenda.at(now + ROUND_TRIP_US // 2, self._ask, lane)

    def _ask(self, now: int, lane: Lane) -> None:
        self._pumping.discard(lane)
        line = self.hand.lines[lane]
        want = min(len(line) - line.booked, self._free)
        if want <= 0:
            return
        answer = self._quotas.grant(now, Operation.GLOBE, lane, lease(self._rate, want))
        self._pumping.add(lane)
        if not isinstance(answer, Booked):
            self._agenda.at(now + max(answer.after_us, ROUND_TRIP_US), self._ask, lane)
            return
        self._free -= len(answer.waits_us)
        line.booked += len(answer.waits_us)
        for wait_us in answer.waits_us:
            due = now + wait_us
            self._agenda.at(max(now, due - LEAD_US), self._assign, (lane, answer.floor, due))
        self._agenda.at(now + ROUND_TRIP_US, self._ask, lane)

    def _give_free(self, now: int) -> None:
        self._free += 1
        if self._free == 1:
            for lane in Lane:
                self._wake(now, lane)

    # -- calling ------------------------------------------------------------------------------------------------

    def _assign(self, now: int, slot: tuple[Lane, bool, int]) -> None:
        """Give a slot to whoever should have it."""
        lane, floor, due = slot
        line = self.hand.lines[lane]
        line.booked -= 1
        waiting = self.hand.take(lane, floor=floor)
        while waiting is not None and waiting.deadline <= now:
            self.failed(now, waiting, self._expired)
            waiting = self.hand.take(lane, floor=floor)
        if lane not in self._pumping:
            self._wake(now, lane)
        if waiting is None:
            self._books.unused[Operation.GLOBE] += 1
            self._give_free(now)
        else:
            self._agenda.at(max(now, due), self._call, waiting)

    def _call(self, now: int, waiting: Waiting) -> None:
        self._books.calls[Operation.GLOBE] += 1
        fate = None if waiting.past is None else waiting.past.fate
        takes_us, failed = self._answers.single(now, fate)
        self._agenda.at(now + takes_us, self._answered, (waiting, now, failed))

    def _answered(self, now: int, call: tuple[Waiting, int, Failed | None]) -> None:
        waiting, called, failed = call
        if failed is None:
            self.accepted(now, called, waiting)
            waiting.consumer.settle(now)
        else:
            self._books.refused[Operation.GLOBE] += 1
            if failed.row.error_class is ErrorClass.THROTTLED:
                self._quotas.throttled(now, Operation.GLOBE)
            self.failed(now, waiting, failed)
        self._give_free(now)

    def _sweep(self, now: int, _: object) -> None:
        """End the wait of those whose deadline has passed, and of those who cannot have their turn before it."""
        for waiting in self.hand.expired(now):
            self.failed(now, waiting, self._expired)
        lines = {lane: line for lane, line in self.hand.lines.items() if len(line)}
        for lane, line in lines.items():
            per_s = self._pace.messages_per_s(Operation.GLOBE, lane)
            # The last one waits no longer than so many take: mostly nobody needs to be looked at.
            if self.hand.most_urgent(line) - now < len(line) / per_s * SECOND_US:
                in_order = self.hand.in_order(line)
                for index in [*doomed(((one.deadline - now) / SECOND_US for one in in_order), per_s)]:
                    self.hand.remove(in_order[index])
                    self.failed(now, in_order[index], self._expired)
        self._is_sweeping = bool(lines)
        if lines:
            self._agenda.at(now + SWEEP_US, self._sweep)
