"""The broker's exchanges, queues and bindings as values, and the route of a delay.

Names are ``<namespace>.…`` and are built here only. The ladder of delays (`core/ladder.py`): each rung is a queue whose
messages expire after its time; before it, a topic exchange sends a message into the queue when its bit of the routing
key is set, else straight to the next lower rung. The whole seconds end at ``delay.end`` for good, because a queue's
dead-letter exchange cannot be changed. There, a key that ends in its lane goes to its lane: a version without fractions
of a second routed it. One that ends in ``due`` goes on to the fractions, and in the end to the queue of what is due on
its lane, which is a queue of its own so that it need not stand behind the lane's backlog.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate
from typing import Any, Final, NamedTuple

from worker.core.ladder import LEVELS, Rung, descent, fractions, longest, seconds
from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES, ErrorClass

#: A looked-at dead letter must never be dropped. To 4.x -1 means unlimited, to 3.10 "drop at once"; this works on both.
NEVER_DROP: Final = 1_000_000_000
#: Deliveries of one request before it counts as poison: it ended that many workers, or that many connections.
DELIVERY_LIMIT: Final = 20
_DUE: Final = "due"


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange to declare, always durable."""

    name: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue to declare, always a durable quorum queue."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """*source* exchange to *destination*, which is a queue or, where *to_exchange*, an exchange."""

    source: str
    destination: str
    key: str
    to_exchange: bool = False


class Route(NamedTuple):
    """Where to publish."""

    exchange: str
    key: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of ``<namespace>.done`` is kept; its oldest events give way."""

    #: Events.
    length: int = 1_000_000
    age: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Topology:
    """All names and routes of one namespace."""

    namespace: str = "sms"
    done: Bounds = field(default_factory=Bounds)
    levels: int = LEVELS

    @property
    def longest_delay(self) -> timedelta:
        """The ladder holds no longer."""
        return longest(self.levels)

    def lane_queue(self, lane: Lane) -> str:
        """The queue of requests on *lane*, as publishers fill it."""
        return f"{self.namespace}.send.{lane.value}"

    def due_queue(self, lane: Lane) -> str:
        """The queue of requests on *lane* that waited for their time, which has come."""
        return f"{self.namespace}.due.{lane.value}"

    def queues_of(self, lane: Lane) -> tuple[str, str]:
        """Every queue in which requests of *lane* wait for a worker."""
        return self.lane_queue(lane), self.due_queue(lane)

    def dead_queue(self, error_class: ErrorClass) -> str:
        """The dead-letter queue of *error_class*."""
        return f"{self.namespace}.dead.{error_class.value}"

    @property
    def done_queue(self) -> str:
        """The queue of outcome events."""
        return f"{self.namespace}.done"

    def delay_queues(self) -> tuple[str, ...]:
        """The queues of the ladder, as a message comes down: the longest wait first."""
        return tuple(map(self._delay, self._rungs()))

    def longest_waits(self) -> Mapping[str, timedelta]:
        """How long what is in each queue of the ladder may have to wait until it is due: there, and in all below."""
        rungs = self._rungs()
        left_ms = accumulate(rung.ttl_ms for rung in reversed(rungs))
        waits = {
            self._delay(rung): timedelta(milliseconds=ms) for rung, ms in zip(reversed(rungs), left_ms, strict=True)
        }
        return {queue: waits[queue] for queue in self.delay_queues()}

    def to_lane(self, lane: Lane) -> Route:
        """To the queue of *lane*, as publishers do."""
        return Route(f"{self.namespace}.send", lane.value)

    def back_to_lane(self, lane: Lane) -> Route:
        """To the queue of *lane*, as workers and operators do: what comes this way has headers that count."""
        return Route(self._due, lane.value)

    def to_due(self, lane: Lane) -> Route:
        """To the queue of what is due on *lane*: for what had its turn already."""
        return Route(self._due, _due_key(lane))

    def is_ours(self, exchange: str) -> bool:
        """Whether only workers and operators write to *exchange*, which every delivery names.

        Publishers write to ``<namespace>.send`` alone, and may write into headers what they like.
        """
        return exchange == self._due or exchange.startswith(f"{self.namespace}.delay.")

    @property
    def dead_exchange(self) -> str:
        """Where workers publish dead letters; RabbitMQ buries poison through it as well."""
        return f"{self.namespace}.dead"

    def to_done(self, lane: Lane) -> Route:
        """An outcome event."""
        return Route(f"{self.namespace}.done", lane.value)

    def to_dead(self, error_class: ErrorClass) -> Route:
        """A dead letter of *error_class*."""
        return Route(self.dead_exchange, error_class.value)

    def to_lane_after(self, delay: timedelta, lane: Lane) -> Route:
        """To what is due on *lane* after *delay*, rounded up to a sixteenth of a second; at once if it is not positive.

        Never early.

        >>> Topology(levels=4).to_lane_after(timedelta(seconds=4.2), Lane.OTP)
        Route(exchange='sms.delay.02', key='0.1.0.0.0.1.0.0.otp.due')
        """
        way = descent(delay, self.levels)
        if way is None:
            return self.to_due(lane)
        return Route(self._delay(way.first), f"{way.bits}.{_due_key(lane)}")

    def exchanges(self) -> tuple[Exchange, ...]:
        """Every exchange, in an order in which each may be declared."""
        name = self.namespace
        return (
            Exchange(f"{name}.unroutable", "fanout"),
            Exchange(f"{name}.send", "direct", {"alternate-exchange": f"{name}.unroutable"}),
            Exchange(self._due, "direct"),
            Exchange(f"{name}.done", "topic"),
            Exchange(self.dead_exchange, "direct"),
            Exchange(self._seconds_end, "topic"),
            Exchange(self._ladder_end, "topic"),
            *(Exchange(name, "topic") for name in self.delay_queues()),
        )

    def queues(self) -> tuple[Queue, ...]:
        """Every queue."""
        return (
            *(Queue(queue, self._lane_arguments()) for lane in Lane for queue in self.queues_of(lane)),
            *(Queue(self._delay(rung), self._delay_arguments(rung, below)) for rung, below in self._steps()),
            *(Queue(self.dead_queue(error_class), _dead_arguments()) for error_class in DEAD_CLASSES),
            Queue(self.done_queue, self._done_arguments()),
        )

    def bindings(self) -> tuple[Binding, ...]:
        """Every binding."""
        name = self.namespace
        return (
            *(Binding(f"{name}.send", self.lane_queue(lane), lane.value) for lane in Lane),
            *(Binding(self._due, self.lane_queue(lane), lane.value) for lane in Lane),
            *(Binding(self._due, self.due_queue(lane), _due_key(lane)) for lane in Lane),
            *(Binding(self._seconds_end, self.lane_queue(lane), f"#.{lane.value}") for lane in Lane),
            Binding(self._seconds_end, self._delay(fractions()[0]), f"#.{_DUE}", to_exchange=True),
            *(Binding(self._ladder_end, self.due_queue(lane), f"#.{_due_key(lane)}") for lane in Lane),
            *self._ladder_bindings(),
            *(Binding(self.dead_exchange, self.dead_queue(dead), dead.value) for dead in DEAD_CLASSES),
            Binding(f"{name}.unroutable", self.dead_queue(ErrorClass.UNROUTABLE), ""),
            Binding(f"{name}.done", self.done_queue, "#"),
        )

    @property
    def _due(self) -> str:
        return f"{self.namespace}.due"

    @property
    def _seconds_end(self) -> str:
        return f"{self.namespace}.delay.end"

    @property
    def _ladder_end(self) -> str:
        return f"{self.namespace}.delay.due"

    def _delay(self, rung: Rung) -> str:
        return f"{self.namespace}.delay.{rung.name}"

    def _rungs(self) -> tuple[Rung, ...]:
        return (*seconds(self.levels), *fractions())

    def _steps(self) -> Iterator[tuple[Rung, str]]:
        """Every rung with the exchange below it."""
        for part, end in ((seconds(self.levels), self._seconds_end), (fractions(), self._ladder_end)):
            yield from zip(part, [*map(self._delay, part[1:]), end], strict=True)

    def _ladder_bindings(self) -> Iterator[Binding]:
        for place, (rung, below) in enumerate(self._steps()):
            name, before = self._delay(rung), "*." * place
            yield Binding(name, name, f"{before}1.#")
            yield Binding(name, below, f"{before}0.#", to_exchange=True)

    def _lane_arguments(self) -> dict[str, Any]:
        return _quorum() | {
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": self.dead_exchange,
            "x-dead-letter-routing-key": ErrorClass.POISON.value,
            **_at_least_once(),
        }

    def _delay_arguments(self, rung: Rung, below: str) -> dict[str, Any]:
        return _quorum() | {
            "x-message-ttl": rung.ttl_ms,
            "x-dead-letter-exchange": below,
            **_at_least_once(),
        }

    def _done_arguments(self) -> dict[str, Any]:
        return _quorum() | {
            "x-max-length": self.done.length,
            "x-message-ttl": int(self.done.age.total_seconds() * 1000),
            "x-delivery-limit": NEVER_DROP,
        }


def _due_key(lane: Lane) -> str:
    """Ends in another word than the lane: what ends in that goes no further than `_seconds_end`."""
    return f"{lane.value}.{_DUE}"


def _quorum() -> dict[str, Any]:
    return {"x-queue-type": "quorum"}


def _at_least_once() -> dict[str, Any]:
    """The default strategy forgets messages that are being dead-lettered when the node is killed."""
    return {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


def _dead_arguments() -> dict[str, Any]:
    return _quorum() | {"x-delivery-limit": NEVER_DROP}
