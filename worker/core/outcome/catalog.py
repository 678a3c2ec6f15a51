"""The catalogue: every code of the provider and of this program, and the classification of an answer.

The data is ``catalog.toml`` beside this file. A code that it does not list is an alarm, not a guess: it becomes
``unknown``, because the message may have been accepted.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Final, Self

from worker.core.outcome.outcome import Accepted, ErrorClass, Failed, Fault, Period, Reply, Row, Scope, Table

#: Prefixes that older snapshots of the provider's page carry before its codes.
_OLD_PREFIXES: Final = ("isv.", "isp.")
#: Tables in which the answer to a send is looked up, by the shape in which its code came.
_BUSINESS: Final = (Table.API, Table.LEGACY, Table.GATEWAY)
_GATEWAY: Final = (Table.GATEWAY, Table.API, Table.LEGACY)
#: A code is a short word; anything longer that came as one is not shown.
_LONGEST_CODE: Final = 64
_OK: Final = "OK"


@dataclass(frozen=True, slots=True)
class Catalog:
    """All rows, by table and code."""

    rows: Mapping[tuple[Table, str], Row]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """Index *rows*; raises ValueError when a table lists a code twice."""
        index: dict[tuple[Table, str], Row] = {}
        for row in rows:
            if (row.table, row.code) in index:
                raise ValueError(f"{row.table.value} lists {row.code} twice")
            index[row.table, row.code] = row
        return cls(index)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows.values())

    def overridden(self, classes: Mapping[str, ErrorClass]) -> Self:
        """The catalogue with the operator's own class for some codes; an unlisted code gains a row."""
        rows = dict(self.rows)
        for written, error_class in classes.items():
            code = _without_old_prefix(written)
            found = self.find(code, _BUSINESS)
            row = replace(found, code=code) if found else replace(self.local("local.unlisted"), code=code)
            table = found.table if found else Table.API
            rows[table, code] = replace(row, table=table, error_class=error_class)
        return type(self)(rows)

    def find(self, code: str, tables: Iterable[Table]) -> Row | None:
        """The row of *code* in the first of *tables* that has it; the longest pattern matches last."""
        code = _without_old_prefix(code)
        for table in tables:
            if row := self.rows.get((table, code)):
                return row
        return self._by_pattern(code)

    def local(self, code: str) -> Row:
        """The row of one of this program's own codes."""
        return self.rows[Table.LOCAL, code]

    def classify(self, answer: Reply | Fault, at: datetime | None = None) -> Accepted | Failed:
        """What *answer*, which came *at* that time, means for the request that was sent."""
        if isinstance(answer, Fault):
            return self.failed(answer.value, called=answer is not Fault.NOT_REACHED)
        if answer.code is None:
            return self._without_code(answer)
        if answer.code == _OK and not answer.from_gateway:
            return Accepted(answer.message_id, answer.request_id, answer.segments, answer.country, at)
        row = self.find(answer.code, _GATEWAY if answer.from_gateway else _BUSINESS)
        if row is None or row.error_class is ErrorClass.ACCEPTED:
            row = self.local("local.unlisted")
        code = answer.code if _is_word(answer.code) else row.code
        return Failed(row, called=True, code=code, request_id=answer.request_id, retry_after=answer.retry_after)

    def failed(self, local_code: str, *, called: bool, detail: str | None = None) -> Failed:
        """A failure that this program itself found."""
        row = self.local(local_code)
        return Failed(row, called=called, code=row.code, detail=detail)

    def _without_code(self, answer: Reply) -> Failed:
        """Only the HTTP status tells: somebody between us and the provider may have written the answer."""
        match answer.status:
            case 429:
                code = "Throttling*"
                row = self.rows[Table.GATEWAY, code]
                return Failed(row, called=True, code="HTTP 429", retry_after=answer.retry_after)
            case 413 | 414 | 431:
                local = "local.too_large"
            case status if 300 <= status < 500:  # noqa: PLR2004 - redirects and refusals
                local = "local.refused_by_proxy"
            case _:
                local = "local.unreadable"
        failed = self.failed(local, called=True, detail=f"(HTTP {answer.status})")
        return replace(failed, request_id=answer.request_id, retry_after=answer.retry_after)

    def _by_pattern(self, code: str) -> Row | None:
        matches = [
            row for row in self if row.code.endswith("*") and code.startswith(row.code[:-1]) and code != row.code
        ]
        return max(matches, key=lambda row: len(row.code), default=None)


def parse(text: str) -> Catalog:
    """Read a catalogue from TOML; raises ValueError or KeyError when it is at fault."""
    return Catalog.of(_row(Table(table), row) for table, rows in tomllib.loads(text).items() for row in rows)


@cache
def catalog() -> Catalog:
    """The catalogue that ships with this version."""
    return parse(files(__package__).joinpath("catalog.toml").read_text("utf-8"))


def _is_word(code: str) -> bool:
    return 0 < len(code) <= _LONGEST_CODE and code.isprintable()


def _without_old_prefix(code: str) -> str:
    for prefix in _OLD_PREFIXES:
        code = code.removeprefix(prefix)
    return code


def _row(table: Table, fields: Mapping[str, str]) -> Row:
    return Row(
        table=table,
        code=fields["code"],
        error_class=ErrorClass(fields["class"]),
        scope=Scope(fields["scope"]),
        description=fields["description"],
        remedy=fields.get("remedy") or fields["solution"],
        smpp_code=fields.get("smpp_code"),
        period=Period(fields["period"]) if "period" in fields else None,
    )
