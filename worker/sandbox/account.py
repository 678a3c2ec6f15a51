"""The sandbox's books: every call that came, what it was answered, and what was accepted.

Rows are kept in columns, because a bench makes a million of them: about 200 bytes each. A call has a row per
recipient, so a batch has many and every other call one. Texts are never kept.
"""

from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from worker.core.message.request import masked
from worker.sandbox.limits import A_SECOND

#: The code of an answer in which no code could be read.
NO_CODE: Final = "-"


class Verdict(NamedTuple):
    """What became of one recipient of a call."""

    #: Digits; empty when the call named no valid number.
    number: str
    #: The code that was answered, or for a failed number of a batch the reason; `NO_CODE` when none left.
    code: str
    accepted: bool


class BookEntry(NamedTuple):
    """One row."""

    #: 1-based; the recipients of a batch have the same.
    call: int
    #: Unix seconds.
    arrived: float
    action: str
    task_id: str
    code: str
    accepted: bool
    number: str
    #: None when it was not accepted.
    message_id: str | None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A task id with which messages to the same number were accepted more than once."""

    task_id: str
    #: Masked.
    number: str
    times: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The books in short."""

    calls: int
    #: Recipients of all calls.
    messages: int
    #: Messages accepted.
    accepted: int
    duplicates: tuple[Duplicate, ...]
    #: Messages by the code that they were answered.
    by_code: dict[str, int]
    #: Most calls that arrived in any second.
    worst_second_of_arrivals: int
    #: Most calls in any second of which at least one message was accepted.
    worst_second_of_accepted: int
    #: Unix seconds.
    first_arrival: float | None
    last_arrival: float | None


class PeakSecond:
    """The most instants in any second, wherever it begins."""

    def __init__(self) -> None:
        self.most = 0
        self._recent: deque[float] = deque()

    def count(self, instant: float) -> None:
        """Count *instant* (seconds, not before the one before)."""
        recent = self._recent
        recent.append(instant)
        while instant - recent[0] >= A_SECOND:
            recent.popleft()
        self.most = max(self.most, len(recent))


class Account:
    """Every call in order; iterating gives a `BookEntry` per recipient."""

    def __init__(self, first_message_id: int = 10**17) -> None:
        self._first_message_id = first_message_id
        self._start()

    def reset(self) -> None:
        """Forget everything; message ids go on."""
        self._first_message_id += len(self._keys)
        self._start()

    def _start(self) -> None:
        self._arrived = array("d")
        self._calls = array("Q")
        self._actions = array("H")
        self._codes = array("H")
        self._accepted = array("B")
        #: Number and task id in one string, which is also the key that duplicates are told by.
        self._keys: list[str] = []
        self._names: dict[str, int] = {}
        self._seen: set[str] = set()
        self._repeats: Counter[str] = Counter()
        self._by_code: Counter[str] = Counter()
        self._arrivals, self._acceptances = PeakSecond(), PeakSecond()
        self.calls = 0
        self.accepted = 0

    def record(self, arrived: float, action: str, task_id: str, verdicts: Sequence[Verdict]) -> list[str]:
        """Enter one call; return the message ids of its accepted recipients, in order.

        *arrived* is in Unix seconds; calls are entered in the order of their arrival.
        """
        self.calls += 1
        self._arrivals.count(arrived)
        action_index = self._index(action)
        ids: list[str] = []
        for number, code, accepted in verdicts:
            key = f"{number} {task_id}"
            if accepted:
                ids.append(str(self._first_message_id + len(self._keys)))
                self._accept(key, has_task_id=bool(task_id))
            self._arrived.append(arrived)
            self._calls.append(self.calls)
            self._actions.append(action_index)
            self._codes.append(self._index(code))
            self._accepted.append(accepted)
            self._keys.append(key)
            self._by_code[code] += 1
        if ids:
            self._acceptances.count(arrived)
        return ids

    def find(self, message_id: str) -> BookEntry | None:
        """The accepted message with *message_id*."""
        row = int(message_id) - self._first_message_id if message_id.isdecimal() else -1
        if not 0 <= row < len(self._keys) or not self._accepted[row]:
            return None
        return self._entry(row, list(self._names))

    def summary(self) -> Summary:
        """The books in short."""
        repeats = ((*key.partition(" "), times) for key, times in self._repeats.items())
        return Summary(
            calls=self.calls,
            messages=len(self._keys),
            accepted=self.accepted,
            duplicates=tuple(Duplicate(task_id, masked(number), times) for number, _, task_id, times in repeats),
            by_code=dict(self._by_code),
            worst_second_of_arrivals=self._arrivals.most,
            worst_second_of_accepted=self._acceptances.most,
            first_arrival=self._arrived[0] if self._arrived else None,
            last_arrival=self._arrived[-1] if self._arrived else None,
        )

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[BookEntry]:
        return self.entries(0, len(self))

    def entries(self, start: int, stop: int) -> Iterator[BookEntry]:
        """The rows from *start* to before *stop*."""
        names = list(self._names)
        return (self._entry(row, names) for row in range(start, min(stop, len(self))))

    def _accept(self, key: str, *, has_task_id: bool) -> None:
        self.accepted += 1
        if key in self._seen:
            self._repeats[key] = (self._repeats[key] or 1) + 1
        elif has_task_id:
            self._seen.add(key)

    def _index(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    def _entry(self, row: int, names: Sequence[str]) -> BookEntry:
        number, _, task_id = self._keys[row].partition(" ")
        accepted = bool(self._accepted[row])
        return BookEntry(
            call=self._calls[row],
            arrived=self._arrived[row],
            action=names[self._actions[row]],
            task_id=task_id,
            code=names[self._codes[row]],
            accepted=accepted,
            number=number,
            message_id=str(self._first_message_id + row) if accepted else None,
        )
