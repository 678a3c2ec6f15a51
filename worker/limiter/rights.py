"""What the user of a worker must be allowed on a Redis with ACLs, read off the scripts: it cannot be outdated."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from worker.limiter import scripts
from worker.limiter.keys import Keys
from worker.limiter.scripts import Script
from worker.settings.sections import RedisSettings

#: What this program sends itself. AUTH needs no right; SELECT is for a database other than 0.
SENT: Final = (
    "evalsha",
    "eval",
    "script|load",
    "ping",
    "select",
    "set",
    "get",
    "hget",
    "hgetall",
    "lrange",
    "time",
    "multi",
    "exec",
    "info",
)
#: Who is named when the address names nobody.
_USER: Final = "sms-worker"

_COMMENT: Final = re.compile(r"--.*")
_CALL: Final = re.compile(r"redis\.p?call\('([A-Z]+)'")
#: Redis' words for a command in a script that the user may not run; the number is the line in the script.
_REFUSED_LINE: Final = re.compile(r"@user_script:(\d+)")


def commands_of(text: str) -> list[str]:
    """The commands that the Lua *text* calls, in lower case, each once.

    >>> commands_of("redis.call('SET', KEYS[1], 1) -- not redis.call('DEL')")
    ['set']
    """
    return sorted({name.lower() for name in _CALL.findall(_COMMENT.sub("", text))})


def refused_command(script: Script, refusal: str) -> str | None:
    """The command of *script* that Redis speaks of in *refusal*, which tells its line only."""
    found = _REFUSED_LINE.search(refusal)
    lines = script.text.splitlines()
    number = int(found[1]) if found else 0
    commands = commands_of(lines[number - 1]) if 0 < number <= len(lines) else []
    return commands[0] if len(commands) == 1 else None


def rights(redis: RedisSettings, every: Sequence[Script] = scripts.EVERY) -> str:
    """The rules of an ACL: the keys of the namespace, and each command that is used."""
    called = {command for script in every for command in commands_of(script.text)}
    allowed = " ".join(f"+{command}" for command in sorted(called.union(SENT)))
    return f"resetkeys ~{Keys(redis.namespace).pattern.decode()} resetchannels -@all {allowed}"


def acl_command(redis: RedisSettings) -> str:
    """The command that gives the user of *redis* its rights and no more; it has and changes no password."""
    user = unquote(urlsplit(redis.url.get_secret_value()).username or "") or _USER
    return f"ACL SETUSER {user} on {rights(redis)}"
