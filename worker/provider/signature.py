"""The provider's request signature ``ACS3-HMAC-SHA256`` (V3), which its own SDK uses by default.

Pure: the instant and the nonce are arguments. The algorithm is described under "Request syntax and signature method V3"
in Alibaba Cloud's OpenAPI documentation (https://www.alibabacloud.com/help/en/doc-detail/2593177.htm); the test vectors
were captured from the official SDK.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from worker.core.instant import to_the_second

#: Version of the SMS API.
API_VERSION: Final = "2018-05-01"
#: SHA-256 of an empty body: parameters of the send operations travel in the query, unless they are many.
EMPTY_BODY_HASH: Final = hashlib.sha256(b"").hexdigest()
#: What a body is, when there is one.
FORM: Final = "application/x-www-form-urlencoded"

_FIT: Final = re.compile(r"[\x21-\x7e]+")
#: What RFC 3986 leaves as it is, and the sign of what it does not.
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9\-._~%]*")
_RESERVED: Final = re.compile(rb"[^A-Za-z0-9\-._~%]+")
_ALGORITHM: Final = "ACS3-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """What a call is signed with; its secrets do not show in a repr."""

    id: str
    secret: str = field(repr=False)
    #: Of temporary credentials (STS).
    token: str | None = field(default=None, repr=False)

    @property
    def is_fit(self) -> bool:
        """Whether it can stand in a header: printable ASCII without spaces. With another one every call would fail."""
        return all(_FIT.fullmatch(part) for part in (self.id, self.secret, self.token) if part is not None)


class Signed(NamedTuple):
    """A call that is ready to be written: the query as it was signed, and all headers."""

    query: str
    headers: dict[str, str]


def signed(
    operation: str,
    parameters: Mapping[str, str],
    *,
    host: str,
    key: AccessKey,
    instant: datetime,
    nonce: str,
    method: str = "POST",
    form: bytes = b"",
) -> Signed:
    """Sign a call of *operation*; *nonce* must be new for every call, *instant* within 15 minutes of the provider's.

    *form* is the body, when there are parameters in it. Only the host, the body's type and the ``x-acs-*`` headers are
    signed, as in the provider's own example: the others may be changed on the way.
    """
    body_hash = hashlib.sha256(form).hexdigest() if form else EMPTY_BODY_HASH
    headers = {
        "host": host,
        "x-acs-action": operation,
        "x-acs-content-sha256": body_hash,
        "x-acs-date": to_the_second(instant),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": API_VERSION,
    }
    if form:
        headers["content-type"] = FORM
    if key.token:
        headers["x-acs-accesskey-id"] = key.id
        headers["x-acs-security-token"] = key.token
    query = canonical_query(parameters)
    headers["Authorization"] = authorization(method, query, headers, body_hash, key)
    return Signed(query, headers)


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Encode *parameters* as they are signed: sorted by name, RFC 3986, a space is ``%20``, a tilde is itself."""
    return "&".join([f"{_encoded_name(name)}={_encoded(parameters[name])}" for name in sorted(parameters)])


def canonical_request(method: str, query: str, headers: Mapping[str, str], body_hash: str) -> tuple[str, str]:
    """The text that is signed, and the names of its *headers* (given in lower case), joined by semicolons."""
    names = sorted(headers)
    lines = "".join([f"{name}:{headers[name].strip()}\n" for name in names])
    signed_names = ";".join(names)
    return f"{method}\n/\n{query}\n{lines}\n{signed_names}\n{body_hash}", signed_names


def authorization(method: str, query: str, headers: Mapping[str, str], body_hash: str, key: AccessKey) -> str:
    """The ``Authorization`` header of a call whose signed *headers*, names in lower case, are exactly these."""
    request, signed_names = canonical_request(method, query, headers, body_hash)
    digest = hashlib.sha256(request.encode()).hexdigest()
    signature = hmac.digest(key.secret.encode(), f"{_ALGORITHM}\n{digest}".encode(), "sha256").hex()
    return f"{_ALGORITHM} Credential={key.id},SignedHeaders={signed_names},Signature={signature}"


def _encoded(text: str) -> str:
    # Names, numbers, senders and ids are plain, texts mostly but for their spaces: to see that is much faster than to
    # quote them.
    if text.isalnum() and text.isascii():
        return text
    spaced = text.replace("%", "%25").replace(" ", "%20")
    return spaced if _UNRESERVED.fullmatch(spaced) else _quoted(spaced.encode())


def _quoted(text: bytes) -> str:
    """*text*, whose percent signs are encoded already. In runs: the standard library looks at each byte."""
    return _RESERVED.sub(_run, text.replace(b'","', b"%22%2C%22")).decode("ascii")


def _run(reserved: re.Match[bytes]) -> bytes:
    return b"%" + reserved[0].hex("%").upper().encode("ascii")


#: There are few of them.
_encoded_name: Final = lru_cache(64)(_encoded)
