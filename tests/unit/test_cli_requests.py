"""Requests out of files: what is read, what is a fault of a line, what is a fault of the file."""

from pathlib import Path

import pytest

from worker.cli.requests import Line, count, read
from worker.errors import UsageError


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_csv_gives_bodies_with_nested_parts_and_leaves_out_empty_cells(tmp_path: Path) -> None:
    header = "id,to,type,text,from,template,params.name,params.day,metadata.campaign,deadline"
    rows = '1,+852,MKT,"Hello, ""you""",,,,,spring,\n2,86138,NOTIFY,,Shop,SMS_1,Li,,,2030-01-01T00:00:00Z'
    first, second = read(written(tmp_path / "x.csv", f"\ufeff{header}\n{rows}\n"))

    assert first == Line(
        2, {"id": "1", "to": "+852", "type": "MKT", "text": 'Hello, "you"', "metadata": {"campaign": "spring"}}
    )
    assert second.body == {
        "id": "2",
        "to": "86138",
        "type": "NOTIFY",
        "from": "Shop",
        "template": {"code": "SMS_1", "params": {"name": "Li"}},
        "deadline": "2030-01-01T00:00:00Z",
    }


def test_a_text_of_several_lines_is_one_request_and_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    file = written(tmp_path / "x.csv", 'id,text\na,"one\ntwo"\n\nb,three\n')

    assert [(line.number, line.body) for line in read(file)] == [
        (2, {"id": "a", "text": "one\ntwo"}),
        (5, {"id": "b", "text": "three"}),
    ]


def test_faults_in_a_csv_are_those_of_their_lines(tmp_path: Path) -> None:
    file = written(tmp_path / "x.csv", b'id,text\na,ok\nb\nc,"un"closed\nd,\xff\xfe\ne,ok\n')
    lines = list(read(file))

    assert [line.number for line in lines if line.body] == [2, 6]
    assert {line.number: line.fault.split(",")[0] for line in lines if line.fault} == {
        3: "has 1 cells",
        4: "is no CSV: '",
        5: "is not UTF-8",
    }


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("id:to:type:text", "no field 'id:to:type:text'"),
        ("id;txet", "no field 'txet'"),
        ("phone;message", "no field 'phone'"),
        ("r-1,+85251234567,OTP,Hi", "no field 'r-1'"),
        ("+85251234567,OTP,Hi", "no field like the one of a cell with digits"),
        ("ID,id", "each column once"),
        (",,", "each column once"),
        ("sep=:", "separate the cells by commas"),
        ("id,txet", "no field 'txet'"),
        ("id,params.", r"no field 'params\.'"),
        ("id,metadata", "no field 'metadata'"),
        ("id,id", "each column once"),
        ("", "each column once"),
        ('id,"t"o', "is no CSV"),
    ],
)
def test_a_header_that_would_fail_every_line_fails_the_file(tmp_path: Path, header: str, fault: str) -> None:
    with pytest.raises(UsageError, match=f"x.csv line 1: .*{fault}"):
        list(read(written(tmp_path / "x.csv", f"{header}\na,b\n")))


def test_a_jsonl_gives_its_bodies_and_faults_are_those_of_their_lines(tmp_path: Path) -> None:
    good = b'\xef\xbb\xbf{"id": "a", "metadata": {"k": "v"}}\n\n'
    bad = b'{"id": \n[1]\n{"id": "b", "id": "c"}\n"\xff"\n{"n": 123456789012345678901234567890}\n' + b"[" * 100_000
    lines = list(read(written(tmp_path / "x.jsonl", good + bad + b'\n{"id": "z"}')))

    assert [(line.number, line.body) for line in lines if line.body] == [
        (1, {"id": "a", "metadata": {"k": "v"}}),
        (9, {"id": "z"}),
    ]
    assert [line.number for line in lines if line.fault] == [3, 4, 5, 6, 7, 8]
    assert lines[3].fault == "is no JSON: a key is given more than once"


def test_a_request_without_an_id_gets_the_same_one_each_time_and_no_two_get_one(tmp_path: Path) -> None:
    file = written(tmp_path / "x.csv", "to,text\n852,a\n852,a\n852,b\n")
    ids = [line.body["id"] for line in read(file) if line.body]

    assert ids == [line.body["id"] for line in read(file) if line.body]
    assert len(set(ids)) == 3
    assert [one.split("-")[0] for one in ids] == ["2", "3", "4"]


def test_counting_counts_what_reading_gives(tmp_path: Path) -> None:
    file = written(tmp_path / "x.csv", 'id,text\na,"one\ntwo"\n\nb\nc,"un"closed\nd,three\n')

    assert count(file) == len(list(read(file))) == 4


@pytest.mark.parametrize(
    ("name", "fault"), [("x.txt", "name it"), ("none.csv", "No such file"), ("d.csv", "directory")]
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, fault: str) -> None:
    (tmp_path / "x.txt").touch()
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(UsageError, match=fault):
        count(tmp_path / name)
