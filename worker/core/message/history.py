"""What a request has been through: the AMQP headers ``x-sms-*`` that travel beside its untouched body."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Self

import orjson

from worker.core.instant import to_the_millisecond

#: Entries kept in a request's history; the oldest give way, the counters never do.
MOST_ENTRIES: Final = 20
#: The longest word of an entry that is read back; the codes that this program writes are shorter.
LONGEST_WORD: Final = 64
#: Counters above this are a lie: no request is called a million times.
MOST_COUNT: Final = 1_000_000
_PUBLISHED: Final = "x-sms-published"


class HistoryEntry(NamedTuple):
    """One thing that happened, in words that hold neither number nor text."""

    at: datetime
    code: str
    error_class: str


class History(NamedTuple):
    """Counters and instants of one request; every change makes a new value."""

    #: First publication; None when no header and no AMQP timestamp tells it.
    published: datetime | None = None
    #: First call to the provider.
    first_tried: datetime | None = None
    #: Calls to the provider that were really made.
    attempts: int = 0
    #: Delays after a failure; the exponent of the backoff.
    retries: int = 0
    #: Calls whose outcome stayed unknown: each but the last was sent again because the lane's policy or an operator
    #: chose it.
    unknowns: int = 0
    #: Times that an operator brought the request back from a dead-letter queue.
    replays: int = 0
    entries: tuple[HistoryEntry, ...] = ()

    def called(self, now: datetime) -> Self:
        """One more call was made at *now*."""
        # Not by `_replace`, which costs three times as much: this happens to every request.
        counts = self.retries, self.unknowns, self.replays
        return type(self)(self.published, self.first_tried or now, self.attempts + 1, *counts, self.entries)

    def since(self, published: datetime) -> Self:
        """It was published first at *published*."""
        counts = self.attempts, self.retries, self.unknowns, self.replays
        return type(self)(published, self.first_tried, *counts, self.entries)

    def noted(self, entry: HistoryEntry) -> Self:
        """*entry* was added at the end."""
        return self._replace(entries=(*self.entries, entry)[-MOST_ENTRIES:])

    def replayed(self, entry: HistoryEntry) -> Self:
        """An operator gave the request a fresh start: counters from zero, history kept.

        Unknown calls stay counted: that is how the ledger sees that somebody knows of them and chose one more call. A
        deadline that the request does not give itself counts from now on: else an old letter would expire at once.
        """
        fresh = self._replace(published=entry.at, attempts=0, retries=0, replays=self.replays + 1)
        return fresh.noted(entry)

    def to_headers(self) -> dict[str, str | int]:
        """Write the AMQP headers that `from_headers` reads."""
        headers: dict[str, str | int] = {
            f"x-sms-{name}": count
            for name in ("attempts", "retries", "unknowns", "replays")
            if (count := getattr(self, name))
        }
        if self.published:
            headers[_PUBLISHED] = to_the_millisecond(self.published)
        if self.first_tried:
            headers["x-sms-first-tried"] = to_the_millisecond(self.first_tried)
        if self.entries:
            entries = [[to_the_millisecond(entry.at), entry.code, entry.error_class] for entry in self.entries]
            headers["x-sms-history"] = orjson.dumps(entries).decode()
        return headers

    @classmethod
    def from_headers(cls, headers: Mapping[str, Any]) -> "tuple[History, list[str]]":
        """Read the headers and every fault in them; a header at fault counts as absent.

        Headers come from outside too: a publisher may have written anything there.
        """
        if not headers:  # nothing has happened to most requests
            return _NONE, []
        faults: list[str] = []
        fields: dict[str, Any] = {}
        for name in ("attempts", "retries", "unknowns", "replays"):
            value = headers.get(f"x-sms-{name}", 0)
            if type(value) is int and 0 <= value <= MOST_COUNT:
                fields[name] = value
            else:
                faults.append(f"header x-sms-{name}: must be a whole number from 0 to {MOST_COUNT}")
        for name in ("published", "first_tried"):
            key = "x-sms-" + name.replace("_", "-")
            try:
                fields[name] = _read(headers.get(key))
            except ValueError:
                faults.append(f"header {key}: must be an RFC 3339 instant with a zone")
        try:
            entries = _read_entries(headers.get("x-sms-history"))
        except (ValueError, TypeError):
            entries = ()
            faults.append("header x-sms-history: is not a history that this program wrote")
        return cls(entries=entries, **fields), faults


_NONE: Final = History()


def published_of(headers: Mapping[str, Any]) -> datetime | None:
    """When *headers* say that it was published first, without reading the others; None when they do not."""
    try:
        return _read(headers.get(_PUBLISHED)) if headers else None
    except ValueError:
        return None


def _read(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("not a text")
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError("no zone")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("not an instant of this calendar in UTC") from error


def _read_entries(value: object) -> tuple[HistoryEntry, ...]:
    if value is None:
        return ()
    if not isinstance(value, str):
        raise TypeError("not a text")
    written = orjson.loads(value)
    if not isinstance(written, list):
        raise TypeError("not a list")
    entries = []
    for at, code, error_class in written[-MOST_ENTRIES:]:
        instant = _read(at)
        if instant is None or not _is_word(code) or not _is_word(error_class):
            raise ValueError("not an entry")
        entries.append(HistoryEntry(instant, code, error_class))
    return tuple(entries)


def _is_word(value: object) -> bool:
    """A longer one would grow the headers past the frame that must hold them all."""
    return isinstance(value, str) and len(value) <= LONGEST_WORD
