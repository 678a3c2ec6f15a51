"""What the API refuses about a call's parameters, as the code that it answers.

The documentation gives the rules; which code answers which is given for the quantities and lengths only, the others
are the nearest by their description. Gateway codes (``MissingTo``) and business codes come from one list of checks.
"""

import re
from collections.abc import Mapping
from typing import Final

import orjson

from worker.core.message.lane import SmsType
from worker.sandbox.operation import BATCH, REQUIRED, SINGLE, TEMPLATE

#: Characters of one text.
LONGEST_TEXT: Final = 1500
#: Numbers of one batch.
LARGEST_BATCH: Final = 1000
_LONGEST_TASK_ID: Final = 255
_NUMBER: Final = re.compile(r"[1-9][0-9]{6,14}")
_MAINLAND: Final = re.compile(r"86[0-9]{11}")
_SENDER: Final = re.compile(r"[0-9]{1,15}|(?=[0-9]*[A-Za-z])[A-Za-z0-9]{1,11}")
_VALIDITY: Final = re.compile(r"[1-9][0-9]{0,9}")
_TYPES: Final[Mapping[str, frozenset[str]]] = {
    SINGLE: frozenset(SmsType),
    BATCH: frozenset({SmsType.NOTIFY, SmsType.MKT}),
}


def missing(operation: str, parameters: Mapping[str, str]) -> str | None:
    """The code for the first required parameter that is absent or empty."""
    return next((f"Missing{name}" for name in REQUIRED[operation] if not parameters.get(name)), None)


def refused(operation: str, parameters: Mapping[str, str]) -> str | None:
    """The code for what is wrong with a send whatever its recipients; None when nothing is."""
    sender, types = parameters.get("From"), _TYPES.get(operation)
    if operation == TEMPLATE and not _is_object(parameters.get("TemplateParam")):
        return "INVALID_JSON_PARAM"
    if operation != TEMPLATE and sender and not _SENDER.fullmatch(sender):
        return "INVALID_SENDERID"
    if len(parameters.get("TaskId", "")) > _LONGEST_TASK_ID:
        return "PARAM_LENGTH_LIMIT"
    if types and parameters.get("Type") and parameters["Type"] not in types:
        return "INVALID_PARAMETERS"
    if "ValidityPeriod" in parameters and not _VALIDITY.fullmatch(parameters["ValidityPeriod"]):
        return "INVALID_PARAMETERS"
    return None


def recipient_refused(operation: str, number: str) -> str | None:
    """The code for a number that *operation* does not reach."""
    if not _NUMBER.fullmatch(number):
        return "MOBILE_NUMBER_ILLEGAL"
    if number.startswith("86") != (operation == TEMPLATE):
        return "NOT_SUPPORTED_COUNTRY"
    if operation == TEMPLATE and not _MAINLAND.fullmatch(number):
        return "MOBILE_NUMBER_ILLEGAL"
    return None


def text_refused(text: str) -> str | None:
    """The code for a text that is too long."""
    return "CONTENT_EXCEED_LIMIT" if len(text) > LONGEST_TEXT else None


def batch(parameters: Mapping[str, str]) -> list[tuple[str, str]] | str:
    """The numbers and texts of a batch, or the code for what is wrong with the two lists."""
    numbers, texts = _strings(parameters["To"]), _strings(parameters["Message"])
    if not numbers or not texts:
        return "INVALID_JSON_PARAM"
    if len(numbers) > LARGEST_BATCH:
        return "MOBILE_COUNT_OVER_LIMIT"
    if len(numbers) != len(texts):
        return "QUANTITY_INCONSISTENT"
    return list(zip(numbers, texts, strict=True))


def is_number(text: str) -> bool:
    """Whether *text* has the form of a number."""
    return _NUMBER.fullmatch(text) is not None


def _strings(text: str) -> list[str] | None:
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    is_list = isinstance(found, list) and all(isinstance(each, str) for each in found)
    return found if is_list else None


def _is_object(text: str | None) -> bool:
    if text is None:
        return True
    try:
        return isinstance(orjson.loads(text), dict)
    except ValueError:
        return False
