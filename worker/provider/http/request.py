"""The bytes of a call. Pure."""

from collections.abc import Mapping


def head(headers: Mapping[str, str]) -> str:
    """*headers* as they stand in a call.

    Raises:
        ValueError: a character that no header may hold. The sentence quotes nothing.
    """
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if not "".join(lines).isprintable():
        raise ValueError("a header of the call has a character that no header may hold")
    return "\r\n".join([*lines, ""])


def post(query: str, headers: Mapping[str, str], always: str = "", body: bytes = b"") -> bytes:
    """A POST of *query*, already encoded, and of *body* to the root; *headers* as they are, with a ``Host``.

    *always* is the `head` of those that no call changes.

    Raises:
        ValueError: a character that no header or query may hold. The sentence quotes nothing.
    """
    if not (query.isascii() and query.isprintable() and " " not in query):
        raise ValueError("the query of the call has a character that no query may hold")
    # Some servers wait for a body of a POST that does not say that it has none.
    target = f"/?{query}" if query else "/"
    lines = f"POST {target} HTTP/1.1\r\n{head(headers)}{always}Content-Length: {len(body)}\r\n\r\n"
    return lines.encode() + body
