"""Verifies an ``ACS3-HMAC-SHA256`` authorization against what came over the wire.

Deliberately shares nothing with the client's signing: two readings of the provider's description must agree. What is
signed is computed anew from the decoded query, the headers as received and the hash of the body as received. Where
the description is silent about the order of the checks, a wrong key is told before a wrong signature, and a used nonce
last, so that nobody without the secret can use up a nonce.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote

from worker.sandbox.arrival import Arrival

#: A request is good for this many seconds around its ``x-acs-date``.
TOLERANCE_S: Final = 15 * 60
#: Without these under the signature a request could be replayed against another operation, host or instant.
MUST_BE_SIGNED: Final = frozenset(
    {"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"}
)
_ALGORITHM: Final = "ACS3-HMAC-SHA256"
_AUTHORIZATION: Final = re.compile(
    rf"{_ALGORITHM} Credential=(?P<key>[^,\s]+),SignedHeaders=(?P<names>[^,\s]+)"
    r",Signature=(?P<signature>[0-9a-f]{64})"
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NO_BODY: Final = hashlib.sha256(b"").hexdigest()


class Verifier:
    """Knows one access key and the nonces of the last quarter of an hour."""

    def __init__(self, access_key_id: str, access_key_secret: str) -> None:
        self._id = access_key_id
        self._secret = access_key_secret.encode()
        self._nonces = Nonces()

    def refusal(self, arrival: Arrival, now: float) -> str | None:
        """The gateway's code for what is wrong with the authorization of *arrival*; None when it is good.

        *now* is in Unix seconds.
        """
        parts = _AUTHORIZATION.fullmatch(arrival.headers.get("authorization", ""))
        if parts is None or not MUST_BE_SIGNED.issubset(parts["names"].split(";")):
            return _malformed(arrival.headers)
        nonce, stamp = arrival.headers.get("x-acs-signature-nonce"), _instant(arrival.headers.get("x-acs-date", ""))
        if nonce is None:
            return "MissingSignatureNonce"
        if stamp is None or abs(now - stamp) > TOLERANCE_S:
            return "InvalidTimeStamp.Format" if stamp is None else "InvalidTimeStamp.Expired"
        if parts["key"] != self._id:
            return "InvalidAccessKeyId.NotFound"
        if not hmac.compare_digest(parts["signature"], self._signature(arrival, parts["names"])):
            return "SignatureDoesNotMatch"
        return None if self._nonces.take(nonce, stamp, now) else "SignatureNonceUsed"

    def forget(self) -> None:
        """Forget every nonce."""
        self._nonces = Nonces()

    def _signature(self, arrival: Arrival, names: str) -> str:
        text = canonical_request(arrival, names).encode("utf-8", "surrogateescape")  # headers may hold any bytes
        digest = hashlib.sha256(text).hexdigest()
        return hmac.digest(self._secret, f"{_ALGORITHM}\n{digest}".encode(), "sha256").hex()


def canonical_request(arrival: Arrival, names: str) -> str:
    """The text whose hash is signed; *names* are the signed headers, joined by semicolons."""
    encoded = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in arrival.query)
    query = "&".join(f"{name}={value}" for name, value in encoded)
    headers = "".join(f"{name}:{arrival.headers.get(name, '').strip()}\n" for name in sorted(names.split(";")))
    payload = hashlib.sha256(arrival.body).hexdigest() if arrival.body else _NO_BODY
    return f"{arrival.method}\n{arrival.path}\n{query}\n{headers}\n{names}\n{payload}"


class Nonces:
    """The nonces of every request that would still be good, by the minute of its date."""

    def __init__(self) -> None:
        self._by_minute: dict[int, set[str]] = {}

    def take(self, nonce: str, stamp: float, now: float) -> bool:
        """Remember *nonce* of a request dated *stamp*; False when it was taken before. All in Unix seconds."""
        if any(nonce in taken for taken in self._by_minute.values()):
            return False
        minute = int(stamp // 60)
        if minute not in self._by_minute:
            oldest = (now - TOLERANCE_S) // 60
            self._by_minute = {kept: taken for kept, taken in self._by_minute.items() if kept >= oldest}
        self._by_minute.setdefault(minute, set()).add(nonce)
        return True


def _malformed(headers: Mapping[str, str]) -> str:
    """The code for an authorization that cannot be checked; a header that is not there at all is missed by name."""
    scheme = headers.get("authorization", "").partition(" ")[0]
    if scheme not in {"", _ALGORITHM}:
        return "InvalidSignatureMethod"
    if "x-acs-date" not in headers:
        return "MissingTimestamp"
    return "IncompleteSignature" if "x-acs-signature-nonce" in headers else "MissingSignatureNonce"


def _instant(date: str) -> float | None:
    if not _DATE.fullmatch(date):
        return None
    try:
        return datetime.fromisoformat(date).timestamp()
    except ValueError:
        return None
