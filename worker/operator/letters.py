"""Dead letters as the operator reads them: which are chosen, and what is shown of one.

Rule of this file: what a publisher wrote (body, own headers) is shown only where somebody asked for it, because it may
hold numbers and texts.
"""

import base64
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from worker.broker.letter import Letter
from worker.core.message.lane import Lane
from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import ErrorClass, Table
from worker.core.outgoing.envelope import foreign_headers

#: Shown otherwise, line by line.
_HISTORY = "x-sms-history"


@dataclass(frozen=True, slots=True)
class Filter:
    """Chooses letters; every condition that is given must hold."""

    ids: frozenset[str] = frozenset()
    code: str | None = None
    lane: Lane | None = None

    @property
    def is_open(self) -> bool:
        """Whether it chooses every letter."""
        return not self.ids and self.code is None and self.lane is None

    def __call__(self, letter: Letter) -> bool:
        """Whether *letter* is chosen."""
        return (
            (not self.ids or letter.request_id in self.ids)
            and self.code in {None, letter.code}
            and self.lane in {None, letter.lane}
        )

    def missed(self, chosen: Sequence[Letter]) -> list[str]:
        """The ids that none of *chosen* has."""
        return sorted(self.ids - {letter.request_id for letter in chosen})


class Agreed:
    """Chooses the letters that somebody agreed to, each once, and none that came while the question was open."""

    def __init__(self, letters: Iterable[Letter]) -> None:
        """Choose *letters* again in another look at their queue."""
        self._left = Counter(map(_mark, letters))

    def __call__(self, letter: Letter) -> bool:
        """Whether *letter* is one of them; asked once for each letter of a look."""
        mark = _mark(letter)
        if not self._left[mark]:
            return False
        self._left[mark] -= 1
        return True


def _mark(letter: Letter) -> tuple[object, ...]:
    """What stays the same from look to look, and hardly is for two letters: positions and counts change."""
    return letter.request_id, letter.died, letter.code, letter.routing_key, letter.timestamp, letter.body


def grouped(error_class: ErrorClass, depth: int, letters: Sequence[Letter]) -> list[dict[str, Any]]:
    """One row per code of *letters*, the most frequent first; *depth* tells how many were not looked at."""
    groups: defaultdict[str | None, list[Letter]] = defaultdict(list)
    for letter in letters:
        groups[letter.code].append(letter)
    rows: list[dict[str, Any]] = [
        {
            "class": error_class.value,
            "code": code,
            "letters": len(group),
            "looked_at": True,
            "oldest": min((letter.died for letter in group if letter.died), default=None),
            "newest": max((letter.died for letter in group if letter.died), default=None),
            "remedy": group[0].remedy or _remedy(code),
        }
        for code, group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    if depth > len(letters):
        unseen = "Not looked at: raise --limit to see their codes."
        rest = {"letters": depth - len(letters), "looked_at": False, "oldest": None, "newest": None, "remedy": unseen}
        rows.append({"class": error_class.value, "code": None} | rest)
    return rows


def in_use(error_class: ErrorClass, depth: int) -> dict[str, Any]:
    """The row of a class that somebody else is looking at; *depth* letters are in nobody's hands."""
    row = {"class": error_class.value, "code": None, "letters": depth, "looked_at": False, "oldest": None}
    return row | {"newest": None, "remedy": "Somebody else is looking: letters in their hands are not counted."}


def summary(letter: Letter) -> dict[str, Any]:
    """One line of a listing."""
    return {
        "position": letter.position,
        "id": letter.request_id,
        "code": letter.code,
        "reason": letter.reason,
        "lane": letter.lane.value if letter.lane else None,
        "attempts": letter.history.attempts,
        "died": letter.died,
    }


def detail(letter: Letter, *, body: bool) -> dict[str, Any]:
    """Everything of one letter; with *body*, what its publisher wrote, too."""
    history = letter.history
    own = foreign_headers(letter.headers)
    headers = {key: value for key, value in letter.headers.items() if key not in own and key != _HISTORY}
    fields: dict[str, Any] = {
        **summary(letter),
        "class": letter.error_class.value,
        "remedy": letter.remedy or _remedy(letter.code),
        "published": history.published,
        "first_tried": history.first_tried,
        "replays": history.replays,
        "history": [
            {"at": entry.at, "class": entry.error_class, "code": entry.code} for entry in letter.history.entries
        ],
        "deliveries": letter.deliveries,
        "routing_key": letter.routing_key,
        "headers": headers,
    }
    if not body:
        return fields | {"publishers_headers": sorted(own), "bytes": len(letter.body)}
    return fields | {"publishers_headers": own} | _body(letter)


def lines_of(detail: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of a letter's *detail* as rows of a table."""
    return [{"field": key.replace("_", " "), "value": _words(key, value)} for key, value in detail.items()]


def _words(key: str, value: Any) -> Any:
    match value:
        case list() if key == "history":
            return tuple(f"{entry['at']:%Y-%m-%d %H:%M:%S}Z {entry['class']} {entry['code']}" for entry in value)
        case dict():
            return tuple(f"{name}: {each}" for name, each in value.items())
        case list():
            return ", ".join(map(str, value))
        case _:
            return value


def _body(letter: Letter) -> dict[str, str]:
    """The body as text, or in base64 when it is none."""
    try:
        return {"body": letter.body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(letter.body).decode()}


def _remedy(code: str | None) -> str | None:
    row = catalog().find(code, Table) if code else None
    return row.remedy if row else None
