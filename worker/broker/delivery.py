"""One delivery of the broker, and the channel on which alone it can be settled."""

from dataclasses import dataclass

from aiormq.abc import AbstractChannel, DeliveredMessage

from worker.broker.message import deliveries_of, raw_of
from worker.core.message.decode import RawMessage
from worker.core.message.lane import Lane
from worker.core.topology import Topology


@dataclass(frozen=True, slots=True, eq=False)
class BrokerDelivery:
    """What the way of a message knows as `ports.Delivery`."""

    raw: RawMessage
    redelivered: bool
    deliveries: int
    #: The delivery tag, which means something on *channel* only.
    tag: int
    channel: AbstractChannel

    @property
    def is_open(self) -> bool:
        """Whether its channel lives: with the channel goes the broker's interest in how this delivery is settled."""
        return not self.channel.is_closed


def delivery_of(message: DeliveredMessage, lane: Lane, topology: Topology, *, due: bool) -> BrokerDelivery:
    """Read what the library hands over, from the queue of *lane* or of what is *due* on it."""
    return BrokerDelivery(
        raw=raw_of(message, lane, is_ours=topology.is_ours(message.exchange or ""), due=due),
        redelivered=bool(message.redelivered),
        deliveries=deliveries_of(message.header.properties.headers),
        tag=message.delivery_tag or 0,
        channel=message.channel,
    )
