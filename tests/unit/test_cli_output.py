"""Tables, JSON lines and sentences."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from worker.cli.output import counted, dumped
from worker.core.escaping import one_line

HOSTILE = "\x1b]0;\x07 [b]x[/] \u009b31m"
ROW: dict[str, Any] = {
    "code": "CONTENT_MISSING_PARAMETERS",
    "died": datetime(2026, 11, 23, 12, 0, 0, 5, tzinfo=UTC),
    "remedy": "A sentence that is much longer than the column that is left for it. " * 3,
    "count": 17,
    "hostile": HOSTILE,
}


def shown(columns: int, code: str) -> str:
    """What *code* writes in a terminal of that width."""
    row = repr(ROW).replace("datetime.datetime", "datetime").replace("datetime.timezone.utc", "UTC")
    imports = ("datetime import UTC, datetime", "worker.cli.output import *", "worker.cli.table import listing")
    program = "\n".join((*(f"from {each}" for each in imports), f"ROW = {row}", code))
    ran = subprocess.run(
        [sys.executable, "-c", program], env={"COLUMNS": str(columns)}, capture_output=True, text=True, check=True
    )
    return ran.stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_a_table_fits_its_terminal_and_codes_stay_whole(columns: int) -> None:
    text = shown(columns, "listing('Codes', ['code', 'died', 'count', 'remedy'], [ROW], wide=['remedy'])")

    assert max(map(len, text.splitlines())) <= columns
    assert "CONTENT_MISSING_PARAMETERS" in text
    assert "2026-11-23 12:00:00Z" in text


def test_a_narrow_terminal_does_without_spare_columns() -> None:
    code = "listing('Codes', ['code', 'count'], [ROW], spare=['count'])"

    assert "17" in shown(120, code)
    assert "17" not in shown(80, code)


def test_what_comes_from_outside_can_do_nothing_to_a_terminal() -> None:
    text = shown(200, "listing('x', ['hostile'], [ROW]); say(ROW['hostile'])")

    assert not {"\x1b", "\x07", "\u009b"} & set(text)
    assert text.count(r"\x1b]0;\x07 [b]x[/] \x9b31m") == 2


def test_a_line_end_from_outside_makes_no_row_and_no_sentence() -> None:
    forged = "r-1\\n│ r-2 │ run: dlq replay --all │"
    text = shown(
        200, f"listing('x', ['id'], [{{'id': '{forged}'}}], wide=['id']); say('{forged}'); complain('{forged}')"
    )

    assert text.count("r-1\\x0a│ r-2") == 2
    assert len(text.splitlines()) == 7


def test_cells_of_several_lines_are_ours() -> None:
    text = shown(80, r"listing('x', ['lines'], [{'lines': ('first', 'sec\nond')}])")

    assert [line.strip("│ ") for line in text.splitlines()[-3:-1]] == ["first", r"sec\x0aond"]


@pytest.mark.parametrize("columns", range(40, 130, 7))
def test_words_stay_whole_however_narrow_the_terminal_is(columns: int) -> None:
    code = (
        "listing('Codes', ['code', 'died', 'count', 'reason', 'remedy'], [ROW | {'reason': ROW['remedy']}] * 2,"
        " wide=['reason', 'remedy'], spare=['died'])"
    )
    text = shown(columns, code)
    words = {word.strip("│┃") for word in text.split()}

    assert max(map(len, text.splitlines())) <= columns
    assert {*ROW["remedy"].split(), "CONTENT_MISSING_PARAMETERS", "17"} <= words
    assert columns >= 100 or "2026-11-23" not in words


def test_a_sentence_is_one_line_however_long_it_is() -> None:
    assert shown(80, f"say({'word ' * 100!r})").count("\n") == 1


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"at": datetime(2026, 11, 23, 12, 0, 0, 5, tzinfo=UTC)}, {"at": "2026-11-23T12:00:00Z"}),
        ({"x": b"\xffa"}, {"x": "\\xffa"}),
        ({1: "x"}, {"1": "x"}),
        ({"big": 2**70}, "{'big': 1180591620717411303424}"),
        ("\ud800", "'\\ud800'"),
        ({"id": "a\u202eb\u200b\x7f\x9b\n\U000e0041"}, {"id": "a\u202eb\u200b\x7f\x9b\n\U000e0041"}),
    ],
)
def test_anything_can_be_told_as_json(value: Any, told: Any) -> None:
    line = dumped(value)

    assert orjson.loads(line) == told
    assert line.count(b"\n") == 1
    assert one_line(line.decode()[:-1]) == line.decode()[:-1], "nothing in it acts on a terminal"


def test_one_is_not_many() -> None:
    assert (counted(1, "letter"), counted(0, "letter"), counted(2, "letter")) == ("1 letter", "0 letters", "2 letters")
