"""The names of the keys. All keys of a namespace carry one hash tag, so a script finds them on one shard."""

from hashlib import blake2b
from typing import Final, NamedTuple

from worker.core.limits.holds import HoldName
from worker.core.limits.quota import Operation

#: Raised when the meaning of a key changes, so that workers of two versions never read each other's.
LAYOUT: Final = 1
_DIGEST_BYTES: Final = 10
_ENTRY_BYTES: Final = 16


class NumberKeys(NamedTuple):
    """Where something of one number is kept."""

    #: When something was sent to it.
    marks: bytes
    #: The same, as versions wrote it that counted by whole seconds.
    before: bytes
    #: Who waits for its windows, in order.
    places: bytes
    #: Until when the provider takes nothing more for it.
    closed: bytes


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
        #: How each worker stands, as it told lately.
        self.workers: Final = self._prefix + b"workers"
        #: How large a batch call may be.
        self.call_size: Final = self._prefix + b"call_size"
        #: Limits that an operator changed while workers run; who changed what; what shadows of limits counted.
        self.overrides: Final = self._prefix + b"overrides"
        self.changes: Final = self._prefix + b"changes"
        self.shadowed: Final = self._prefix + b"shadowed"

    def hold(self, name: HoldName) -> bytes:
        """What is known of the hold of *name*."""
        return self.holds + b":" + name.key.encode()

    def rate(self, operation: Operation) -> bytes:
        """State of the operation's quota."""
        return self._prefix + b"rate:" + operation.value.encode()

    def throttles(self, operation: Operation) -> bytes:
        """How often the provider refused a call of the operation because of its limit, in the last minute."""
        return self._prefix + b"throttles:" + operation.value.encode()

    def ring(self, operation: Operation) -> bytes:
        """Slots of the operation's latest calls."""
        return self._prefix + b"ring:" + operation.value.encode()

    def of(self, number: str) -> NumberKeys:
        """The keys of *number*. Its digest keeps it out of MONITOR, SLOWLOG and dumps, and is shorter.

        With 10 bytes, two of a billion numbers share their windows with a probability of one in a million.
        """
        prefix, digest = self._prefix, blake2b(number.encode(), digest_size=_DIGEST_BYTES).digest()
        return NumberKeys(
            prefix + b"m:" + digest, prefix + b"r:" + digest, prefix + b"p:" + digest, prefix + b"x:" + digest
        )

    def entry(self, request_id: str) -> bytes:
        """What the ledger knows of *request_id*, which may be long, and may hold a number.

        Two requests with one digest would be taken for one, and the second never be sent: hence all 16 bytes.
        """
        return self._prefix + b"l:" + blake2b(request_id.encode(), digest_size=_ENTRY_BYTES).digest()

    def cancelled(self, entry: bytes) -> bytes:
        """Whether the request is cancelled whose key in the ledger is *entry*: one digest does for both."""
        return self._prefix + b"c:" + entry[-_ENTRY_BYTES:]

    def campaign(self, name: str) -> bytes:
        """Whether the campaign *name* is cancelled; names are the publishers' own and may be long."""
        return self._prefix + b"g:" + blake2b(name.encode(), digest_size=_ENTRY_BYTES).digest()
