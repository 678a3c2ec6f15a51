"""Lines of a text in the encoding that it says, each with its number; one that cannot be decoded is a fault."""

import codecs
import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from worker.cli.requests.encoding import UNDECODED, Survey, encoding_of
from worker.cli.requests.source import Source

#: Characters of a line; a request of every field at its longest is half as long.
LONGEST: Final = 131_072

_BOM: Final = "\ufeff"
_ENDS: Final = ("\n", "\r")
_MARKED: Final = "sms-worker.marked"


@dataclass(frozen=True, slots=True)
class Text:
    """A line, with its end; of one at fault the text is nothing."""

    number: int
    text: str
    fault: str = ""


class Texts:
    """Lines one after the other, of which some may be given back."""

    def __init__(self, texts: Iterator[Text]) -> None:
        """Nothing is read yet."""
        self._texts = texts
        self._back: deque[Text] = deque()

    def __iter__(self) -> Iterator[Text]:
        return self

    def __next__(self) -> Text:
        return self._back.popleft() if self._back else next(self._texts)

    def put_back(self, texts: Iterable[Text]) -> None:
        """Let *texts*, which were the last to be taken, be taken again."""
        self._back.extendleft(reversed(list(texts)))


def texts_of(source: Source, shown: str, newline: str) -> Iterator[Text]:
    """The lines of *source*, which is *shown* so; *newline* as `open` has it.

    Raises:
        UsageError: it is in an encoding that is not taken.
    """
    codec = encoding_of(shown, source.head)
    if codec == "utf-8":
        survey = Survey(shown)
        for text in _pieces(source.surveyed(), codec, newline):
            survey.look(text)
        survey.conclude()
    return _numbered(_pieces(source.rewound(), codec, newline), "UTF-16" if "16" in codec else "UTF-8")


def _numbered(pieces: Iterator[str], encoding: str) -> Iterator[Text]:
    for number, piece in enumerate(pieces, start=1):
        text = piece.removeprefix(_BOM)  # of a file that another was appended to
        if len(piece) == LONGEST and not piece.endswith(_ENDS):
            while not next(pieces, _ENDS[0]).endswith(_ENDS):
                pass
            yield Text(number, "", f"is longer than {LONGEST} characters")
        elif UNDECODED.search(text):
            yield Text(number, "", f"is not {encoding}, so that nobody knows what was written; save the file as UTF-8")
        else:
            yield Text(number, text)


def _pieces(stream: io.BufferedReader, codec: str, newline: str) -> Iterator[str]:
    """Lines, and parts of those that are too long; what cannot be decoded is half a surrogate pair."""
    errors = _MARKED if "16" in codec else "surrogateescape"
    text = io.TextIOWrapper(stream, codec, errors, newline)
    while piece := text.readline(LONGEST):
        yield piece
    text.detach()


def _marked(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        return "\udcff", error.end
    raise error


codecs.register_error(_MARKED, _marked)
