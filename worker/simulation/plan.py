"""A plan as its author writes it in TOML: who publishes what and when, how the provider answers, how many workers.

What a configuration says, and more than nothing of it matters here, stands under ``[settings]``, with the same names.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from worker.core.message.fault import problem
from worker.core.message.lane import Lane, SmsType
from worker.core.message.request import LONGEST_TEXT, SmsRequest, read
from worker.core.message.segments import Alphabet
from worker.errors import SettingsError
from worker.settings.load import toml
from worker.settings.types import Duration, PositiveDuration, Section, Share, Whole

#: More would take many minutes, and tell nothing that a tenth of it does not tell.
MOST_MESSAGES: Final = 20_000_000
#: A text of each alphabet: how many bytes it is in a batch call depends on its blanks.
_TEXTS: Final = {Alphabet.GSM7: "words " * LONGEST_TEXT, Alphabet.UCS2: "字" * LONGEST_TEXT}
#: To which every message of a plan goes, as far as its country and its length matter.
NUMBER: Final = "85251234567"


class RefusalSection(Section):
    """A code with which the provider refuses some messages, or calls."""

    code: Annotated[str, Field(min_length=1)]
    probability: Share


class ProviderSection(Section):
    """How the provider answers."""

    #: An answer comes after so long: each length between is as likely.
    fastest: Duration = timedelta(milliseconds=50)
    slowest: Duration = timedelta(milliseconds=50)
    #: Calls that it lets through in any second; 0: all that come.
    single_calls: Annotated[Whole, Field(ge=0, le=4000)] = 0
    batch_calls: Annotated[Whole, Field(ge=0, le=100)] = 0
    refusals: tuple[RefusalSection, ...] = ()

    @model_validator(mode="after")
    def _is_possible(self) -> "ProviderSection":
        if self.fastest > self.slowest:
            raise ValueError("fastest must not be longer than slowest")
        if sum(refusal.probability for refusal in self.refusals) > 1:
            raise ValueError("the probabilities of all refusals together must be at most 1")
        return self


class StreamSection(Section):
    """Messages of one type and one text, published at once or at a rate."""

    type: SmsType
    #: They take turns.
    senders: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)] = ("Sender",)
    count: Annotated[Whole, Field(ge=1, le=MOST_MESSAGES)] | None = None
    #: Per second; without it all are there at the start.
    rate: Annotated[float, Field(gt=0, le=100_000)] | None = None
    start: Duration = timedelta(0)
    duration: PositiveDuration | None = None
    #: Length of the text.
    characters: Annotated[Whole, Field(ge=1, le=LONGEST_TEXT)] = 80
    alphabet: Alphabet = Alphabet.GSM7
    #: From its publication to its deadline; without it, the lane's.
    lifetime: PositiveDuration | None = None

    @model_validator(mode="after")
    def _can_be_published(self) -> "StreamSection":
        if self.rate is None and (self.count is None or self.duration is not None):
            raise ValueError("give count alone (all at once), or rate with either count or duration")
        if self.rate is not None and (self.count is None) == (self.duration is None):
            raise ValueError("rate needs either count or duration: give one of them")
        if not 1 <= self.messages <= MOST_MESSAGES:
            raise ValueError(f"has {self.messages} messages; choose rate and duration for 1 to {MOST_MESSAGES}")
        for sender in self.senders:
            self.request(sender)
        return self

    @property
    def messages(self) -> int:
        """How many there are."""
        if self.count is not None:
            return self.count
        return round((self.rate or 0.0) * (self.duration or timedelta()).total_seconds())

    @property
    def lane(self) -> Lane:
        """On which they travel."""
        return Lane.of(self.type)

    def request(self, sender: str) -> SmsRequest:
        """One of *sender*; raises ValueError when the provider would not take it."""
        text = _TEXTS[self.alphabet][: self.characters]
        return read({"id": "plan", "to": f"+{NUMBER}", "type": self.type.value, "text": text, "from": sender})


class Plan(Section):
    """The whole plan, but for its settings."""

    #: Of the dice: the same plan has the same answer.
    seed: Whole = 1
    workers: Annotated[Whole, Field(ge=1, le=100)] = 1
    #: When it begins; daily limits reopen at midnight in Singapore.
    begins: AwareDatetime = datetime(2026, 1, 1, tzinfo=UTC)
    #: Redis is empty then: nothing is granted until calls that it may have forgotten have left the provider's second.
    cold: bool = False
    provider: ProviderSection = ProviderSection()
    streams: tuple[StreamSection, ...]

    @model_validator(mode="after")
    def _can_be_played(self) -> "Plan":
        if not self.streams:
            raise ValueError("streams is empty: give at least one [[streams]]")
        total = sum(stream.messages for stream in self.streams)
        if total > MOST_MESSAGES:
            raise ValueError(f"the streams have {total} messages together; at most {MOST_MESSAGES} are simulated")
        return self


def plan_of(source: str, text: str) -> tuple[Plan, Mapping[str, Any]]:
    """Read *text*, which comes from *source*: the plan, and the settings in it, which nobody has checked yet.

    Raises:
        SettingsError: it has faults; all of them are listed.
    """
    try:
        table = toml(text)
    except ValueError as error:
        raise SettingsError(f"{source}: is not TOML: {error}") from None
    settings = table.pop("settings", {})
    faults = [] if isinstance(settings, dict) else ["settings: is a section: write [settings.quota] and keys below"]
    try:
        plan = Plan.model_validate(table)
    except ValidationError as error:
        faults += map(_sentence, error.errors(include_url=False, include_input=False))
    else:
        if not faults:
            return plan, settings
    raise SettingsError("\n  ".join((f"{source} is no plan:", *faults)))


def _sentence(fault: ErrorDetails) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).removeprefix(".")
    if fault["type"] == "extra_forbidden":
        return f"{place}: is no key of a plan; what a configuration has stands under [settings]"
    if fault["type"] == "missing":
        return f"{place}: is missing; give it"
    return f"{place or 'the plan'}: {problem(fault)}"
