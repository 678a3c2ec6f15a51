"""The configuration as it may be shown: no secret, no password in an address."""

import json
import re
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from pydantic import SecretStr

from worker.settings.types import Section, written

#: Stands for a secret.
MASK: Final = "***"
#: Greedy to the last @, because a password may hold one that was not escaped.
_USERINFO: Final = re.compile(r"://([^:@/]*)(:?)(.*)@")
_QUERY_SECRET: Final = re.compile(r"(?i)([?&][^=&]*(?:pass|secret|token|key)[^=&]*=)[^&]*")


def shown(settings: Section) -> dict[str, Any]:
    """The effective values of *settings* as they are written, with secrets masked."""
    return {name: shown_value(getattr(settings, name)) for name in type(settings).model_fields}


def shown_value(value: Any) -> Any:
    """*value* of a key as it is written, with secrets masked."""
    match value:
        case Section():
            return shown(value)
        case SecretStr():
            secret = value.get_secret_value()
            return without_password(secret) if "://" in secret else MASK
        case timedelta():
            return written(value)
        case tuple():
            return [shown_value(each) for each in value]
        case dict():
            return {str(key): shown_value(each) for key, each in value.items()}
        case _:
            return value.value if isinstance(value, StrEnum) else value


def without_password(url: str) -> str:
    """*url* with everything masked that may be a secret."""
    masked = _USERINFO.sub(lambda found: f"://{found[1] if found[2] else ''}{found[2]}{MASK}@", url)
    return _QUERY_SECRET.sub(rf"\1{MASK}", masked)


def inline(value: Any) -> str:
    """*value*, as `shown_value` gives it, as TOML in one line; empty for None.

    >>> inline([{"limit": 5, "period": "day", "lanes": ["otp"]}])
    '[{limit = 5, period = "day", lanes = ["otp"]}]'
    """
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list() | tuple():
            return f"[{', '.join(map(inline, value))}]"
        case dict():
            return "{" + ", ".join(f"{key} = {inline(each)}" for key, each in value.items()) + "}"
        case str():
            return json.dumps(value)
        case _:
            return str(value)
