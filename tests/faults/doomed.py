"""Workers that die on order: ``python -m tests.faults.doomed`` reads orders and tells how each worker ended.

One process that has imported everything forks a child per life, which is much faster than a start; it has neither event
loop nor threads, so that a child is as good as a new process. An order is one JSON object a line, and so are its two
answers: the child's number, and how it ended. A child runs the real worker with the order's settings, and with one
method of it replaced: that of the order's point.
"""

import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop  # noqa: F401 - imported before the fork, so that no child has to

from tests.faults.doom import Doom
from tests.faults.points import POINTS, count_in_hand
from tests.faults.stepped import step_clock
from worker.app import run
from worker.settings.load import load

#: Seconds after which a worker that did not come to its point is ended; a life takes a fraction of one.
_PATIENCE: Final = 30.0


def main() -> None:
    """Obey until the orders end."""
    for line in sys.stdin.buffer:
        _life(orjson.loads(line))


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
    sys.stdout.buffer.flush()


def _life(order: dict[str, Any]) -> None:
    began = time.monotonic()
    words, pipe = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(words)
        _live(order, pipe)
    os.close(pipe)
    _answer({"pid": child})
    try:
        is_over, _, _ = select.select([words], [], [], order.get("patience", _PATIENCE))
        if not is_over:  # neither a word nor the end of the pipe
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        last = os.read(words, 65_536)
    finally:
        os.close(words)
    words_said = orjson.loads(last) if last else None
    _answer({"exit": os.waitstatus_to_exitcode(status), "words": words_said, "lived_s": time.monotonic() - began})


def _live(order: dict[str, Any], pipe: int) -> None:
    """Be a worker; never returns."""
    log = os.open(Path(order["log"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, standard in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(ours, standard)
    code = 70
    try:
        if order.get("clock"):
            step_clock(Path(order["clock"]))
        if point := order.get("point"):
            doom = Doom(point, order["passing"], pipe)
            POINTS[point](doom)
            count_in_hand(doom)
        code = 0 if run(load([], {}, order["settings"])) else 4
    except Exception:  # noqa: BLE001 - a child must not go on as the parent's copy; the log tells
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
