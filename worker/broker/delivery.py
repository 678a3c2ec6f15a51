"""One delivery of the broker, and the channel on which alone it can be settled."""

from typing import NamedTuple

from worker.broker.direct import DirectChannel
from worker.broker.message import deliveries_of, raw_of
from worker.broker.wire.cutter import Delivered
from worker.core.message.decode import RawMessage
from worker.core.message.lane import Lane
from worker.core.topology import Topology


class BrokerDelivery(NamedTuple):
    """What the way of a message knows as `ports.Delivery`."""

    raw: RawMessage
    redelivered: bool
    deliveries: int
    #: The delivery tag, which means something on *channel* only.
    tag: int
    channel: DirectChannel

    @property
    def is_open(self) -> bool:
        """Whether its channel lives: with the channel goes the broker's interest in how this delivery is settled."""
        return self.channel.is_open


def delivery_of(
    message: Delivered, lane: Lane, topology: Topology, channel: DirectChannel, *, due: bool
) -> BrokerDelivery:
    """Read what came on *channel*, from the queue of *lane* or of what is *due* on it."""
    return BrokerDelivery(
        raw=raw_of(message.body, message.properties, lane, is_ours=topology.is_ours(message.exchange), due=due),
        redelivered=message.redelivered,
        deliveries=deliveries_of(message.properties.headers),
        tag=message.tag,
        channel=channel,
    )
