"""What became of calls and could not be told to Redis, until it is told.

Each debt names its claim, whose token nobody else has: told late, told twice or in another order, it changes nothing
that it should not (core/limits/ledger.py).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from worker.core.outcome.outcome import Acceptance
from worker.limiter.ledger import Claim

#: More are never owed: while Redis is away nothing is granted, and a worker has not so many calls in flight.
MOST: Final = 10_000
#: The acceptance, the code of an unknown call, or None: certainly not accepted.
News: TypeAlias = Acceptance | str | None


class Debts:
    """The oldest first."""

    def __init__(self, tell: Callable[[Claim, News], Awaitable[object]]) -> None:
        """*tell* writes into the ledger; it raises when that did not succeed."""
        self._tell = tell
        self._owed: deque[tuple[Claim, News]] = deque(maxlen=MOST)
        self._lock = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._owed)

    def owe(self, claim: Claim, news: News) -> None:
        """Redis did not take the *news* of *claim*."""
        self._owed.append((claim, news))

    async def pay(self) -> None:
        """Tell all that is owed; raises what telling raises, and the rest stays owed."""
        async with self._lock:  # two who pay at once would take each other's debt for paid
            while self._owed:
                await self._tell(*self._owed[0])
                self._owed.popleft()
