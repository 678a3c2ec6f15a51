"""The names of the keys. All keys of a namespace carry one hash tag, so a script finds them on one shard."""

from hashlib import blake2b
from typing import Final

from worker.core.limits.holds import HoldName
from worker.core.limits.quota import Operation

#: Raised when the meaning of a key changes, so that workers of two versions never read each other's.
LAYOUT: Final = 1
_DIGEST_BYTES: Final = 10
_ENTRY_BYTES: Final = 16


class Keys:
    """The keys of one namespace."""

    def __init__(self, namespace: str) -> None:
        self._prefix = f"{{{namespace}}}:{LAYOUT}:".encode()
        #: All of them, of every layout, as Redis' SCAN is asked for them.
        self.pattern: Final = f"{{{namespace}}}:*".encode()
        self.epoch: Final = self._prefix + b"epoch"
        #: The names of all holds; followed by a colon and a name, it is the key of that hold.
        self.holds: Final = self._prefix + b"hold"
        self.caps: Final = self._prefix + b"caps"
        self.alive: Final = self._prefix + b"alive"

    def hold(self, name: HoldName) -> bytes:
        """What is known of the hold of *name*."""
        return self.holds + b":" + name.key.encode()

    def rate(self, operation: Operation) -> bytes:
        """State of the operation's quota."""
        return self._prefix + b"rate:" + operation.value.encode()

    def ring(self, operation: Operation) -> bytes:
        """Slots of the operation's latest calls."""
        return self._prefix + b"ring:" + operation.value.encode()

    def recipient(self, number: str) -> bytes:
        """What was sent to *number*. Its digest keeps the number out of MONITOR, SLOWLOG and dumps, and is shorter.

        With 10 bytes, two of a billion numbers share their windows with a probability of one in a million.
        """
        return self._prefix + b"m:" + _digest(number)

    def recipient_before(self, number: str) -> bytes:
        """What was sent to *number*, as versions wrote it that counted by whole seconds."""
        return self._prefix + b"r:" + _digest(number)

    def places(self, number: str) -> bytes:
        """Who waits for the windows of *number*, in order."""
        return self._prefix + b"p:" + _digest(number)

    def closed(self, number: str) -> bytes:
        """Until when the provider takes nothing more for *number*."""
        return self._prefix + b"x:" + _digest(number)

    def entry(self, request_id: str) -> bytes:
        """What the ledger knows of *request_id*, which may be long, and may hold a number.

        Two requests with one digest would be taken for one, and the second never be sent: hence all 16 bytes.
        """
        return self._prefix + b"l:" + blake2b(request_id.encode(), digest_size=_ENTRY_BYTES).digest()


def _digest(number: str) -> bytes:
    return blake2b(number.encode(), digest_size=_DIGEST_BYTES).digest()
