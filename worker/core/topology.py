"""The broker's exchanges, queues and bindings as values, and the route of a delay.

Names are ``<namespace>.…`` and are built here only. The delay ladder: level *n* is a queue whose messages expire
after 2**n seconds. A delay in whole seconds, written in binary, is the routing key; at each level a topic exchange
sends the message into the level's queue when its bit is set, else straight to the next lower level. So one publish
reaches any delay, with at most one hop per set bit, and no message waits behind a longer one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import Any, Final

from worker.core.message.lane import Lane
from worker.core.outcome.outcome import DEAD_CLASSES, ErrorClass

#: Levels of the ladder: 2**22 - 1 seconds are 48 days, and a schedule reaches 31.
LEVELS: Final = 22
#: A looked-at dead letter must never be dropped. To 4.x -1 means unlimited, to 3.10 "drop at once"; this works on both.
NEVER_DROP: Final = 1_000_000_000
#: Deliveries of one request before it counts as poison: it ended that many workers, or that many connections.
DELIVERY_LIMIT: Final = 20


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


@dataclass(frozen=True, slots=True)
class Route:
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
        return timedelta(seconds=2**self.levels - 1)

    def lane_queue(self, lane: Lane) -> str:
        """The queue of requests on *lane*."""
        return f"{self.namespace}.send.{lane.value}"

    def dead_queue(self, error_class: ErrorClass) -> str:
        """The dead-letter queue of *error_class*."""
        return f"{self.namespace}.dead.{error_class.value}"

    @property
    def done_queue(self) -> str:
        """The queue of outcome events."""
        return f"{self.namespace}.done"

    def delay_queue(self, level: int) -> str:
        """The queue whose messages wait 2**level seconds."""
        return f"{self.namespace}.delay.{level:02d}"

    def to_lane(self, lane: Lane) -> Route:
        """To the queue of *lane*, as publishers do."""
        return Route(f"{self.namespace}.send", lane.value)

    def back_to_lane(self, lane: Lane) -> Route:
        """To the queue of *lane*, as workers and operators do: what comes this way has headers that count."""
        return Route(self._due, lane.value)

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
        """To *lane* after *delay*, rounded up to a whole second; never early, at once when it is not positive.

        >>> Topology(levels=4).to_lane_after(timedelta(seconds=4.2), Lane.OTP)
        Route(exchange='sms.delay.02', key='0.1.0.1.otp')
        """
        seconds = min(ceil(delay.total_seconds()), 2**self.levels - 1)
        if seconds <= 0:
            return self.back_to_lane(lane)
        bits = format(seconds, f"0{self.levels}b")
        return Route(self.delay_queue(seconds.bit_length() - 1), ".".join((*bits, lane.value)))

    def exchanges(self) -> tuple[Exchange, ...]:
        """Every exchange, in an order in which each may be declared."""
        name = self.namespace
        ladder = (Exchange(self.delay_queue(level), "topic") for level in range(self.levels))
        return (
            Exchange(f"{name}.unroutable", "fanout"),
            Exchange(f"{name}.send", "direct", {"alternate-exchange": f"{name}.unroutable"}),
            Exchange(self._due, "direct"),
            Exchange(f"{name}.done", "topic"),
            Exchange(self.dead_exchange, "direct"),
            Exchange(self._ladder_end, "topic"),
            *ladder,
        )

    def queues(self) -> tuple[Queue, ...]:
        """Every queue."""
        return (
            *(Queue(self.lane_queue(lane), self._lane_arguments()) for lane in Lane),
            *(Queue(self.delay_queue(level), self._delay_arguments(level)) for level in range(self.levels)),
            *(Queue(self.dead_queue(error_class), _dead_arguments()) for error_class in DEAD_CLASSES),
            Queue(self.done_queue, self._done_arguments()),
        )

    def bindings(self) -> tuple[Binding, ...]:
        """Every binding."""
        name = self.namespace
        return (
            *(Binding(f"{name}.send", self.lane_queue(lane), lane.value) for lane in Lane),
            *(Binding(self._due, self.lane_queue(lane), lane.value) for lane in Lane),
            *(Binding(self._ladder_end, self.lane_queue(lane), f"#.{lane.value}") for lane in Lane),
            *self._ladder_bindings(),
            *(Binding(self.dead_exchange, self.dead_queue(dead), dead.value) for dead in DEAD_CLASSES),
            Binding(f"{name}.unroutable", self.dead_queue(ErrorClass.UNROUTABLE), ""),
            Binding(f"{name}.done", self.done_queue, "#"),
        )

    @property
    def _due(self) -> str:
        return f"{self.namespace}.due"

    @property
    def _ladder_end(self) -> str:
        return f"{self.namespace}.delay.end"

    def _below(self, level: int) -> str:
        return self.delay_queue(level - 1) if level else self._ladder_end

    def _ladder_bindings(self) -> Iterator[Binding]:
        for level in range(self.levels):
            before = "*." * (self.levels - 1 - level)
            yield Binding(self.delay_queue(level), self.delay_queue(level), f"{before}1.#")
            yield Binding(self.delay_queue(level), self._below(level), f"{before}0.#", to_exchange=True)

    def _lane_arguments(self) -> dict[str, Any]:
        return _quorum() | {
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": self.dead_exchange,
            "x-dead-letter-routing-key": ErrorClass.POISON.value,
            **_at_least_once(),
        }

    def _delay_arguments(self, level: int) -> dict[str, Any]:
        return _quorum() | {
            "x-message-ttl": 1000 * 2**level,
            "x-dead-letter-exchange": self._below(level),
            **_at_least_once(),
        }

    def _done_arguments(self) -> dict[str, Any]:
        return _quorum() | {
            "x-max-length": self.done.length,
            "x-message-ttl": int(self.done.age.total_seconds() * 1000),
            "x-delivery-limit": NEVER_DROP,
        }


def _quorum() -> dict[str, Any]:
    return {"x-queue-type": "quorum"}


def _at_least_once() -> dict[str, Any]:
    """The default strategy forgets messages that are being dead-lettered when the node is killed."""
    return {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


def _dead_arguments() -> dict[str, Any]:
    return _quorum() | {"x-delivery-limit": NEVER_DROP}
