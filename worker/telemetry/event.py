"""What an event is: a name, how loud it is, one sentence, and the closed set of its fields."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How loud an event is; iterating gives the quietest first."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the table in ``events.py``."""

    name: str
    level: Level
    #: What happened, for people.
    sentence: str
    #: Every field that may be given; none must be.
    fields: frozenset[str]
    #: Whether a person must look at it: then it goes to Sentry too.
    reported: bool = False
    #: Whether its line carries the sentence: it is read by somebody who does not know the names.
    explained: bool = False
