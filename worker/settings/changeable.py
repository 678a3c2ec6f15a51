"""The keys that an operator may change while workers run, and the configuration with such changes applied."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from worker.errors import SettingsError
from worker.settings.faults import Given, sentence_of
from worker.settings.keys import DEFAULTS, nested, values_of
from worker.settings.sections import Settings
from worker.settings.shown import shown_value

#: Every changeable key, and whether it can be a shadow: one that refuses, and so can count what it would refuse.
#: Whatever is named here must be taken over by `App.change` in a running worker.
CHANGEABLE: Final[Mapping[str, bool]] = {
    "quota.send_message_to_globe": False,
    "quota.send_message_with_template": False,
    "quota.batch_send_message_to_globe": False,
    "quota.guard": False,
    "batch.size": False,
    "lanes.otp.floor": False,
    "lanes.notify.floor": False,
    "lanes.marketing.floor": False,
    "limits.recipient": True,
    "limits.caps": True,
}


def overridden(settings: Settings, values: Mapping[str, Any], source: str) -> Settings:
    """*settings* with *values* in the place of theirs, checked as every configuration is.

    Raises:
        SettingsError: the text lists all faults; those of *values* name *source*.
    """
    if not values:
        return settings
    faults = [f"{source}: {refusal}" for refusal in map(_refusal, values) if refusal]
    if not faults:
        try:
            return Settings.model_validate(nested({**values_of(settings), **values}))
        except ValidationError as error:
            given = {key: Given(source, value) for key, value in values.items()}
            faults = [sentence_of(fault, given) for fault in error.errors(include_url=False)]
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise SettingsError("\n  ".join((f"the limits have {count}:", *faults)))


def changeable_values(settings: Settings) -> dict[str, Any]:
    """What *settings* say for each changeable key, as it is written in the configuration."""
    values = values_of(settings)
    return {key: shown_value(values[key]) for key in CHANGEABLE}


def _refusal(key: str) -> str:
    """Why *key* cannot be changed; empty when it can."""
    if key in CHANGEABLE:
        return ""
    if key in DEFAULTS:
        return f"{key} cannot be changed while workers run; what can be: {', '.join(CHANGEABLE)}"
    close = get_close_matches(key, CHANGEABLE, n=1)
    return f"{key} is no key; " + (f"did you mean {close[0]}?" if close else f"there are {', '.join(CHANGEABLE)}")
