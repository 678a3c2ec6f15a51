"""``sms-worker simulate``: its output for people, for programs and as a picture."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli import sms_worker

PLAN = """
[settings.batch]
size = 100
[[streams]]
type = "MKT"
count = 500
[[streams]]
type = "OTP"
rate = 2.0
duration = "3s"
"""


@pytest.fixture
def plan(tmp_path: Path) -> str:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN, "utf-8")
    return str(path)


def test_people_read_tables_and_curves(plan: str) -> None:
    ran = sms_worker("simulate", plan)

    assert (ran.code, ran.err) == (0, "")
    assert "marketing" in ran.out
    assert "mean fill" in ran.out
    assert "█" in ran.out
    assert "All is done after" in ran.out


def test_programs_read_one_object(plan: str) -> None:
    (told,) = sms_worker("simulate", plan, "--json").rows

    assert {lane: one["sent"] for lane, one in told["lanes"].items()} == {"marketing": 500, "otp": 6}
    assert told["singles"]["calls"] + round(told["batches"]["calls"] * told["batches"]["fill"]) == 506
    assert told["lanes"]["otp"]["wait_s"]["p99"] < 1


def test_a_flag_wins_over_the_plan(plan: str) -> None:
    (told,) = sms_worker("--set", "batch.size=0", "simulate", plan, "--json").rows

    assert told["batches"] is None
    assert told["singles"]["calls"] == 506


def test_the_picture_is_xml_whose_curves_lie_in_it(plan: str, tmp_path: Path) -> None:
    picture = tmp_path / "plan.svg"
    ran = sms_worker("simulate", plan, "--svg", str(picture))
    root = ET.fromstring(picture.read_text("utf-8"))
    curves = root.findall("{http://www.w3.org/2000/svg}polyline")
    points = [tuple(map(float, point.split(","))) for curve in curves for point in curve.attrib["points"].split()]

    assert ran.code == 0
    assert len(curves) == 4
    assert all(0 <= x <= float(root.attrib["width"]) and 0 <= y <= float(root.attrib["height"]) for x, y in points)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "streams: is missing"),
        ("[settings.quota]\nrate = 1\n" + PLAN.partition("size = 100")[2], "[settings]: quota.rate is no key"),
    ],
)
def test_a_fault_leaves_with_2(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text, "utf-8")
    ran = sms_worker("simulate", str(path))

    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err


def test_files_that_cannot_be_read_or_written_are_named(plan: str, tmp_path: Path) -> None:
    assert "none.toml: No such file" in sms_worker("simulate", "none.toml").err
    ran = sms_worker("simulate", plan, "--svg", str(tmp_path / "no" / "plan.svg"))
    assert ran.code == 2
    assert "--svg" in ran.err
