"""Files as people's programs write them: what is taken, what is refused, and in which words."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from worker.cli.requests import Format, Line, count, read
from worker.core.message.request import read as read_request
from worker.errors import UsageError

FILES = Path(__file__).parents[1] / "data" / "requests"
HEADER = "id,to,type,text\n"


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def ids(lines: list[Line]) -> list[str]:
    return [line.body["id"] for line in lines if line.body]


def faults(lines: list[Line]) -> dict[int, str]:
    return {line.number: line.fault for line in lines if line.fault}


# -- encodings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["excel-unicode.csv", "powershell.jsonl"])
def test_utf_16_with_a_mark_is_read_as_it_was_written(name: str) -> None:
    lines = list(read(FILES / name))

    assert ids(lines) == [f"ps-{number}" for number in range(1, 6)]
    assert [line.body["text"] for line in lines if line.body] == [
        "Hello one",
        "你好，您的包裹明天到",  # noqa: RUF001 - as it was written
        "Grüße für dich",
        "Emoji 😀 ok",
        "Preis 5 €",
    ]


CSV = f"{HEADER}a,+85251234567,NOTIFY,Grüße 你好 😀\nb,+85251234568,NOTIFY,x\n"
JSONL = '{"id":"a","to":"+85251234567","type":"NOTIFY","text":"Grüße 你好 😀"}\n{"id":"b","to":"+85251234568"}\n'


@pytest.mark.parametrize(("name", "text"), [("x.csv", CSV), ("x.jsonl", JSONL)])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_every_encoding_that_is_taken_gives_the_same_requests(tmp_path: Path, name: str, text: str, codec: str) -> None:
    mark = b"\xfe\xff" if codec == "utf-16-be" else b""
    lines = list(read(written(tmp_path / name, mark + text.encode(codec))))

    assert ids(lines) == ["a", "b"]
    assert lines[0].body is not None
    assert lines[0].body["text"] == "Grüße 你好 😀"


@pytest.mark.parametrize(("name", "text"), [("x.csv", CSV), ("x.jsonl", JSONL)])
@pytest.mark.parametrize(
    ("encoded", "named"),
    [
        (lambda text: text.encode("utf-16-le"), r"looks like UTF-16 \(little endian\) without a byte order mark"),
        (lambda text: text.encode("utf-16-be"), r"looks like UTF-16 \(big endian\) without a byte order mark"),
        (lambda text: text.encode("utf-32"), "is UTF-32"),
        (lambda text: b"\x00\x00\xfe\xff" + text.encode("utf-32-be"), "is UTF-32"),
        (lambda text: text.encode("utf-32-le"), "looks like UTF-32 without a byte order mark"),
        (lambda text: b"PK\x03\x04" + text.encode(), "an Excel workbook"),
        (lambda text: b"\x1f\x8b" + text.encode(), "compressed with gzip"),
    ],
)
def test_a_file_in_another_encoding_is_refused_as_a_whole_and_the_encoding_named(
    tmp_path: Path, name: str, text: str, encoded: Callable[[str], bytes], named: str
) -> None:
    with pytest.raises(UsageError, match=f"{name}: .*{named}.*; (save|export) it as CSV UTF-8"):
        count(written(tmp_path / name, encoded(text)))


@pytest.mark.parametrize(
    ("codec", "text", "named"),
    [
        ("cp1252", "Grüße, 5 €", "Windows-1252 or the like"),
        ("cp1251", "код для входа", "GBK, Big5, Windows-1251 or the like"),
        ("gb18030", "您的包裹明天到", "GBK, Big5, Windows-1251 or the like"),
        ("big5", "您的包裹明天到", "GBK, Big5, Windows-1251 or the like"),
        ("shift_jis", "荷物は明日届きます", "GBK, Big5, Windows-1251 or the like"),
    ],
)
def test_lines_that_are_not_utf_8_refuse_the_file_when_no_other_line_shows_that_it_is(
    tmp_path: Path, codec: str, text: str, named: str
) -> None:
    rows = "".join(f'r-{number},+8525123456{number},NOTIFY,"{text}"\n' for number in range(9))

    with pytest.raises(UsageError, match=f"x.csv: is not UTF-8, it looks like ({named})"):
        list(read(written(tmp_path / "x.csv", (HEADER + rows).encode(codec))))


def test_a_line_that_is_not_utf_8_in_a_file_that_is_is_a_fault_and_never_sent_with_other_characters(
    tmp_path: Path,
) -> None:
    good = 'a,+85251234567,NOTIFY,Grüße\nb,+85251234568,NOTIFY,你好\nc,+85251234569,NOTIFY,"one\ntwo"\n'.encode()
    spoiled = "d,+85251234561,NOTIFY,Grüße\ne,+85251234562,NOTIFY,5 €\n".encode("cp1252")
    lines = list(read(written(tmp_path / "x.csv", HEADER.encode() + good + spoiled + b"f,+85251234563,NOTIFY,x\n")))

    assert ids(lines) == ["a", "b", "c", "f"]
    assert faults(lines) == dict.fromkeys(
        (6, 7), "is not UTF-8, so that nobody knows what was written; save the file as UTF-8"
    )


def test_half_a_character_at_the_end_of_utf_16_is_a_fault_of_its_line(tmp_path: Path) -> None:
    content = f"{HEADER}a,+85251234567,NOTIFY,x\nb,+85251234568,NOTIFY,y".encode("utf-16") + b"\x41"
    lines = list(read(written(tmp_path / "x.csv", content)))

    assert ids(lines) == ["a"]
    assert list(faults(lines)) == [3]


def test_no_line_of_jsonl_is_read_in_an_encoding_of_its_own(tmp_path: Path) -> None:
    """The reader of JSON guesses UTF-16 and UTF-32 of bytes; here a line in UTF-16 stands in a file in UTF-8."""
    first = b'{"id":"a","to":"+85251234567","type":"OTP","text":"\xe4\xbd\xa0"}\n'
    second = '{"id":"b","to":"+85251234568","type":"OTP","text":"x"}'.encode("utf-16-be") + b"\n"
    lines = list(read(written(tmp_path / "x.jsonl", first * 40 + second)))

    assert set(ids(lines)) == {"a"}
    assert list(faults(lines)) == [41]


# -- quotes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "prefix", "fault"),
    [
        ("unclosed-then-quoted.csv", "uw", "is no CSV: ',' expected"),
        ("inch-mark.csv", "ux", "is no CSV: ',' expected"),
        ("inch-mark-at-end.csv", "uy", "has a quote that is not closed: line 4 would be part of its text"),
    ],
)
def test_an_unclosed_quote_costs_its_own_line_and_no_other(name: str, prefix: str, fault: str) -> None:
    lines = list(read(FILES / name))

    assert ids(lines) == [f"{prefix}-{number}" for number in (1, 3, 4, 5, 6)]
    assert list(faults(lines)) == [3]
    assert fault in faults(lines)[3]
    assert all(line.body["text"].count("\n") == 0 for line in lines if line.body)


def test_a_quote_that_is_never_closed_costs_its_line_in_a_file_of_any_length(tmp_path: Path) -> None:
    rows = [f"r-{number},+852512{number:05},NOTIFY,Message {number}" for number in range(3_000)]
    rows[100] = 'r-100,+85251200100,NOTIFY,"Message 100'
    rows[2_990] = 'r-2990,+85251202990,NOTIFY,"Message 2990'
    lines = list(read(written(tmp_path / "x.csv", HEADER + "\n".join(rows) + "\n")))

    assert ids(lines) == [f"r-{number}" for number in range(3_000) if number not in (100, 2_990)]
    assert list(faults(lines)) == [102, 2_992]
    assert "a quote is not closed within 65536 characters" in faults(lines)[102]
    assert "a quote is not closed before the end" in faults(lines)[2_992]


def test_a_text_of_several_lines_is_taken_with_the_lines_that_it_spans(tmp_path: Path) -> None:
    rows = 'a,+85251234567,NOTIFY,"Dear,\n\nall, the best"\nb,+85251234568,NOTIFY,x\n'
    lines = list(read(written(tmp_path / "x.csv", HEADER + rows)))

    assert ids(lines) == ["a", "b"]
    assert [(line.number, line.span) for line in lines] == [(2, 3), (5, 1)]


def test_a_record_of_several_lines_without_the_right_cells_gives_its_lines_back(tmp_path: Path) -> None:
    rows = 'a,+85251234567,"NOTIFY\nb,+85251234568,NOTIFY",x,y\nc,+85251234569,NOTIFY,z\n'
    lines = list(read(written(tmp_path / "x.csv", HEADER + rows)))

    assert ids(lines) == ["c"]
    assert list(faults(lines)) == [2, 3]


def test_a_line_without_an_end_is_a_fault_and_not_all_of_the_memory(tmp_path: Path) -> None:
    rows = f"a,+85251234567,NOTIFY,{'x' * 300_000}\nb,+85251234568,NOTIFY,y\n"
    lines = list(read(written(tmp_path / "x.csv", HEADER + rows)))

    assert (ids(lines), faults(lines)) == (["b"], {2: "is longer than 131072 characters"})


# -- what spreadsheets do ---------------------------------------------------------------------------------------------


def test_what_is_certain_is_repaired_and_a_spoiled_number_is_told_in_words() -> None:
    told = {}
    for line in read(FILES / "excel.csv"):
        assert line.body is not None
        try:
            told[line.body["id"]] = read_request(line.body).to
        except ValueError as error:
            told[line.body["id"]] = str(error)

    assert [told[f"e-{number}"] for number in (6, 7, 8)] == ["+85251234504", "+85251234505", "+85251234506"]
    words = {1: "power of ten", 2: "apostrophe", 3: "blanks", 4: "leave (0) out", 5: "begins with 00", 9: "ends in .0"}
    assert all(word in told[f"e-{number}"] for number, word in words.items())
    assert len(told) == 9  # and rows of nothing but commas are none


@pytest.mark.parametrize("name", ["sep.csv", "header-case.csv"])
def test_a_first_line_that_tells_the_separator_and_a_header_in_another_case_are_understood(name: str) -> None:
    (line,) = read(FILES / name)

    assert line.body is not None
    assert read_request(line.body).text == "Hi"


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
def test_the_separator_is_told_by_the_header(tmp_path: Path, separator: str) -> None:
    cells = (
        ["\ufeff ID ", "To", "TYPE", "text", "Params.Name", "metadata.C"],
        [" a ", "852", "otp", " x, ; ", "Li", ""],
    )
    text = "\n".join(separator.join(f'"{cell}"' if "," in cell else cell for cell in row) for row in cells)
    (line,) = read(written(tmp_path / "x.csv", text))

    params = {"template": {"params": {"Name": "Li"}}}
    assert line.body == {"id": "a", "to": "852", "type": "OTP", "text": " x, ; "} | params


def test_rows_and_columns_of_nothing_are_no_faults(tmp_path: Path) -> None:
    text = "id,to,type,text,,\n,,,,,\n , ,\u00a0,,,\n,,\na,852,OTP,x,,\nb,852,OTP,x,,y\n\n"
    lines = list(read(written(tmp_path / "x.csv", text)))

    assert [(line.number, bool(line.body)) for line in lines] == [(5, True), (6, False)]
    assert lines[1].fault == "has something in a column without a name"


# -- ids and deadlines ------------------------------------------------------------------------------------------------


def test_an_id_that_a_file_gives_twice_is_told_with_both_lines() -> None:
    lines = list(read(FILES / "repeated-id.csv"))

    assert ids(lines) == ["d-1", "d-2"]
    assert faults(lines) == {3: "has the id of line 2 with another content; give each request its own"}


def test_the_same_request_twice_is_a_warning(tmp_path: Path) -> None:
    row = '{"id": "a", "to": "852", "text": "x"}\n'
    lines = list(read(written(tmp_path / "x.jsonl", row + '{"text": "x", "to": "852", "id": "a"}\n' + row)))

    assert ids(lines) == ["a", "a", "a"]
    assert [line.warning for line in lines] == ["", *["is the same request as line 1; it is sent once"] * 2]


def test_a_deadline_that_has_passed_is_a_fault_of_its_line(tmp_path: Path) -> None:
    rows = ["2026-11-23T12:00:00Z", "2026-11-23T12:00:01Z", "2026-11-23T20:00:00+08:00", "tomorrow", ""]
    file = written(tmp_path / "x.csv", "id,deadline\n" + "".join(f"r-{row},{row}\n" for row in rows))
    lines = list(read(file, clock=lambda: datetime(2026, 11, 23, 12, tzinfo=UTC)))

    assert faults(lines) == dict.fromkeys((2, 4), "deadline: has passed already, so that it would not be sent")
    assert len(ids(lines)) == 3  # what is no instant is told by its own sentence
    assert count(file) == len(lines)


# -- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("1" * 30, "text: cannot be written as JSON: Integer exceeds 64-bit range"),
        ("1" * 5_000, "text: cannot be written as JSON: Integer exceeds 64-bit range"),
        ("1.5", "text: must not be a number with a fraction"),
        ("1e999", "text: must not be a number with a fraction"),
        ("NaN", "is no JSON: NaN is no value"),
        ("-Infinity", "is no JSON: -Infinity is no value"),
        (r'"\ud800"', "text: cannot be written as JSON: str is not valid UTF-8: surrogates not allowed"),
    ],
)
def test_what_json_cannot_say_is_told_by_the_name_of_its_field(tmp_path: Path, value: str, fault: str) -> None:
    (line,) = read(written(tmp_path / "x.jsonl", f'{{"id": "a", "text": {value}}}\n'))

    assert line.fault == fault


def test_a_place_in_a_line_of_json_is_told_by_its_column(tmp_path: Path) -> None:
    _, line = read(written(tmp_path / "x.jsonl", '{"id": "a"}\n{"id": "b" "to": ""}\n'))

    assert (line.number, line.fault) == (2, "is no JSON: Expecting ',' delimiter (column 12)")


def test_files_that_were_appended_to_each_other_keep_their_marks_to_themselves(tmp_path: Path) -> None:
    lines = list(read(written(tmp_path / "x.jsonl", '\ufeff{"id": "a"}\n\ufeff{"id": "b"}\n')))

    assert ids(lines) == ["a", "b"]


# -- what is no file --------------------------------------------------------------------------------------------------


def test_a_named_pipe_is_refused_at_once_though_nobody_writes_into_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.csv")

    with pytest.raises(UsageError, match="is a named pipe; publish a file, or standard input"):
        count(tmp_path / "x.csv")


@pytest.mark.parametrize(("path", "kind"), [("/dev/null", "a device"), ("/dev", "a directory")])
def test_a_device_or_directory_is_refused(path: str, kind: str) -> None:
    with pytest.raises(UsageError, match=f"{path}: is {kind}"):
        count(Path(path), Format.CSV)


def test_the_format_may_be_told_whatever_the_name_says(tmp_path: Path) -> None:
    assert ids(list(read(written(tmp_path / "x.txt", CSV), Format.CSV))) == ["a", "b"]
    assert ids(list(read(written(tmp_path / "y.csv", JSONL), Format.JSONL))) == ["a", "b"]
