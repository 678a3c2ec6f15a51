"""The magic numbers reach every code of the provider's table and every fault."""

import csv
from pathlib import Path

import pytest

from worker.sandbox.magic import FAULTS, ORDINARY, TABLE, Wire, behaviour_of

TSV = Path(__file__).parents[1] / "data" / "error-codes.tsv"
with TSV.open(encoding="utf-8") as file:
    API_ROWS = [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row["table"] == "api"]
WITHOUT_SMPP_CODE = {
    "DATA_NOT_EXIST": "901",
    "CONTENT_EXCEED_LIMIT": "902",
    "QUANTITY_INCONSISTENT": "903",
    "Specified AccessKeyId is not found": "904",
}


def test_the_providers_table_has_its_36_codes() -> None:
    assert len(API_ROWS) == 36


@pytest.mark.parametrize("row", API_ROWS, ids=lambda row: row["code"])
@pytest.mark.parametrize("before", ["6581", "8613800", "1"])
def test_every_code_of_the_providers_table_has_its_number(row: dict[str, str], before: str) -> None:
    ending = WITHOUT_SMPP_CODE.get(row["code"]) or row["smpp_code"].zfill(3)
    code = "InvalidAccessKeyId.NotFound" if row["code"].startswith("Specified") else row["code"]

    always, first = behaviour_of(f"{before}990{ending}"), behaviour_of(f"{before}991{ending}")

    assert (code, code == "OK", False) == (always.code, always.accepted, always.first_only)
    assert (code, code == "OK", True) == (first.code, first.accepted, first.first_only)


def test_there_is_a_number_for_each_of_the_fifteen_faults_and_no_other_magic_number() -> None:
    assert {f"{number:03}" for number in range(1, 16)} == set(FAULTS)
    assert {"990", "991", "992", "993"} == {ending[:3] for ending in TABLE}
    assert len(TABLE) == 2 * (36 + 15)


@pytest.mark.parametrize("number", ["", "5", "6581234567", "6581990000", "6581990047", "6581992016", "990033999999"])
def test_other_numbers_are_ordinary(number: str) -> None:
    assert behaviour_of(number) is ORDINARY


def test_a_reply_that_cannot_be_read_shows_no_code() -> None:
    unreadable = {ending for ending, fault in FAULTS.items() if fault.wire is not Wire.WHOLE}

    assert unreadable == {ending for ending, fault in FAULTS.items() if fault.code is None}
