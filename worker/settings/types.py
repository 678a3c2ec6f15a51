"""What a value of the configuration may be: lengths of time, addresses, names; each refusal is a sentence."""

import re
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from worker.core.outcome.outcome import ErrorClass, Period
from worker.settings.address import Form, parse

_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
#: Part of a host's name.
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
#: Classes that say what happened elsewhere than in an answer, or that would settle a request as done unread.
_NOT_OF_ANSWERS: Final = frozenset(
    {
        *(ErrorClass.ACCEPTED, ErrorClass.CANCELLED, ErrorClass.MALFORMED, ErrorClass.POISON, ErrorClass.UNROUTABLE),
        ErrorClass.INTERNAL,
    }
)
#: admit.lua tells marks of a recipient apart for 97 days.
_LONGEST_WINDOW: Final = timedelta(days=90)
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a number and a unit, one of ms, s, m, h, d: for example 30s")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError("is longer than any length of time that can be reckoned with") from None


def written(duration: timedelta) -> str:
    """*duration* as it is written in the configuration, in the largest unit that divides it.

    >>> written(timedelta(seconds=90))
    '90s'
    """
    for unit, seconds in reversed(_UNITS.items()):
        if duration and not duration % timedelta(seconds=seconds):
            return f"{duration // timedelta(seconds=seconds)}{unit}"
    return f"{duration / timedelta(milliseconds=1):.3f}ms" if duration else "0s"


def address(form: Form) -> AfterValidator:
    """A check that a URL is an address of *form*; it never quotes the value, which may hold a password."""

    def check(value: SecretStr | str) -> SecretStr | str:
        parse(value if isinstance(value, str) else value.get_secret_value(), form)
        return value

    return AfterValidator(check)


def _header(value: SecretStr | str) -> SecretStr | str:
    """Check that *value* can stand in a header of HTTP: a key that cannot makes every call fail."""
    text = value if isinstance(value, str) else value.get_secret_value()
    if re.fullmatch(r"[\x21-\x7e]*", text) is None:
        raise ValueError("must be ASCII letters, digits and punctuation only: no space, line break or other character")
    return value


def matches(pattern: str, sentence: str) -> AfterValidator:
    """A check that a text matches *pattern* as a whole: *sentence* says what is allowed better than a pattern does."""

    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(sentence)
        return value

    return AfterValidator(check)


def _host(value: str) -> str:
    """Check that *value* names one place to listen at: an empty one would mean every interface."""
    labels = value.split(".")
    if not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdecimal():
        try:
            ip_address(value)
        except ValueError:
            raise ValueError("must be an address or a name: 127.0.0.1, ::1, localhost") from None
    return value


def chosen_classes(classes: dict[str, ErrorClass]) -> dict[str, ErrorClass]:
    """Check that the operator gives classes to the provider's codes only, and such as a call's answer can have."""
    for code, error_class in classes.items():
        if code.startswith("local."):
            raise ValueError(f"{code} is this program's own code, whose class cannot be chosen")
        if error_class in _NOT_OF_ANSWERS:
            allowed = ", ".join(one.value for one in ErrorClass if one not in _NOT_OF_ANSWERS)
            raise ValueError(f"{code} cannot be {error_class.value}; it may be {allowed}")
    return classes


def period(value: Any) -> Any:
    """Read a calendar period or a length of time."""
    if isinstance(value, Period):
        return value
    if isinstance(value, str) and value in set(Period):
        return Period(value)
    length = _duration(value) if isinstance(value, timedelta) or _DURATION.fullmatch(str(value)) else timedelta(0)
    if length <= timedelta(0):
        raise ValueError("must be day, month, or a number above zero and a unit, one of ms, s, m, h, d: for example 1h")
    if length > _LONGEST_WINDOW:
        raise ValueError(f"must be at most {_LONGEST_WINDOW.days}d")
    return length


#: The first part of every name on a server.
Namespace = Annotated[
    str, matches(r"[a-z][a-z0-9-]{0,31}", "must be up to 32 of a-z, 0-9 and -, beginning with a letter")
]
#: A whole number; true and 1.0 are none.
Whole = Annotated[int, Field(strict=True)]
#: A part of an access key.
KeyText = Annotated[str, AfterValidator(_header)]
KeySecret = Annotated[SecretStr, AfterValidator(_header)]
#: Where to listen.
Host = Annotated[str, AfterValidator(_host)]
#: A part of a whole; true and text are none.
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
#: A length of time, written as a number and a unit.
Duration = Annotated[timedelta, BeforeValidator(_duration)]
PositiveDuration = Annotated[Duration, Field(gt=timedelta(0))]


class Section(BaseModel):
    """Base of every section: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)
