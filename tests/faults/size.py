"""How much is broken: little in ``make test``, all of it in ``make faults`` (environment: SMS_FAULTS=full)."""

import os
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Size:
    """How often each thing is broken."""

    #: Worker kills at each point.
    kills: int
    #: Parents of doomed workers, each with one worker at a time.
    workers: int
    broker_kills: int
    broker_restarts: int
    #: Of each kind: with the data, and without.
    redis_kills: int
    #: Rounds of the faults that a proxy, an operator or a clock brings.
    rounds: int


_SIZES: Final = {
    "small": Size(kills=2, workers=2, broker_kills=1, broker_restarts=0, redis_kills=1, rounds=1),
    "full": Size(kills=56, workers=2, broker_kills=50, broker_restarts=10, redis_kills=50, rounds=10),
}
#: Read when the tests are collected: no test sees the environment of whoever runs it.
SIZE: Final = _SIZES[os.environ.get("SMS_FAULTS", "small")]
#: Repeats a run's choices, though not the order in which its parts come to act.
SEED: Final = int(os.environ.get("SMS_FAULTS_SEED", "4711"))
