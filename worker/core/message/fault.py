"""What the validation library found, as a sentence that every surface tells alike and that never quotes a value."""

from typing import Final

from pydantic_core import ErrorDetails

_OUR_OWN: Final = "Value error, "
_LONGEST_NAME: Final = 32


def problem(fault: ErrorDetails) -> str:
    """What is wrong, without the place; the library's own sentences do not quote the input."""
    return fault["msg"].removeprefix(_OUR_OWN)


def sentence(fault: ErrorDetails) -> str:
    """*fault* as ``field: problem``; a rule between fields names them itself."""
    if fault["type"] == "value_error" and not fault["loc"]:
        return problem(fault)
    place = ".".join(visible(part) for part in fault["loc"] if part != "[key]") or "body"
    return f"{place}: {problem(fault)}"


def visible(part: str | int) -> str:
    """A key of the publisher's own may hold anything: show it only when it looks like a field name."""
    text = str(part)
    return text if text.isascii() and text.replace("_", "").isalpha() and len(text) <= _LONGEST_NAME else "(a key)"
