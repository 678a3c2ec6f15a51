"""One mutant before its tests: a child of this process imports the changed module instead of the file, and runs pytest.

The child is forked, so that the libraries are imported once and not once for each mutant.
"""

import importlib.abc
import importlib.machinery
import os
import re
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

import aio_pika  # noqa: F401
import aiohttp  # noqa: F401 - see above; none of ours is imported here
import orjson  # noqa: F401
import pydantic  # noqa: F401
import pytest
import redis.asyncio  # noqa: F401
import structlog  # noqa: F401
import typer  # noqa: F401
from hypothesis import Phase, settings

from tests.mutants.mutations import Mutant

#: A mutant may take so many times as long as the original, and so many seconds more, then it hangs: it is killed.
_SLOWER: Final = 5
_MORE_S: Final = 20.0
_OPTIONS: Final = (
    *("-x", "-q", "--no-header", "-p", "no:cacheprovider", "--tb=no", "--hypothesis-seed=0"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # plugins were imported before
)

# That an example fails is enough: no smaller one is looked for.
settings.register_profile("quick", database=None, phases=(Phase.explicit, Phase.generate), report_multiple_bugs=False)


def files_for(module: str, root: Path) -> list[str]:
    """The unit and property tests that import *module*, those that bear its name first."""
    package, _, name = module.rpartition(".")
    pattern = re.compile(
        rf"^from {re.escape(module)} import|^from {re.escape(package)} import .*\b{name}\b", re.MULTILINE
    )
    found = [path for path in sorted(root.glob("tests/*/test_*.py")) if path.parent.name in {"unit", "property"}]
    found = [path for path in found if pattern.search(path.read_text("utf-8"))]
    return [
        str(path) for path in sorted(found, key=lambda path: (name not in path.stem, path.parent.name != "unit", path))
    ]


class Trial:
    """The tests of one module."""

    def __init__(self, module: str, tests: Sequence[str]) -> None:
        """*module* with all packages; *tests* are files."""
        self._module = module
        self._tests = tests
        self._most_s = 600.0

    def passes_unchanged(self) -> bool:
        """Whether the original passes; how long that takes is the measure for the mutants."""
        began = time.monotonic()
        passed = bool(self._tests) and self._passes(None)
        self._most_s = _SLOWER * (time.monotonic() - began) + _MORE_S
        return passed

    def survives(self, mutant: Mutant) -> bool:
        """Whether no test notices *mutant*."""
        return self._passes(compile(mutant.tree, f"<mutant of {self._module}>", "exec"))

    def _passes(self, code: CodeType | None) -> bool:
        pid = os.fork()
        if not pid:
            self._run(code)
        end = os.pidfd_open(pid)
        try:
            select.select([end], [], [], self._most_s)
        finally:  # also what its tests have started, and when we are interrupted
            os.close(end)
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status) == 0

    def _run(self, code: CodeType | None) -> None:
        """Be the child, to its end."""
        try:
            os.setpgrp()
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(nowhere, stream)
            settings.load_profile("quick")
            if code is not None:
                sys.meta_path.insert(0, _Instead(self._module, code))
            os._exit(int(pytest.main([*_OPTIONS, *self._tests])))
        finally:
            os._exit(99)


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports *code* as *module*."""

    def __init__(self, module: str, code: CodeType) -> None:
        self._module = module
        self._code = code

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self) if name == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)
