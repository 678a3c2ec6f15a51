"""One call as it came over the wire, decoded but not judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self
from urllib.parse import parse_qsl

_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Arrival:
    """A request to the API; *headers* are looked up by lower-case names."""

    method: str
    path: str
    #: Decoded, in the order of the wire.
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes = b""

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Self:
        """Decode *target*, the request line's path and query."""
        readable = target.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # it may hold any bytes
        path, _, query = readable.partition("?")
        return cls(method, path, tuple(parse_qsl(query, keep_blank_values=True)), headers, body)

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """Query and form; the form wins."""
        found = dict(self.query)
        if self.body and self.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
            found |= parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return found

    @property
    def action(self) -> str:
        """The operation that is called."""
        return self.headers.get("x-acs-action") or self.parameters.get("Action", "")

    @property
    def version(self) -> str:
        """The version of the API that is meant."""
        return self.headers.get("x-acs-version") or self.parameters.get("Version", "")
