"""Ids that a file gives twice: the second would be taken for the first, and its own text never sent."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import Final

import orjson

from worker.cli.requests.line import Line

#: Bits of a line's number and of a content's digest, which share one integer.
_DIGEST_BITS: Final = 64
_MASK: Final = (1 << _DIGEST_BITS) - 1


def told_repeats(lines: Iterator[Line]) -> Iterator[Line]:
    """The *lines*; one with the id of a line before it is a fault, or is warned of when it has the same content.

    Of each id that was given it keeps a digest: about 160 MB for a million of them.
    """
    known: dict[bytes, int] = {}
    for line in lines:
        request_id = line.body.get("id") if line.body and line.has_own_id else None
        if not isinstance(request_id, str):
            yield line
            continue
        content = blake2b(orjson.dumps(line.body, option=orjson.OPT_SORT_KEYS), digest_size=_DIGEST_BITS // 8)
        digest = int.from_bytes(content.digest(), "big")
        first = known.setdefault(blake2b(request_id.encode(), digest_size=16).digest(), line.number << 64 | digest)
        yield _told(line, first >> _DIGEST_BITS, is_same=first & _MASK == digest)


def _told(line: Line, first: int, *, is_same: bool) -> Line:
    if first == line.number:
        return line
    if is_same:
        return replace(line, warning=f"is the same request as line {first}; it is sent once")
    return replace(line, body=None, fault=f"has the id of line {first} with another content; give each request its own")
