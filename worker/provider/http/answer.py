"""From the bytes of a connection to answers, however they are cut. No I/O; a peer of any kind makes no exception.

httptools finds the parts of a message; here is what of it an answer of an API may be. What is not taken for an answer:
another protocol, a body in an encoding that was not asked for, one that says its length twice, and more than is read.
"""

from typing import Final, NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

#: Most bytes of an answer that are not its body, and most lines of headers: the provider needs 600, and 15.
MOST_HEAD: Final = 16_384
MOST_HEADERS: Final = 128

_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200
_WITHOUT_BODY: Final = (204, 304)
#: Headers that say what the body is.
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"content-encoding"})


class Answer(NamedTuple):
    """What came back, and of the headers those that were asked for, with names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class AnswerReader:
    """Reads the answers of one connection, one for each `expect`."""

    def __init__(self, kept: frozenset[bytes], most_body: int) -> None:
        """Keep the headers of the names *kept* (lower case), and a body up to the piece that exceeds *most_body*."""
        self._heard = kept | _FRAMING
        self._most_body = most_body
        self._parser = HttpResponseParser(self)
        # What aiohttp's client allows: sloppy servers and proxies are understood, as by every browser.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        #: Of the message that is being read; there may be signs of life before the answer.
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._is_sized = self._is_chunked = self._lasts_to_the_end = False
        #: Of everything since `expect`.
        self._head = self._lines = self._size = 0
        #: The whole answer, when it is there.
        self.answer: Answer | None = None
        #: Whether what came is no answer, and never will be.
        self.is_broken = False
        #: Whether the same connection may bring another answer after this one.
        self.is_kept = False

    def expect(self) -> None:
        """Begin with the next answer."""
        self.answer = None
        self.is_broken = self.is_kept = False
        self._head = self._lines = self._size = 0
        self._begin()

    def feed(self, piece: memoryview | bytes) -> None:
        """Read on."""
        if self.answer is not None or self.is_broken:
            self.is_kept = False  # nobody asked for it, so nobody knows what it is
            return
        self._head += len(piece)
        try:
            self._parser.feed_data(piece)
        except (HttpParserError, HttpParserUpgrade):
            self.is_kept = False
            self.is_broken = not self._is_done()
        else:
            if self._head > MOST_HEAD and not self._is_done():
                self.is_kept, self.is_broken = False, True

    def end(self) -> None:
        """The peer says no more: the end of an answer that has no other, otherwise it is broken."""
        self.is_kept = False
        if self.answer is None:
            self.is_broken = self.is_broken or not self._lasts_to_the_end
            if not self.is_broken:
                self._finish()

    # -- called by the parser; an exception ends it --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Also after the end of the answer, when more comes."""
        if self.answer is not None:
            raise _NotAnAnswer

    def on_header(self, name: bytes, value: bytes) -> None:
        """Also for each trailer."""
        self._lines += 1
        if self._lines > MOST_HEADERS:
            raise _NotAnAnswer
        name = name.lower()
        if self._status or name not in self._heard:
            return
        value = value.strip()
        if name == b"content-length":
            self._is_sized = True
        elif name == b"transfer-encoding":
            # Another one was not asked for, and without chunks its end is a matter of opinion.
            if self._is_chunked or value.lower() != b"chunked":
                raise _NotAnAnswer
            self._is_chunked = True
        elif name == b"content-encoding":
            if value.lower() not in {b"", b"identity"}:
                raise _NotAnAnswer
        else:
            self._headers.setdefault(name.decode("ascii"), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """The status is known, and how the answer ends."""
        self._status = status = self._parser.get_status_code()
        if status == _SWITCHING or status < 100:  # noqa: PLR2004 - the least status
            raise _NotAnAnswer
        self.is_kept = self._parser.should_keep_alive()
        self._lasts_to_the_end = not (
            self._is_sized or self._is_chunked or status < _FIRST_FINAL or status in _WITHOUT_BODY
        )

    def on_body(self, part: bytes) -> None:
        """A part of the body, as long as it came."""
        self._head -= len(part)
        self._size += len(part)
        self._body.append(part)
        if self._size > self._most_body:
            self._finish()
            raise _NotAnAnswer

    def on_message_complete(self) -> None:
        """The end; not of the answer, when it was a sign of life before it."""
        if self._status < _FIRST_FINAL:
            self._begin()
        else:
            self._finish()

    def _begin(self) -> None:
        self._status = 0
        self._headers, self._body = {}, []
        self._is_sized = self._is_chunked = self._lasts_to_the_end = False

    def _is_done(self) -> bool:
        return self.answer is not None

    def _finish(self) -> None:
        self.answer = Answer(self._status, self._headers, b"".join(self._body))


class _NotAnAnswer(Exception):  # noqa: N818 - it ends the parser and reaches nobody
    """What comes is not read on."""
