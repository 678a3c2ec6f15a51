"""Makes the broker's topology fit before a worker takes anything: a queue that loses messages must stop the start."""

from typing import Final

from worker.broker.connection import connected, tell_lost
from worker.broker.declare import declare, verify
from worker.broker.difference import Difference
from worker.broker.retry import until_it_works
from worker.core.topology import Topology
from worker.errors import BrokerUnavailable, TopologyMismatch
from worker.ports import Events
from worker.settings.sections import BrokerSettings

#: Differences that are told in full; a broker where nothing is declared has some sixty.
_MOST_TOLD: Final = 5


async def fit_topology(settings: BrokerSettings, topology: Topology, events: Events) -> None:
    """Declare *topology*, or only compare, as *settings* say; a broker that is away is waited for.

    Raises:
        TopologyMismatch: the broker's differs in a way that can lose messages.
    """
    differences = await _differences(settings, topology, events)
    fatal = [difference.sentence for difference in differences if difference.is_fatal]
    if fatal:
        more = [f"and {len(fatal) - _MOST_TOLD} more"] if len(fatal) > _MOST_TOLD else []
        told = "\n- ".join(fatal[:_MOST_TOLD] + more)
        raise TopologyMismatch(f"the broker's topology can lose messages:\n- {told}")
    for difference in differences:
        events.emit("broker.differs", difference=difference.sentence)


async def _differences(settings: BrokerSettings, topology: Topology, events: Events) -> list[Difference]:
    fit, pause_s = declare if settings.declare else verify, settings.reconnect_pause.total_seconds()

    async def compare() -> list[Difference]:
        async with connected(settings, "operate") as connection:
            return await fit(connection, topology)

    return await until_it_works(
        compare,
        on=(BrokerUnavailable,),
        wait=lambda _: pause_s,
        tell=lambda error: tell_lost(events, "operate", error),
    )
