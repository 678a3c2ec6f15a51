"""What the validation library found, in words that name the field and never quote a value."""

import pytest
from pydantic_core import ErrorDetails

from worker.core.message.fault import problem, sentence, visible


def fault(*place: str | int, kind: str = "string_type", says: str = "Input should be a valid string") -> ErrorDetails:
    return ErrorDetails(type=kind, loc=place, msg=says, input="+85291234567")


def test_a_fault_names_its_place_and_its_problem() -> None:
    assert sentence(fault("template", "code")) == "template.code: Input should be a valid string"


def test_a_rule_of_ours_is_told_without_the_librarys_prefix() -> None:
    ours = fault("to", kind="value_error", says="Value error, write digits only")

    assert problem(ours) == "write digits only"
    assert sentence(ours) == "to: write digits only"


def test_a_rule_between_fields_names_them_itself() -> None:
    assert sentence(fault(kind="value_error", says="Value error, give text or template")) == "give text or template"


def test_what_is_wrong_with_the_whole_is_wrong_with_the_body() -> None:
    assert sentence(fault(kind="model_type", says="it must be an object")) == "body: it must be an object"


def test_the_key_of_a_pair_is_named_once() -> None:
    assert sentence(fault("metadata", "team", "[key]", says="too long")) == "metadata.team: too long"


@pytest.mark.parametrize("part", ["to", "not_before", "a" * 32])
def test_what_looks_like_the_name_of_a_field_is_shown(part: str) -> None:
    assert visible(part) == part


@pytest.mark.parametrize("part", ["85291234567", "имя", "a b", "_", "", "a" * 33, 3])
def test_any_other_key_may_be_somebodys_secret(part: str | int) -> None:
    assert visible(part) == "(a key)"
