"""The two steps in the middle of the way: a turn, and an attempt in it, until there is an outcome."""

from collections.abc import Callable

from worker.core.message.decode import Request
from worker.core.outcome.outcome import Outcome
from worker.delivery.attempt import Attempts, Use
from worker.delivery.dispatch import Dispatch
from worker.delivery.waiting import Slot, Waiting
from worker.errors import LimiterUnavailable


class Sender:
    """Gets each request its outcome."""

    def __init__(self, dispatch: Dispatch, attempts: Attempts) -> None:
        """Let requests wait at *dispatch*, and call by *attempts*."""
        self._dispatch = dispatch
        self._attempts = attempts

    async def send(self, request: Request, is_wanted: Callable[[], bool]) -> Outcome:
        """Attempt in one slot after the other, until there is an outcome, or no slot to be had."""
        waiting = await self._dispatch.join(request, is_wanted)
        while isinstance(turn := await waiting.turn, Slot):
            outcome = await self._attempt(waiting, turn)
            if outcome is not None:
                return outcome
        return turn

    async def _attempt(self, waiting: Waiting, slot: Slot) -> Outcome | None:
        """One attempt; None when *waiting* waits again. Whatever goes wrong, the slot is released."""
        use, still_waits = Use.VOID, False
        try:
            use, outcome = await self._attempts.make(waiting, slot)
            still_waits = outcome is None
        except LimiterUnavailable:
            still_waits, outcome = True, None
        finally:
            self._dispatch.release(slot, use, waiting if still_waits else None)
        return outcome
