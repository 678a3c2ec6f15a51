"""What documents have from the code is what the code says now: ``make documents`` renews it."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Le

from deploy.documents import DOCUMENTS, PARTS, meanings, renewed, table
from worker.cli import exit_codes
from worker.core.outcome.catalog import catalog
from worker.settings.sections import Settings
from worker.settings.types import Section, written
from worker.telemetry.events import EVENTS
from worker.telemetry.metrics import METRICS

#: Sections whose keys a file gives in a list of tables, or under another section's comment.
ELSEWHERE = ("lanes.notify.", "lanes.marketing.")


def test_every_document_is_found() -> None:
    names = {path.name for path in DOCUMENTS}

    assert {"README.md", "RUNBOOK.md", "MESSAGES.md", "CONFIGURATION.md", "METRICS.md", "PRODUCTION.md"} <= names


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_says_what_the_code_says(path: Path) -> None:
    text = path.read_text("utf-8")

    assert renewed(text) == text, f"{path.name} is stale: make documents"


def test_every_part_stands_in_one_document_and_is_closed() -> None:
    texts = [path.read_text("utf-8") for path in DOCUMENTS]
    opened = [name for text in texts for name in re.findall(r"<!-- generated: (.+) -->", text)]

    assert sorted(opened) == sorted(PARTS)
    assert sum(text.count("<!-- end -->") for text in texts) == len(opened)


def test_a_stale_part_is_renewed_and_the_rest_is_left() -> None:
    head, tail = "a\n<!-- generated: redis acl -->\n", "<!-- end -->\nb <!-- end -->\n"

    assert renewed(f"{head}old\n{tail}") == f"{head}\n{PARTS['redis acl']()}\n\n{tail}"
    with pytest.raises(KeyError, match="nonsense"):
        renewed("<!-- generated: nonsense -->\n<!-- end -->")


def test_a_cell_cannot_end_its_table_or_become_a_tag() -> None:
    assert table(("a",), [("x | <y>",)]).splitlines()[-1] == r"| x \| &lt;y> |"


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("metrics", [metric.name for metric in METRICS]),
        ("events", list(EVENTS)),
        ("codes", ["QPS_LIMIT_CONTROL", "Throttling*", "local.timeout"]),
        ("way", ["receive", "decode", "decide", "settle"]),
        ("folders", ["worker/core", "worker/limiter"]),
    ],
)
def test_no_row_is_missing(part: str, names: list[str]) -> None:
    first = [line.split(" | ")[0] for line in PARTS[part]().splitlines()[2:]]

    assert len(names) > 1
    for name in names:
        assert any(name in cell for cell in first), name


def test_every_exit_code_is_told() -> None:
    told = re.findall(r"^\| (\d+) \| `(\w+)`", PARTS["exit codes"](), re.MULTILINE)

    assert {name: int(code) for code, name in told} == {
        name: code for name, code in vars(exit_codes).items() if name.isupper()
    }


def test_no_code_is_listed_twice() -> None:
    listed = re.findall(r"^\| `([^`]+)`", PARTS["codes"](), re.MULTILINE)

    assert len(listed) == len(set(listed)) > 80
    assert set(listed) <= {row.code for row in catalog()}


# -- config/worker.toml, from which the settings are told


def test_every_key_has_a_comment_of_its_own() -> None:
    told = meanings()
    without = [name for name, _ in fields(Settings()) if name not in told and not name.startswith(ELSEWHERE)]

    assert without == []
    assert [name for name in told if name.startswith("catalog.classes.") or name.count(".") > 3] == []


def test_every_bound_of_the_code_is_in_the_comment() -> None:
    told = meanings()
    bounds = [
        (name, bound)
        for name, field in fields(Settings())
        for kind in field.metadata
        for bound in (getattr(kind, "ge", None), getattr(kind, "le", None))
        if isinstance(kind, Ge | Le) and bound is not None and not name.startswith(ELSEWHERE)
    ]

    assert len(bounds) > 20
    missing = [(name, bound) for name, bound in bounds if not re.search(rf"\b{said(bound)}\b", told[name])]
    assert missing == []


def said(bound: Any) -> str:
    """A bound as people write it."""
    if isinstance(bound, timedelta):
        return written(bound)
    return str(bound)


def fields(section: Section, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted name of each key, with what the library knows of it."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field
