"""Mutation testing of the core: which small changes of its modules does no test notice?

``python -m tests.mutants [MODULE …]``, for example ``brake token_bucket``; without names, every module of worker/core.
Each mutant meets the unit and property tests that import its module, in a process of its own; the sources stay as they
are. Survivors are named, and the exit code is 1 when fewer than 95 of 100 of the mutants that can be noticed are
killed. Those that behave as the original does stand in ``equivalent.toml``, each with the reason.
"""

import argparse
import os
import sys
import time
import tomllib
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.mutants.mutations import Mutant, mutants_of
from tests.mutants.trial import Trial, files_for

ROOT: Final = Path(__file__).parents[2]
CORE: Final = ROOT / "worker" / "core"
EQUIVALENT: Final = Path(__file__).with_name("equivalent.toml")
#: The part of the mutants that must be killed.
BAR: Final = 0.95


def main() -> int:
    """Do what the arguments say and return the exit code."""
    modules = sorted(path.stem for path in CORE.glob("*.py") if path.stem != "__init__")
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="names in worker/core; default: all")
    names = parser.parse_args().modules or modules
    if unknown := set(names) - set(modules):
        parser.error(f"no such module in worker/core: {', '.join(sorted(unknown))}")
    os.nice(10)
    console = Console(highlight=False, soft_wrap=True)
    known: dict[str, dict[str, str]] = tomllib.loads(EQUIVALENT.read_text("utf-8"))
    killed = total = 0
    stale = []
    for name in names:
        survivors, tried, seen = _module(name, known.get(name, {}), console)
        killed, total = killed + tried - len(survivors), total + tried
        stale += [f"{name}: {mutant}" for mutant in known.get(name, {}) if mutant not in seen]
    for mutant in stale:
        console.print(f"equivalent.toml names a mutant that is no more: {mutant}", markup=False)
    console.print(f"{killed} of {total} mutants killed: {killed / max(total, 1):.1%}", markup=False)
    return 1 if stale or killed < BAR * total else 0


def _module(name: str, equivalent: dict[str, str], console: Console) -> tuple[list[Mutant], int, set[str]]:
    """The survivors, how many were tried, and the names of all."""
    mutants = list(mutants_of(name, (CORE / f"{name}.py").read_text("utf-8")))
    began = time.monotonic()
    trial = Trial(f"worker.core.{name}", files_for(name, ROOT))
    if not trial.passes_unchanged():
        console.print(f"{name}: its tests fail without any change, or there are none", markup=False)
        return mutants, len(mutants), {mutant.name for mutant in mutants}
    tried = [mutant for mutant in mutants if mutant.name not in equivalent]
    survivors = []
    for mutant in tried:
        if trial.survives(mutant):
            survivors.append(mutant)
            console.print(f"  worker/core/{name}.py:{mutant.line}: {mutant.name}", markup=False)
    killed, took = len(tried) - len(survivors), time.monotonic() - began
    console.print(
        f"{name}: {killed} of {len(tried)} killed, {len(mutants) - len(tried)} equivalent, {took:.0f} s", markup=False
    )
    return survivors, len(tried), {mutant.name for mutant in mutants}


if __name__ == "__main__":
    sys.exit(main())
