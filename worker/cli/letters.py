"""Dead letters as the operator reads them: which are chosen, and what is shown of one."""

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.broker.letter import Letter
from worker.core.catalog import catalog
from worker.core.lane import Lane
from worker.core.outcome import ErrorClass, Table


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


def grouped(error_class: ErrorClass, depth: int, letters: Sequence[Letter]) -> list[dict[str, Any]]:
    """One row per code of *letters*, the most frequent first; *depth* tells how many were not looked at."""
    groups: defaultdict[str | None, list[Letter]] = defaultdict(list)
    for letter in letters:
        groups[letter.code].append(letter)
    rows = [
        {
            "class": error_class.value,
            "code": code,
            "letters": len(group),
            "oldest": _shown(min((letter.died for letter in group if letter.died), default=None)),
            "newest": _shown(max((letter.died for letter in group if letter.died), default=None)),
            "remedy": group[0].remedy or _remedy(code),
        }
        for code, group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    if depth > len(letters):
        rows.append({"class": error_class.value, "code": "(not looked at)", "letters": depth - len(letters)})
    return rows


def summary(letter: Letter) -> dict[str, Any]:
    """One line of a listing."""
    return {
        "position": letter.position,
        "id": letter.request_id,
        "code": letter.code,
        "reason": letter.reason,
        "lane": letter.lane.value if letter.lane else None,
        "attempts": letter.history.attempts,
        "died": _shown(letter.died),
    }


def detail(letter: Letter, *, body: bool) -> dict[str, Any]:
    """Everything of one letter; its body, which holds number and text, only when asked for."""
    history = [f"{_shown(entry.at)} {entry.error_class} {entry.code}" for entry in letter.history.entries]
    fields: dict[str, Any] = {
        **summary(letter),
        "class": letter.error_class.value,
        "remedy": letter.remedy or _remedy(letter.code),
        "published": _shown(letter.history.published),
        "first_tried": _shown(letter.history.first_tried),
        "replays": letter.history.replays,
        "history": "\n".join(history),
        "deliveries": letter.deliveries,
        "routing_key": letter.routing_key,
        "headers": {key: str(value) for key, value in letter.headers.items() if not key.startswith("x-sms-history")},
    }
    if body:
        fields["body"] = letter.body.decode(errors="backslashreplace")
    return fields


def exported(letter: Letter) -> dict[str, Any]:
    """One letter for another program: the body as text, or in base64 when it is none."""
    try:
        content = {"body": letter.body.decode()}
    except UnicodeDecodeError:
        content = {"body_base64": base64.b64encode(letter.body).decode()}
    return {**detail(letter, body=False), **content}


def _remedy(code: str | None) -> str | None:
    row = catalog().find(code, Table) if code else None
    return row.remedy if row else None


def _shown(instant: datetime | None) -> str | None:
    return instant.isoformat(timespec="seconds") if instant else None
