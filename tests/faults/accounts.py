"""The three accounts of a run, and whether they agree: what was published, what was accepted, what the queues hold.

Pure: whoever asks brings the three lists. The laws:

* A published id rests in at least one queue, else it is lost.
* An id that was accepted k times has at least k - 1 unknown calls written on what rests of it: each acceptance but one
  belongs to a call of which nobody learned the outcome, and after which the lane's policy chose to send again. Else it
  was accepted twice outside of the policy, and nobody knows of it.
* What is called done was accepted, and what is called dead was not, unless the letter says that a call is unknown.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

#: Where outcome events rest; every other queue holds requests.
DONE: Final = "done"
_DEAD: Final = "dead."
#: Ids that a failure shows of each kind; one is enough to look for the cause.
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Rest:
    """One message that rests in a queue."""

    #: The queue's name without its namespace: ``done``, ``dead.unknown``, ``send.otp``, ``delay.03``.
    queue: str
    id: str
    #: Unknown calls that the message tells of.
    unknowns: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the three accounts say together."""

    published: int
    accepted: int
    #: Published, and in no queue.
    lost: tuple[str, ...] = ()
    #: How often each id was accepted that was accepted more than once.
    twice: Mapping[str, int] = field(default_factory=dict)
    #: Those of `twice` of which too few unknown calls are told.
    outside: tuple[str, ...] = ()
    #: Done, and never accepted.
    untrue: tuple[str, ...] = ()
    #: Accepted; and all that rests of it is a letter, which tells of no unknown call.
    denied: tuple[str, ...] = ()
    #: Accepted or at rest, and never published.
    strange: tuple[str, ...] = ()
    #: Calls that the policy chose to make after an unknown one.
    resends: int = 0
    #: How many messages rest in each queue.
    depths: Mapping[str, int] = field(default_factory=dict)
    #: Where each faulty id is, for the explanation.
    places: Mapping[str, tuple[Rest, ...]] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether the three accounts agree."""
        return not any((self.lost, self.outside, self.untrue, self.denied, self.strange))

    def __str__(self) -> str:
        lines = [
            f"{self.published} ids published, {self.accepted} messages accepted, {len(self.twice)} ids more than once",
            f"{self.resends} resends; at rest: {_told(self.depths)}",
        ]
        for name, ids in (
            ("lost: published, in no queue", self.lost),
            ("accepted twice outside of the policy", self.outside),
            ("done, never accepted", self.untrue),
            ("accepted, and what rests says that it was not", self.denied),
            ("never published", self.strange),
        ):
            lines += self._explained(name, ids)
        return "\n".join(lines)

    def _explained(self, name: str, ids: tuple[str, ...]) -> Iterator[str]:
        if ids:
            yield f"{len(ids)} {name}:"
        for one in ids[:_SHOWN]:
            rests = ", ".join(f"{rest.queue} (unknown calls: {rest.unknowns})" for rest in self.places.get(one, ()))
            yield f"  {one}: accepted {self.twice.get(one, 'at most 1')}; at rest: {rests or 'nowhere'}"
        if len(ids) > _SHOWN:
            yield f"  and {len(ids) - _SHOWN} more"


def judge(published: Iterable[str], accepted: Iterable[str], rests: Iterable[Rest]) -> Verdict:
    """Compare the accounts.

    Args:
        published: The ids; one that was published twice may be given once or twice.
        accepted: The id of every message that the provider accepted, one entry each time.
        rests: Every message in every queue.
    """
    ids, times, at_rest = set(published), Counter(accepted), tuple(rests)
    places: dict[str, list[Rest]] = {}
    for rest in at_rest:
        places.setdefault(rest.id, []).append(rest)
    twice = {one: count for one, count in times.items() if count > 1}
    unknowns = {one: max(rest.unknowns for rest in found) for one, found in places.items()}
    done = {rest.id for rest in at_rest if rest.queue == DONE}
    dead = {one for one, found in places.items() if all(rest.queue.startswith(_DEAD) for rest in found)}
    faults = {
        "lost": ids - places.keys(),
        "outside": {one for one, count in twice.items() if count - 1 > unknowns.get(one, 0)},
        "untrue": done - times.keys(),
        "denied": {one for one in dead & times.keys() if not unknowns[one]},
        "strange": (times.keys() | places.keys()) - ids,
    }
    return Verdict(
        len(ids),
        times.total(),
        twice=twice,
        resends=sum(_resends(found) for found in places.values()),
        depths=Counter(rest.queue for rest in at_rest),
        places={one: tuple(places.get(one, ())) for fault in faults.values() for one in fault},
        **{name: tuple(sorted(fault)) for name, fault in faults.items()},
    )


def _resends(rests: Iterable[Rest]) -> int:
    """The calls after an unknown one: the last unknown call of what is dead was followed by none."""
    return max(rest.unknowns - (rest.queue.startswith(_DEAD) and rest.unknowns > 0) for rest in rests)


def _told(depths: Mapping[str, int]) -> str:
    return ", ".join(f"{queue} {depth}" for queue, depth in sorted(depths.items())) or "nothing"
