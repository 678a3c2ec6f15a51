"""Whatever a file holds: no request is lost in silence, none is sent with other characters, and counting is true."""

import csv
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from worker.cli.requests import Line, count, read
from worker.errors import UsageError

HEADER = "id,to,type,text,metadata.note"
#: What people write into cells, with all that means something in CSV.
CELLS = st.text(st.sampled_from("ab5,;\"\n '\t|é验"), max_size=12)
ROWS = st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8)


@contextmanager
def file_of(content: bytes, suffix: str = ".csv") -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(content)
        file.flush()
        yield Path(file.name)


def rows_of(cells: list[tuple[str, str]]) -> list[list[str]]:
    return [
        [f"r-{number}", f"+8525123456{number}", "NOTIFY", f"{text}.", note] for number, (text, note) in enumerate(cells)
    ]


def written(rows: list[list[str]]) -> list[str]:
    """Each row as a spreadsheet writes it; a row may have several lines."""
    texts = []
    for row in rows:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(row)
        texts.append(out.getvalue())
    return texts


def lines_of(content: str) -> list[Line]:
    with file_of(content.encode()) as file:
        lines = list(read(file))
        assert count(file) == len(lines)
        for skip in (0, 1, len(lines) // 2, len(lines), len(lines) + 1):
            assert list(islice(read(file), skip, None)) == lines[skip:]
    return lines


@settings(deadline=None)
@given(cells=ROWS)
def test_a_file_that_keeps_the_rules_is_read_as_it_was_written(cells: list[tuple[str, str]]) -> None:
    rows = rows_of(cells)
    lines = lines_of(f"{HEADER}\n" + "".join(written(rows)))

    assert [line.fault for line in lines] == [""] * len(rows)
    assert [text_of(line) for line in lines] == [row[3] for row in rows]


@settings(deadline=None, max_examples=300)
@given(
    cells=ROWS,
    spoiled=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 60), st.booleans()), min_size=1, max_size=3),
)
@example(cells=[("x", "n"), ("x", "n"), ('5"', "n"), ("x", "n")], spoiled=[(1, 26, True)])
def test_a_quote_too_many_or_too_few_loses_no_other_row_in_silence(
    cells: list[tuple[str, str]], spoiled: list[tuple[int, int, bool]]
) -> None:
    """A row that was not touched is published as it is, or a line of it is named; nothing else is published for it."""
    rows = rows_of(cells)
    texts = written(rows)
    touched = set()
    for chosen, place, is_added in spoiled:
        row = chosen % len(rows)
        before, after = texts[row][: place % len(texts[row])], texts[row][place % len(texts[row]) :]
        texts[row] = f'{before}"{after}' if is_added else before + after.replace('"', "", 1)
        touched.add(row)
    lines = lines_of(f"{HEADER}\n" + "".join(texts))

    named = {line.number for line in lines if line.fault}
    taken = {line.body["id"]: line for line in lines if line.body and line.has_own_id}
    begin = 2
    for row, text in enumerate(texts):
        end = begin + text.count("\n")
        if row not in touched:
            line = taken.get(f"r-{row}")
            is_as_written = line is not None and text_of(line) == rows[row][3] and line.number == begin
            assert is_as_written or named & set(range(begin, end)), (row, text)
        begin = end


@settings(deadline=None)
@given(
    content=st.binary(max_size=300) | st.text(max_size=100).map(str.encode), suffix=st.sampled_from([".csv", ".jsonl"])
)
def test_any_bytes_are_refused_or_give_lines(content: bytes, suffix: str) -> None:
    with file_of(content, suffix) as file, suppress(UsageError):
        assert all(bool(line.body) != bool(line.fault) for line in read(file))


@settings(deadline=None)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), min_size=1, max_size=6),
    spoiled=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 255)), max_size=3),
    codec=st.sampled_from(["utf-8", "utf-16"]),
)
def test_no_line_of_jsonl_gives_other_characters_than_its_bytes_say(
    texts: list[str], spoiled: list[tuple[int, int, int]], codec: str
) -> None:
    lines = [bytearray(orjson.dumps({"id": f"r-{number}", "text": text})) for number, text in enumerate(texts)]
    for row, place, byte in spoiled:
        if codec == "utf-8" and byte != ord("\n"):
            lines[row % len(lines)][place % len(lines[row % len(lines)])] = byte
    content = b"\n".join(lines)
    with file_of(content if codec == "utf-8" else content.decode().encode(codec), ".jsonl") as file:
        try:
            read_lines = list(read(file))
        except UsageError:
            return

    for line in read_lines:
        if line.body:
            assert orjson.loads(lines[line.number - 1]).get("text") == line.body.get("text")


def text_of(line: Line) -> str:
    return str(line.body["text"]) if line.body else ""
