"""The tool that changes the core: it makes the changes that it names, one at a time, and sees who notices."""

import ast
from pathlib import Path

import pytest

from tests.mutants.mutations import mutants_of
from tests.mutants.trial import files_for


def changed(text: str) -> dict[str, str]:
    """What becomes of the one-line *text*, by the name of the change."""
    return {mutant.change: ast.unparse(mutant.tree) for mutant in mutants_of("m", text)}


@pytest.mark.parametrize(
    ("text", "change", "mutant"),
    [
        ("a < b", "Lt -> LtE", "a <= b"),
        ("a < b", "Lt -> GtE", "a >= b"),
        ("a < b <= c", "LtE -> Lt", "a < b < c"),
        ("a is not b", "IsNot -> Is", "a is b"),
        ("a + b", "Add -> Sub", "a - b"),
        ("a += b", "Add -> Sub", "a -= b"),
        ("a and b", "And -> Or", "a or b"),
        ("min(a)", "min -> max", "max(a)"),
        ("a = 3", "3 -> 4", "a = 4"),
        ("a = 3", "3 -> 2", "a = 2"),
        ("a = 500", "500 -> 1000", "a = 1000"),
        ("a = True", "True -> False", "a = False"),
        ("a if not b else c", "negate test", "a if not not b else c"),
        ("[a for a in b if c]", "drop if", "[a for a in b]"),
        ("f(a)", "drop", "pass"),
        ("raise a", "drop", "pass"),
    ],
)
def test_a_change_is_what_its_name_says(text: str, change: str, mutant: str) -> None:
    assert changed(text)[change] == mutant


def test_a_mutant_has_one_change_and_texts_annotations_and_decorators_stay() -> None:
    text = '@dataclass(frozen=True)\nclass A:\n    """Text."""\n    a: "Literal[3]" = "b"\n'
    assert changed(text) == {}
    assert [ast.unparse(mutant.tree) for mutant in mutants_of("m", "a = b + c + d")] == [
        "a = b + c - d",
        "a = b - c + d",
    ]


def test_mutants_of_equal_lines_have_names_of_their_own() -> None:
    names = [mutant.name for mutant in mutants_of("m", "a = b + c\na = b + c\n")]
    assert names == ["a = b + c | Add -> Sub", "a = b + c | Add -> Sub | 2"]


def test_a_modules_own_tests_come_first() -> None:
    names = [Path(path).name for path in files_for("worker.core.limits.brake", Path(__file__).parents[2])]
    assert names[:2] == ["test_brake.py", "test_brake_property.py"]
    assert "test_intake_control.py" in names
