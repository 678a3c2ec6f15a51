"""An exception as it may be told: its type, its causes and where it was raised, never its text.

The text of an exception quotes what it stumbled over, which may be a message to a person. Only exceptions whose text
cannot be that keep it: the operating system's, and this program's own sentences for the operator.
"""

from collections.abc import Iterator
from traceback import walk_tb
from typing import Final

from worker.errors import WorkerError
from worker.telemetry.scrubbing import scrub_text

#: A chain of causes is followed this far.
_MOST_CAUSES: Final = 8
#: Frames of each exception that are shown, the innermost.
_MOST_FRAMES: Final = 12
_LONGEST_TEXT: Final = 200


def told(error: BaseException) -> str:
    """The type of *error*, with its text where that is harmless.

    >>> told(ValueError("cannot encode 'Your code is 1234'"))
    'ValueError'
    >>> told(ConnectionRefusedError(111, "Connection refused"))
    'ConnectionRefusedError: [Errno 111] Connection refused'
    """
    kind = type(error).__qualname__
    if not isinstance(error, (OSError, WorkerError)) or not str(error):
        return kind
    return scrub_text(f"{kind}: {error}"[:_LONGEST_TEXT])


def trace(error: BaseException) -> list[str]:
    """*error* and its causes, the outermost first, each followed by its frames, the innermost last."""
    return [line for each in _chain(error) for line in (told(each), *_frames(each))]


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _frames(error: BaseException) -> list[str]:
    frames = [
        f"  {frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_name}"
        for frame, line in walk_tb(error.__traceback__)
    ]
    return frames[-_MOST_FRAMES:]
