"""Wait for a condition of a server, where there is no event to wait for."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, overload

#: Seconds between two looks.
_PAUSE: Final = 0.02

T = TypeVar("T")


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]],
    timeout: float = ...,  # noqa: ASYNC109 - see below
    because: str = ...,
) -> T: ...
@overload
async def eventually(
    condition: Callable[[], T],
    timeout: float = ...,  # noqa: ASYNC109 - see below
    because: str = ...,
) -> T: ...
async def eventually(
    condition: Callable[[], Any],
    timeout: float = 10,  # noqa: ASYNC109 - the text of its failure is the point
    because: str = "the condition",
) -> Any:
    """Look at *condition*, a function or a coroutine function, until it is true, and return what it was.

    What it raises is raised: a condition that may fail for a while says so by returning something false.

    Raises:
        AssertionError: It did not become true for *timeout* seconds; the text has *because* and what it was last.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        answer = condition()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{because} did not come true within {timeout:g} s; it was {value!r}")
        await asyncio.sleep(_PAUSE)
