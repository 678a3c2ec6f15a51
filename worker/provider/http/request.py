"""The bytes of a call. Pure."""

from collections.abc import Mapping


def post(query: str, headers: Mapping[str, str]) -> bytes:
    """A POST of *query*, already encoded, to the root, without a body; *headers* as they are, with a ``Host``.

    Raises:
        ValueError: a character that no header or query may hold. The sentence quotes nothing.
    """
    if not (query.isascii() and query.isprintable() and " " not in query):
        raise ValueError("the query of the call has a character that no query may hold")
    lines = [f"POST /?{query} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
    if not "".join(lines).isprintable():
        raise ValueError("a header of the call has a character that no header may hold")
    # Some servers wait for a body of a POST that does not say that it has none.
    lines.append("Content-Length: 0\r\n\r\n")
    return "\r\n".join(lines).encode()
