"""One request id, many copies of it, and everything that can happen to them: the decisions and the ledger together.

A world small enough to be searched: a queue that delivers at least once, workers that crash at any step or lose their
connection and go on, a provider that accepts, refuses or does not answer, a clock, and an operator that replays. It
uses the core's own `decide`, `ledger` and `too_soon_or_late`; only what lies between them is modelled, scripts that
Redis runs without anybody hearing of it, runs late and in another order, or never gets, among them:

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
from tests.models import ledger
from tests.models.ledger import Claimed
from worker.core.decision.decide import decide, too_soon_or_late
from worker.core.decision.policy import Backoff, RetryPolicy
from worker.core.limits.cancels import CLAIM_S, Cancel
from worker.core.limits.ledger import NOBODY, Known, Token, outcome_of
from worker.core.message.decode import Request
from worker.core.message.history import History, HistoryEntry
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.outcome.disposition import Dead, Done, Requeue, Retry, Withdrawn
from worker.core.outcome.outcome import Acceptance, Accepted, Cancelled, ErrorClass, Failed, Fault, Outcome, Reply
from worker.core.plan import is_certain

LEASE: Final = timedelta(seconds=18)
#: A claim is used within this time from when it was asked for, or given back (attempt.py).
FRESH: Final = timedelta(seconds=CLAIM_S)
SECOND: Final = timedelta(seconds=1)
#: A claim that Redis gets later than this is of use to nobody, and is refused once Redis' clock is known.
PATIENCE: Final = timedelta(milliseconds=500)
OK: Final = Reply(200, "OK", message_id="m-1", request_id="R-1", segments=1)
FOREVER: Final = NOW + timedelta(days=365)
#: What the provider did, and what the worker learns of it.
ANSWERS: Final[tuple[tuple[bool, Reply | Fault], ...]] = (
    (True, OK),
    (True, Fault.TIMEOUT),
    (False, Fault.CONNECTION_CUT),
    (False, Reply(200, "SYSTEM_ERROR")),
    (False, Reply(200, "QPS_LIMIT_CONTROL")),
    (False, Fault.NOT_REACHED),
)

#: A copy is delivered so often at most until it rests: it asks every 2 s while a lease lasts, and may be sent again.
DELIVERIES: Final = 20

#: How far a delivery goes in one go, how long a call lasts, and what happens then.
STEPS: Final = st.integers(1, 5)
SECONDS: Final = st.sampled_from([0, 1, 13])
ENDS: Final = st.sampled_from(["stays", "stays", "crashes", "is cut"])
#: What becomes of a script on its way to Redis; whoever sent it hears of the first only.
WIRES: Final = st.sampled_from(["answers", "answers", "answers", "runs unheard", "arrives late", "is lost"])
#: An id stands for one content; publishers confuse them.
CONTENTS: Final = st.sampled_from([b"one", b"one", b"one", b"two"])

Step = Callable[["Hand", tuple[bool, Reply | Fault], int, str], None]


@dataclass(eq=False)
class Hand:
    """A delivery in a worker's hand."""

    history: History
    content: bytes
    caller: str
    #: Its next step.
    next: Step
    claims: int = 0
    claimed: datetime = NOW
    outcome: Outcome | None = None
    #: Its worker lost the connection: it goes on, and can settle nothing; the message is in the queue again.
    is_ghost: bool = False

    @property
    def token(self) -> Token:
        return Token(self.caller, self.claims)


class SentOnce(RuleBasedStateMachine):
    """Any sequence of deliveries, crashes, replies and clocks."""

    @initialize(
        lane=st.sampled_from(Lane),
        resends=st.integers(0, 2),
        minutes=st.sampled_from([1, 60]),
        knows_the_clock=st.booleans(),
    )
    def begin(self, lane: Lane, resends: int, minutes: int, knows_the_clock: bool) -> None:
        self.lane, self.resends, self.now = lane, resends, NOW
        self.deadline = NOW + timedelta(minutes=minutes)
        self.policy = RetryPolicy(Backoff(SECOND, 10 * SECOND), {lane: resends})
        self.knows_the_clock = knows_the_clock
        self.queue: list[tuple[datetime, History, bytes]] = []
        self.hands: list[Hand] = []
        self.done: list[tuple[Done, bytes]] = []
        self.dead: list[tuple[Dead, bytes]] = []
        self.entry: ledger.LedgerEntry | None = None
        #: Scripts on their way to Redis, which nobody waits for any more.
        self.late: list[Callable[[], None]] = []
        #: What Redis did not say that it took, and whose worker will tell it again.
        self.debts: list[tuple[Hand, Callable[[], None]]] = []
        self.contents_accepted: set[bytes] = set()
        self.publications = self.replays = self.deliveries = self.accepted = self.risky = self.withdrawn = 0
        #: Whether the id, and its campaign, are cancelled.
        self.is_cancelled = self.is_campaign_cancelled = False
        #: After which no call may begin, because a cancel was answered.
        self.certain = FOREVER
        self.publish(b"one")

    # -- the outside --------------------------------------------------------------------------------------------

    @precondition(lambda self: self.publications < 3)
    @rule(content=CONTENTS)
    def publish(self, content: bytes) -> None:
        self.publications += 1
        self.queue.append((self.now, History(published=NOW), content))

    @rule(seconds=st.sampled_from([0.5, 5, 20]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(of_campaign=st.booleans())
    def an_operator_cancels(self, of_campaign: bool) -> None:
        if of_campaign:
            self.is_campaign_cancelled = True
            self.certain = min(self.certain, self.now + FRESH)
        else:
            told = ledger.cancel(self.entry, self.us)
            self.is_cancelled = self.is_cancelled or told is not Cancel.SENT
            if told is Cancel.CANCELLED:
                self.certain = NOW - SECOND

    @precondition(lambda self: self.is_cancelled or self.is_campaign_cancelled)
    @rule()
    def an_operator_takes_the_cancels_back(self) -> None:
        self.is_cancelled = self.is_campaign_cancelled = False
        self.certain = FOREVER

    @precondition(lambda self: self.letters and self.replays < 2)
    @rule()
    def an_operator_replays_an_unknown_letter(self) -> None:
        letter, content = self.letters[0]
        self.dead.remove((letter, content))
        self.replays += 1
        self.queue.append((self.now, letter.history.replayed(HistoryEntry(self.now, "operator", "replayed")), content))

    @property
    def letters(self) -> list[tuple[Dead, bytes]]:
        return [(dead, content) for dead, content in self.dead if dead.reason.error_class is ErrorClass.UNKNOWN]

    # -- the way to Redis ---------------------------------------------------------------------------------------

    def script(self, run: Callable[[], None], wire: str) -> bool:
        """Send a script; True when its answer comes."""
        if wire in {"answers", "runs unheard"}:
            run()
        elif wire == "arrives late":
            self.late.append(run)
        return wire == "answers"

    def tell(self, hand: Hand, run: Callable[[], None], wire: str) -> bool:
        """Send a script that is sent again until its answer comes, or the worker is gone."""
        is_told = self.script(run, wire)
        if not is_told:
            self.debts.append((hand, run))
        return is_told

    @precondition(lambda self: self.late)
    @rule(which=st.integers(0, 5))
    def a_late_script_arrives(self, which: int) -> None:
        self.late.pop(which % len(self.late))()

    @precondition(lambda self: self.debts)
    @rule(which=st.integers(0, 5), wire=WIRES)
    def a_debt_is_told_again(self, which: int, wire: str) -> None:
        hand, run = self.debts.pop(which % len(self.debts))
        self.tell(hand, run, wire)

    # -- deliveries ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.queue)
    @rule(steps=STEPS, answer=st.sampled_from(ANSWERS), seconds=SECONDS, wire=WIRES, then=ENDS)
    def deliver(self, steps: int, answer: tuple[bool, Reply | Fault], seconds: int, wire: str, then: str) -> None:
        """The next that is due, or when none is, that will be; it goes so many steps, and then something happens."""
        self.take()
        self.go_on(-1, steps, answer, seconds, wire, then)

    def take(self) -> None:
        self.queue.sort(key=lambda message: message[0])
        due, history, content = self.queue.pop(0)
        self.now = max(self.now, due)
        self.deliveries += 1
        self.hands.append(Hand(history, content, f"c{self.deliveries}", self.claim))

    @precondition(lambda self: self.hands)
    @rule(
        which=st.integers(-3, -1), steps=STEPS, answer=st.sampled_from(ANSWERS), seconds=SECONDS, wire=WIRES, then=ENDS
    )
    def go_on(
        self, which: int, steps: int, answer: tuple[bool, Reply | Fault], seconds: int, wire: str, then: str
    ) -> None:
        hand = self.hands[max(which, -len(self.hands))]
        for step in range(steps):
            if hand in self.hands:
                hand.next(hand, answer, seconds, wire if step == 0 else "answers")
        if hand not in self.hands or then == "stays":
            return
        if then == "is cut" and not hand.is_ghost:
            self.queue.append((self.now, hand.history, hand.content))
            hand.is_ghost = True
        elif then == "crashes":
            self.debts = [(owner, run) for owner, run in self.debts if owner is not hand]
            self.leave(hand, self.now)

    @precondition(lambda self: self.queue or self.hands)
    @rule(wire=WIRES, steps=st.integers(0, 2), answer=st.sampled_from(ANSWERS), arrives=st.booleans())
    def a_slot_comes_too_late(self, wire: str, steps: int, answer: tuple[bool, Reply | Fault], arrives: bool) -> None:
        """A claim is given back, the request goes on with another slot, and perhaps only then the first is told."""
        if not self.hands:
            self.take()
        hand = self.hands[-1]
        if hand.next == self.claim:
            hand.next(hand, answer, 0, "answers")
        if hand in self.hands and hand.next == self.call:
            self.tell(hand, self.not_sent(hand.token), wire)
            hand.next = self.claim
            for _ in range(steps):
                if hand in self.hands:
                    hand.next(hand, answer, 0, "answers")
        if arrives and self.late:
            self.late.pop()()

    @precondition(lambda self: self.queue or self.hands)
    @rule(wire=WIRES, of_campaign=st.booleans(), seconds=st.sampled_from([0.5, 2, 5, 20]), arrives=st.booleans())
    def a_cancel_comes_after_a_claim(self, wire: str, of_campaign: bool, seconds: float, arrives: bool) -> None:
        """Of which its caller heard or not, and which it perhaps gives back; it goes on when the cancel is answered."""
        if not self.hands:
            self.take()
        hand = self.hands[-1]
        if hand.next == self.claim:
            hand.next(hand, (True, OK), 0, wire)
        self.an_operator_cancels(of_campaign)
        self.time_passes(seconds)
        if arrives and self.late:
            self.late.pop()()
        for _ in range(3):
            if hand in self.hands:
                hand.next(hand, (True, OK), 0, "answers")

    # -- the steps of one delivery ------------------------------------------------------------------------------

    def claim(self, hand: Hand, _answer: object, _seconds: object, wire: str) -> None:
        if hand.is_ghost:
            self.leave(hand, self.now)
        elif too_soon_or_late(self.request(hand), self.now) is ErrorClass.EXPIRED:
            self.recall(hand, wire)
        else:
            hand.claims += 1
            token, asked = hand.token, self.now

            def run() -> None:
                if not self.knows_the_clock or self.now <= asked + PATIENCE:
                    verdicts.append(self.admit(token, hand))

            verdicts: list[ledger.Verdict] = []
            if not self.script(run, wire):
                return
            if isinstance(verdicts[0], Claimed):
                hand.next, hand.claimed = self.call, asked
            else:
                hand.next, hand.outcome = self.settle, outcome_of(verdicts[0], catalog())

    def admit(self, token: Token, hand: Hand) -> ledger.Verdict:
        counted, lease = hand.history.unknowns, LEASE // timedelta(microseconds=1)
        verdict: ledger.Verdict
        if self.is_cancelled or self.is_campaign_cancelled:
            verdict = self.refuse(token, hand)
        else:
            self.entry, verdict = ledger.claim(self.entry, token, counted, self.us, lease, hand.content)
        return verdict

    def refuse(self, token: Token, hand: Hand) -> Known:
        self.entry, verdict = ledger.refuse(self.entry, token, hand.history.unknowns, self.us, hand.content)
        assert verdict != Cancelled(0) or not self.risky, "withdrawn promises that nothing was sent"
        return verdict

    def recall(self, hand: Hand, wire: str) -> None:
        def run() -> None:
            counted = hand.history.unknowns
            known: Known | None
            if self.is_cancelled or self.is_campaign_cancelled:
                known = self.refuse(NOBODY, hand)
            else:
                self.entry, known = ledger.recall(self.entry, counted, self.us, hand.content)
            expired = catalog().failed("local.expired", called=False)
            hand.outcome = expired if known is None else outcome_of(known, catalog())

        if wire == "answers":
            run()
            hand.next = self.settle

    def call(self, hand: Hand, answer: tuple[bool, Reply | Fault], seconds: int, wire: str) -> None:
        """A worker asks its clock last of all before it calls, and so whether claim and request are still fresh."""
        if self.now - hand.claimed > FRESH or self.now >= self.deadline or hand.is_ghost:
            self.tell(hand, self.not_sent(hand.token), wire)
            hand.next = self.claim
            return
        assert self.now <= self.certain, "a call began after its cancel was answered"
        is_accepted, reply = answer
        outcome = catalog().classify(reply)
        self.accepted += is_accepted
        if is_accepted:
            self.contents_accepted.add(hand.content)
        self.risky += is_accepted or (isinstance(outcome, Failed) and not is_certain(outcome))
        self.now += timedelta(seconds=seconds)
        hand.outcome = outcome._replace(at=self.now) if isinstance(outcome, Accepted) else outcome
        hand.next = self.record

    def not_sent(self, token: Token) -> Callable[[], None]:
        def run() -> None:
            self.entry = ledger.not_sent(self.entry, token)

        return run

    def record(self, hand: Hand, _answer: object, _seconds: object, wire: str) -> None:
        outcome, token, counted, content = hand.outcome, hand.token, hand.history.unknowns, hand.content
        if isinstance(outcome, Accepted):
            history, accepted = hand.history.called(self.now), outcome

            def accept() -> None:
                answer = Acceptance(accepted, history.attempts, history.first_tried or NOW)
                self.entry = ledger.accepted(self.entry, answer, content)
                assert self.entry.state is ledger.State.SENT

            self.tell(hand, accept, wire)
        elif isinstance(outcome, Failed) and is_certain(outcome):
            self.tell(hand, self.not_sent(token), wire)
        elif isinstance(outcome, Failed):
            code = outcome.code

            def doubt() -> None:
                self.entry = ledger.unknown(self.entry, token, counted, code, self.us, content)

            if self.tell(hand, doubt, wire) and self.entry is not None:
                hand.outcome = replace(outcome, unknowns=self.entry.unknowns)
        hand.next = self.settle

    def settle(self, hand: Hand, _answer: object, _seconds: object, _wire: object) -> None:
        assert hand.outcome is not None
        match disposition := decide(self.request(hand), hand.outcome, self.policy, self.now, 0.0):
            case Done():
                self.done.append((disposition, hand.content))
            case Withdrawn():
                self.withdrawn += 1
            case Dead():
                self.dead.append((disposition, hand.content))
            case Retry(delay, _, history):
                self.queue.append((self.now + delay, history, hand.content))
            case Requeue():
                raise AssertionError("nothing here is given back")
        hand.next = self.acknowledge

    def acknowledge(self, hand: Hand, _answer: object, _seconds: object, _wire: object) -> None:
        self.hands.remove(hand)

    def leave(self, hand: Hand, due: datetime) -> None:
        self.hands.remove(hand)
        if not hand.is_ghost:
            self.queue.append((due, hand.history, hand.content))

    def request(self, hand: Hand) -> Request:
        return make_request(self.lane, deadline=self.deadline, history=hand.history)

    @property
    def us(self) -> int:
        return (self.now - NOW) // timedelta(microseconds=1)

    def teardown(self) -> None:
        """When nothing goes wrong any more, everything comes to rest."""
        if not hasattr(self, "queue"):
            return
        most = 1 + DELIVERIES * (len(self.queue) + len(self.hands))
        for _ in range(most):
            while self.late:
                self.late.pop(0)()
            while self.debts:
                self.debts.pop(0)[1]()
            while self.hands:
                self.hands[0].next(self.hands[0], (True, OK), 0, "answers")
            if not self.queue:
                return
            self.take()
        raise AssertionError(f"after {most} deliveries {len(self.queue)} copies are still on their way")

    # -- the promises -------------------------------------------------------------------------------------------

    @invariant()
    def no_publication_is_lost(self) -> None:
        in_hand = sum(not hand.is_ghost for hand in self.hands)
        assert len(self.queue) + in_hand + len(self.done) + len(self.dead) + self.withdrawn >= self.publications

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
        expired = [dead for dead, _ in self.dead if dead.reason.error_class is ErrorClass.EXPIRED]
        assert not any(dead.history.unknowns for dead in expired)

    @invariant()
    def nobody_is_told_of_an_acceptance_that_was_another_contents(self) -> None:
        assert {content for _, content in self.done} <= self.contents_accepted


SentOnce.TestCase.settings = settings(max_examples=400, stateful_step_count=50, deadline=None)
TestSentOnce = SentOnce.TestCase
