"""How the broker's topology differs from the design, and whether that can lose or misplace a message."""

import re
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeAlias

from worker.core.topology import Exchange, Queue, Topology

Kind: TypeAlias = Literal["queue", "exchange"]

#: RabbitMQ 3.10 to 4.x: ``inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received … but current is …``;
#: a type is told otherwise: ``inequivalent arg 'type' for exchange … received 'direct' but current is 'topic'``.
_INEQUIVALENT: Final = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)'.*: received (?P<want>.+) but current is (?P<is>.+)"
)

#: In place of an argument: none could be asked for.
_NOT_TOLD: Final = "not told"


@dataclass(frozen=True, slots=True)
class Difference:
    """One queue or exchange that is not as designed; the broker tells its first differing argument only."""

    kind: Kind
    name: str
    #: None when it does not exist at all.
    argument: str | None
    #: The broker's own words.
    expected: str = ""
    actual: str = ""
    #: Whether messages can be lost, or end where nobody looks for them.
    is_fatal: bool = True

    @property
    def sentence(self) -> str:
        """What differs and what to do about it."""
        if self.argument == _NOT_TOLD:
            return f"{self.kind} {self.name} exists; without the right to configure its arguments cannot be compared"
        if self.argument is None:
            return f"{self.kind} {self.name} does not exist; run: sms-worker topology declare"
        remedy = (
            f"empty and delete the {self.kind}, or correct the policy that set it, then declare again"
            if self.is_fatal
            else "no message is lost by it"
        )
        return f"{self.kind} {self.name}: {self.argument} should be {self.expected} but is {self.actual}; {remedy}"

    @classmethod
    def missing(cls, entity: Queue | Exchange) -> Self:
        """*entity* does not exist."""
        return cls(_kind_of(entity), entity.name, None)

    @classmethod
    def unknown(cls, entity: Queue | Exchange) -> Self:
        """*entity* exists, and the broker does not tell this account more."""
        return cls(_kind_of(entity), entity.name, _NOT_TOLD, is_fatal=False)

    @classmethod
    def told(cls, entity: Queue | Exchange, refusal: str, topology: Topology) -> Self:
        """What the broker's *refusal* to declare *entity* says."""
        match = _INEQUIVALENT.search(refusal)
        argument, expected, actual = match.group("argument", "want", "is") if match else ("declaration", "", refusal)
        fatal = argument not in _tolerated(entity.name, topology)
        return cls(_kind_of(entity), entity.name, argument, expected, actual, fatal)


def _kind_of(entity: Queue | Exchange) -> Kind:
    return "queue" if isinstance(entity, Queue) else "exchange"


def _tolerated(name: str, topology: Topology) -> frozenset[str]:
    """Arguments that an operator may have chosen otherwise: how much is kept of events that nobody has to read."""
    if name == topology.done_queue:
        return frozenset({"x-max-length", "x-message-ttl", "x-delivery-limit"})
    return frozenset()
