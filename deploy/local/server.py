"""One server that was started here: its start, its two ends, and its last words."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from deploy.local.error import StackError

#: Seconds between two looks at whether a server answers.
_PAUSE: Final = 0.03
#: Lines of a server's output that an error shows.
_LAST_WORDS: Final = 30


class Server:
    """A program in a session of its own, so that a Ctrl-C of the terminal does not reach it.

    Not for several threads at once; calls may come from different threads one after another.
    """

    def __init__(self, name: str, argv: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        """Nothing runs yet; *directory* becomes its working directory and keeps its output."""
        self._name = name
        self._argv = argv
        self._environment = environment
        self._directory = directory
        self._output = directory / f"{name}.out"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> None:
        """Start it without waiting until it answers; nothing happens when it runs."""
        if self.is_running:
            return
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._argv,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, answers: Callable[[], bool], seconds: float) -> None:
        """Wait until it *answers*.

        Raises:
            StackError: It ended, or it did not answer for *seconds*; its last words are in the text.
        """
        deadline = time.monotonic() + seconds
        while not answers():
            if not self.is_running:
                raise StackError(f"{self._name} ended while it started\n{self._last_words()}")
            if time.monotonic() > deadline:
                raise StackError(f"{self._name} did not answer for {seconds:g} s\n{self._last_words()}")
            time.sleep(_PAUSE)

    def terminate(self, seconds: float) -> None:
        """Ask it to end (SIGTERM) and wait; after *seconds* it is killed."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL it and its children, and wait until it is gone."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _last_words(self) -> str:
        text = self._output.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-_LAST_WORDS:])
