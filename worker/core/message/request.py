"""One SMS to one number, as published: the JSON body of ``sms.request.v1``.

The model is the contract: the JSON Schema in ``config/`` is generated from it. Unknown fields are refused, because a
typo must not change meaning silently.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Self

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from worker.core.message import number
from worker.core.message.fault import sentence, visible
from worker.core.message.lane import Lane, SmsType
from worker.core.message.visible import shows_nothing

#: A request id: printable, short, and at home in a Redis key and a file name.
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
#: AMQP ``type`` of a request; the version at its end changes when an old worker could misread a new request.
MESSAGE_TYPE: Final = "sms.request.v1"

#: Of a template's parameters, all values together: the message that they become part of is no longer.
LONGEST_TEXT: Final = 1500

_CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SENDER: Final = re.compile(r"[0-9]{1,15}|(?=[0-9]*[A-Za-z])[A-Za-z0-9]{1,11}")
_MAINLAND: Final = re.compile(r"86\d{11}")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _without_controls(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("has a control character; only line feed and carriage return are allowed")
    return text


def _seen(text: str) -> str:
    if not shows_nothing(text):
        return text
    if not text.strip():
        raise ValueError("is blank")
    raise ValueError("has nothing that can be seen, only blanks, fillers, or marks of joining and direction")


def _number(text: str) -> str:
    if fault := number.fault_of(text):
        raise ValueError(fault)
    return text


def _request_id(text: str) -> str:
    if not REQUEST_ID.fullmatch(text):
        raise ValueError("must be 1 to 128 letters, digits, dots, underscores, colons or hyphens, without blanks")
    return text


def _template_code(text: str) -> str:
    if not _CODE.fullmatch(text):
        raise ValueError("must be 1 to 64 letters, digits, underscores or hyphens, without blanks")
    return text


def _short_together(params: dict[str, str]) -> dict[str, str]:
    if sum(map(len, params.values())) > LONGEST_TEXT:
        raise ValueError(f"have more than {LONGEST_TEXT} characters together, the most that a message has")
    return params


def instant_of(text: str) -> datetime:
    """Read RFC 3339 and nothing else: the validation library takes ``"1700000000"`` too, as seconds or milliseconds.

    Raises:
        ValueError: *text* is none.
    """
    try:
        if _INSTANT.fullmatch(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:  # a thirteenth month; its own sentence may quote the value
        pass
    raise ValueError("must be an RFC 3339 instant with a zone, for example 2026-12-31T23:59:59Z")


def _instant(value: object) -> object:
    return instant_of(value) if isinstance(value, str) else value


def _pattern(pattern: str) -> Any:
    """Show *pattern* in the schema; a validator checks it, because nobody can read a pattern in a fault."""
    return Field(json_schema_extra={"pattern": pattern})


Number = Annotated[str, AfterValidator(_number), _pattern(number.PATTERN)]
Uncontrolled = AfterValidator(_without_controls)
Seen = AfterValidator(_seen)
Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]


class Part(BaseModel):
    """Base of every part of a request: frozen, exact types, no unknown fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


class Template(Part):
    """An approved template and its variables (SendMessageWithTemplate: mainland China only)."""

    code: Annotated[str, AfterValidator(_template_code), _pattern(f"^{_CODE.pattern}$")]
    #: Up to 64 variables; their values have at most 1,500 characters together.
    params: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=64), Uncontrolled],
            Annotated[str, Field(max_length=LONGEST_TEXT), Uncontrolled],
        ],
        Field(max_length=64),
        AfterValidator(_short_together),
    ] = Field(default_factory=dict)


class SmsRequest(Part):
    """A request as its publisher wrote it."""

    #: The publisher's own name of the request. Workers remember it: what is published twice is sent once.
    id: Annotated[str, AfterValidator(_request_id), _pattern(f"^{REQUEST_ID.pattern}$")]
    to: Number
    #: Must match the lane on which the request was published.
    type: SmsType
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT), Uncontrolled, Seen] | None = None
    template: Template | None = None
    #: Sender: letters and digits up to 11 with a letter, digits alone up to 15; with a template, its signature.
    sender: Annotated[
        Annotated[str, Field(min_length=1, max_length=64), Uncontrolled, Seen] | None, Field(alias="from")
    ] = None
    #: Comes back in the provider's receipt; the request id when not given.
    task_id: Annotated[str, Field(min_length=1, max_length=255), Uncontrolled, Seen] | None = None
    #: Not sent before this instant.
    not_before: Instant | None = None
    #: Not sent after this instant; when not given, the lane's default counted from publication.
    deadline: Instant | None = None
    #: Returned in the outcome. What it says under `campaign` can be cancelled together.
    metadata: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=256)]],
        Field(max_length=16),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        faults = [*self._content_faults(), *self._sender_faults()]
        if self.not_before and self.deadline and self.not_before >= self.deadline:
            faults.append("not_before: is not before the deadline, so the request could never be sent")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _content_faults(self) -> list[str]:
        if (self.text is None) == (self.template is None):
            return ["text, template: give exactly one of them"]
        if self.is_mainland and self.template is None:
            return ["to: a mainland China number (86) needs a template, the provider refuses a free text to it"]
        if self.template is not None and not self.is_mainland:
            return ["template: reaches mainland China numbers (86) only; give text instead"]
        return []

    def _sender_faults(self) -> list[str]:
        if self.template is not None:
            return [] if self.sender else ["from: required with a template (its approved signature)"]
        if self.sender is None or _SENDER.fullmatch(self.sender):
            return []
        return ["from: must be up to 11 letters and digits, or up to 15 digits"]

    @property
    def number(self) -> str:
        """The recipient as the provider wants it: digits only."""
        return self.to.removeprefix("+")

    @property
    def is_mainland(self) -> bool:
        """Whether the recipient is a mainland China number."""
        return _MAINLAND.fullmatch(self.number) is not None

    @property
    def campaign(self) -> str:
        """What all requests have in common that an operator cancels together; empty when it names none."""
        return self.metadata.get("campaign", "")

    @property
    def lane(self) -> Lane:
        """The lane that the type belongs to."""
        return Lane.of(self.type)


def read(fields: Mapping[str, Any]) -> SmsRequest:
    """Read *fields* as the JSON that they will be, so that what passes here passes in the worker.

    Raises:
        ValueError: they are no request; the text has every fault, with its field and without its value.
    """
    if faults := no_json(fields):
        raise ValueError("; ".join(faults))
    try:
        return SmsRequest.model_validate_json(orjson.dumps(dict(fields)))
    except ValidationError as error:
        faults = [sentence(fault) for fault in error.errors(include_url=False, include_input=False)]
        raise ValueError("; ".join(faults)) from None


def no_json(fields: Mapping[str, Any]) -> list[str]:
    """What of *fields* JSON cannot say, each with its field: an integer beyond 64 bits, or half a surrogate pair."""
    return [f"{visible(name)}: {fault}" for name, value in fields.items() if (fault := _no_json(name, value))]


def _no_json(name: str, value: object) -> str:
    if type(name) is str and type(value) is str and value.isascii():
        return ""
    if isinstance(value, float):  # one without end or meaning would become null, which is as good as not given
        return "must not be a number with a fraction"
    try:
        orjson.dumps({name: value})
    except TypeError as error:  # its text tells a type, and no value
        return f"cannot be written as JSON: {error}"
    return ""


def masked(number: str) -> str:
    """Return *number* as it may be shown: the country code's digits and the last two.

    >>> masked("+85251234567")
    '852******67'
    """
    digits = number.removeprefix("+")
    return digits[:3] + "*" * max(len(digits) - 5, 0) + digits[-2:]
