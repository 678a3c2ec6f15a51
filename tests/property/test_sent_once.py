"""One request id, many copies of it, and everything that can happen to them: the decisions and the ledger together.

A world small enough to be searched: a queue that delivers at least once, workers that crash at any step or lose their
connection and go on, a provider that accepts, refuses or does not answer, a clock, and an operator that replays. It
uses the core's own `decide`, `ledger` and `too_soon_or_late`; only what lies between them is modelled:

    queued ──▶ held ──claim──▶ claimed ──call──▶ answered ──record──▶ recorded ──publish──▶ published ──ack──▶ gone
      ▲         │                 │                  │                    │                     │
      └─────────┴─────────────────┴── crash: delivered again, as it was ──┴─────────────────────┘
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.makers import NOW, make_request
from worker.core import ledger
from worker.core.backoff import Backoff
from worker.core.catalog import catalog
from worker.core.decide import Policy, decide, too_soon_or_late
from worker.core.decode import Request
from worker.core.disposition import Dead, Done, GiveBack, Retry
from worker.core.history import Entry, History
from worker.core.lane import Lane
from worker.core.ledger import Claimed
from worker.core.outcome import Accepted, Answer, ErrorClass, Failed, Fault, Outcome, Reply
from worker.core.plan import is_certain

LEASE: Final = timedelta(seconds=18)
#: A claim is used within this time or given back (calling.py).
FRESH: Final = timedelta(seconds=1)
SECOND: Final = timedelta(seconds=1)
OK: Final = Reply(200, "OK", message_id="m-1", request_id="R-1", segments=1)
#: What the provider did, and what the worker learns of it.
ANSWERS: Final[tuple[tuple[bool, Reply | Fault], ...]] = (
    (True, OK),
    (True, Fault.TIMEOUT),
    (False, Fault.CONNECTION_CUT),
    (False, Reply(200, "SYSTEM_ERROR")),
    (False, Reply(200, "QPS_LIMIT_CONTROL")),
    (False, Fault.NOT_REACHED),
)

#: How far a delivery goes in one go, how long a call lasts, and what happens then.
STEPS: Final = st.integers(1, 5)
SECONDS: Final = st.sampled_from([0, 1, 13])
ENDS: Final = st.sampled_from(["stays", "stays", "crashes", "is cut", "cannot be told to Redis"])


@dataclass(eq=False)
class Hand:
    """A delivery in a worker's hand."""

    history: History
    token: str
    #: Its next step.
    next: Callable[["Hand", tuple[bool, Reply | Fault], int], None]
    claimed: datetime = NOW
    outcome: Outcome | None = None
    #: Its worker lost the connection: it goes on, and can settle nothing; the message is in the queue again.
    is_ghost: bool = False


class SentOnce(RuleBasedStateMachine):
    """Any sequence of deliveries, crashes, replies and clocks."""

    @initialize(lane=st.sampled_from(Lane), resends=st.integers(0, 2), minutes=st.sampled_from([1, 60]))
    def begin(self, lane: Lane, resends: int, minutes: int) -> None:
        self.lane, self.resends, self.now = lane, resends, NOW
        self.deadline = NOW + timedelta(minutes=minutes)
        self.policy = Policy(Backoff(SECOND, 10 * SECOND), {lane: resends})
        self.queue: list[tuple[datetime, History]] = []
        self.hands: list[Hand] = []
        self.done: list[Done] = []
        self.dead: list[Dead] = []
        self.entry: ledger.Entry | None = None
        self.publications = self.replays = self.deliveries = self.accepted = self.risky = 0
        self.publish()

    # -- the outside --------------------------------------------------------------------------------------------

    @precondition(lambda self: self.publications < 3)
    @rule()
    def publish(self) -> None:
        self.publications += 1
        self.queue.append((self.now, History(published=NOW)))

    @rule(seconds=st.sampled_from([0.5, 5, 20]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.letters and self.replays < 2)
    @rule()
    def an_operator_replays_an_unknown_letter(self) -> None:
        letter = self.letters[0]
        self.dead.remove(letter)
        self.replays += 1
        self.queue.append((self.now, letter.history.replayed(Entry(self.now, "operator", "replayed"))))

    @property
    def letters(self) -> list[Dead]:
        return [dead for dead in self.dead if dead.reason.error_class is ErrorClass.UNKNOWN]

    # -- deliveries ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.queue)
    @rule(steps=STEPS, answer=st.sampled_from(ANSWERS), seconds=SECONDS, then=ENDS)
    def deliver(self, steps: int, answer: tuple[bool, Reply | Fault], seconds: int, then: str) -> None:
        """The next that is due, or when none is, that will be; it goes so many steps, and then something happens."""
        self.take()
        self.go_on(-1, steps, answer, seconds, then)

    def take(self) -> None:
        self.queue.sort(key=lambda message: message[0])
        due, history = self.queue.pop(0)
        self.now = max(self.now, due)
        self.deliveries += 1
        self.hands.append(Hand(history, f"t{self.deliveries}", self.claim))

    @precondition(lambda self: self.hands)
    @rule(which=st.integers(-3, -1), steps=STEPS, answer=st.sampled_from(ANSWERS), seconds=SECONDS, then=ENDS)
    def go_on(self, which: int, steps: int, answer: tuple[bool, Reply | Fault], seconds: int, then: str) -> None:
        hand = self.hands[max(which, -len(self.hands))]
        for _ in range(steps):
            if hand in self.hands:
                hand.next(hand, answer, seconds)
        if hand not in self.hands or then == "stays":
            return
        if then == "cannot be told to Redis" and hand.next == self.record:
            hand.next = self.settle
        elif then == "is cut" and not hand.is_ghost:
            self.queue.append((self.now, hand.history))
            hand.is_ghost = True
        elif then == "crashes":
            self.leave(hand, self.now)

    # -- the steps of one delivery ------------------------------------------------------------------------------

    def claim(self, hand: Hand, _answer: object, _seconds: object) -> None:
        request, us = self.request(hand), (self.now - NOW) // timedelta(microseconds=1)
        if hand.is_ghost:
            self.leave(hand, self.now)
        elif too_soon_or_late(request, self.now) is ErrorClass.EXPIRED:
            self.entry, known = ledger.recall(self.entry, hand.history.unknowns, us)
            hand.outcome = catalog().failed("local.expired", called=False)
            if known is not None and not isinstance(known, Claimed):
                hand.outcome = ledger.outcome_of(known, catalog())
            hand.next = self.settle
        else:
            lease = LEASE // timedelta(microseconds=1)
            self.entry, verdict = ledger.claim(self.entry, hand.token, hand.history.unknowns, us, lease)
            if isinstance(verdict, Claimed):
                hand.next, hand.claimed = self.call, self.now
            else:
                hand.next, hand.outcome = self.settle, ledger.outcome_of(verdict, catalog())

    def call(self, hand: Hand, answer: tuple[bool, Reply | Fault], seconds: int) -> None:
        """A worker asks its clock last of all before it calls, and so whether claim and request are still fresh."""
        if self.now - hand.claimed > FRESH or self.now >= self.deadline or hand.is_ghost:
            self.entry = ledger.not_sent(self.entry, hand.token)
            hand.next = self.claim
            return
        is_accepted, reply = answer
        outcome = catalog().classify(reply)
        self.accepted += is_accepted
        self.risky += is_accepted or (isinstance(outcome, Failed) and not is_certain(outcome))
        self.now += timedelta(seconds=seconds)
        hand.outcome = replace(outcome, at=self.now) if isinstance(outcome, Accepted) else outcome
        hand.next = self.record

    def record(self, hand: Hand, _answer: object, _seconds: object) -> None:
        outcome, us = hand.outcome, (self.now - NOW) // timedelta(microseconds=1)
        if isinstance(outcome, Accepted):
            history = hand.history.called(self.now)
            self.entry = ledger.accepted(self.entry, Answer(outcome, history.attempts, history.first_tried or NOW))
            assert self.entry.state is ledger.State.SENT
        elif isinstance(outcome, Failed) and is_certain(outcome):
            self.entry = ledger.not_sent(self.entry, hand.token)
        elif isinstance(outcome, Failed):
            self.entry = ledger.unknown(self.entry, hand.token, hand.history.unknowns, outcome.code, us)
            hand.outcome = replace(outcome, unknowns=self.entry.unknowns)
        hand.next = self.settle

    def settle(self, hand: Hand, _answer: object, _seconds: object) -> None:
        assert hand.outcome is not None
        match disposition := decide(self.request(hand), hand.outcome, self.policy, self.now, 0.0):
            case Done():
                self.done.append(disposition)
            case Dead():
                self.dead.append(disposition)
            case Retry(delay, _, history):
                self.queue.append((self.now + delay, history))
            case GiveBack():
                raise AssertionError("nothing here is given back")
        hand.next = self.acknowledge

    def acknowledge(self, hand: Hand, _answer: object, _seconds: object) -> None:
        self.hands.remove(hand)

    def leave(self, hand: Hand, due: datetime) -> None:
        self.hands.remove(hand)
        if not hand.is_ghost:
            self.queue.append((due, hand.history))

    def request(self, hand: Hand) -> Request:
        return make_request(self.lane, deadline=self.deadline, history=hand.history)

    def teardown(self) -> None:
        """When nothing goes wrong any more, everything comes to rest."""
        if not hasattr(self, "queue"):
            return
        for _ in range(100):
            while self.hands:
                self.hands[0].next(self.hands[0], (True, OK), 0)
            if not self.queue:
                return
            self.take()
        raise AssertionError(f"after 100 deliveries {len(self.queue)} copies are still on their way")

    # -- the promises -------------------------------------------------------------------------------------------

    @invariant()
    def no_publication_is_lost(self) -> None:
        in_hand = sum(not hand.is_ghost for hand in self.hands)
        assert len(self.queue) + in_hand + len(self.done) + len(self.dead) >= self.publications

    @invariant()
    def no_more_calls_may_have_been_accepted_than_policy_and_operator_chose(self) -> None:
        assert self.risky <= 1 + self.resends + self.replays

    @invariant()
    def whoever_was_sent_twice_says_that_nobody_knew(self) -> None:
        """It is counted in the ledger, and from there in every outcome that comes after."""
        assert self.accepted <= 1 or (self.entry is not None and self.entry.unknowns >= self.accepted - 1)

    @invariant()
    def done_means_accepted_and_expired_means_that_nothing_was_paid(self) -> None:
        assert not self.done or self.accepted
        expired = [dead for dead in self.dead if dead.reason.error_class is ErrorClass.EXPIRED]
        assert not any(dead.history.unknowns for dead in expired)


SentOnce.TestCase.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
TestSentOnce = SentOnce.TestCase
