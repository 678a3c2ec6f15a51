"""Mutation testing of the core: which small changes of its modules does no test notice?

``python -m tests.mutants [MODULE …]``, for example ``limits/brake models/ledger``; without names, every module of
worker/core, every model of tests/models and that of the quota, which takes hours; ``--sample 200`` takes so many of all
the mutants by chance, and ``--seed`` names the chance.
Each mutant meets the unit and property tests that import its module, in a process of its own; the sources stay as they
are. Survivors are named, and the exit code is 1 when fewer than 95 of 100 of the mutants that can be noticed are
killed. Those that behave as the original does stand in ``equivalent.toml``, each with the reason.
"""

import argparse
import os
import random
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.mutants.mutations import Mutant, mutants_of
from tests.mutants.trial import Trial, files_for

ROOT: Final = Path(__file__).parents[2]
#: Where modules are, and what their names begin with.
PLACES: Final = {ROOT / "worker" / "core": "", ROOT / "tests" / "models": "models/"}
#: A model that simulations need, too.
QUOTA: Final = ROOT / "worker" / "simulation" / "token_bucket.py"
EQUIVALENT: Final = Path(__file__).with_name("equivalent.toml")
#: The part of the mutants that must be killed.
BAR: Final = 0.95


def main() -> int:
    """Do what the arguments say and return the exit code."""
    modules = {
        f"{prefix}{path.relative_to(place).with_suffix('')}": path
        for place, prefix in PLACES.items()
        for path in sorted(place.rglob("*.py"))
        if path.stem != "__init__"
    } | {"models/token_bucket": QUOTA}
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="as above; default: all")
    parser.add_argument("--sample", type=int, metavar="N", help="try N mutants, chosen by chance; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the chance; default: 0")
    arguments = parser.parse_args()
    names = arguments.modules or list(modules)
    if unknown := set(names) - set(modules):
        parser.error(f"no such module: {', '.join(sorted(unknown))}")
    os.nice(10)
    console = Console(highlight=False, soft_wrap=True)
    known: dict[str, dict[str, str]] = tomllib.loads(EQUIVALENT.read_text("utf-8"))
    mutants = {name: list(mutants_of(name, modules[name].read_text("utf-8"))) for name in names}
    stale = [
        f"{name}: {mutant}"
        for name in names
        for mutant in set(known.get(name, {})) - {mutant.name for mutant in mutants[name]}
    ]
    chosen = {name: [mutant for mutant in mutants[name] if mutant.name not in known.get(name, {})] for name in names}
    if arguments.sample is not None:
        chosen = _sample(chosen, arguments.sample, random.Random(arguments.seed))
    killed = sum(_killed(modules[name], tried, console) for name, tried in chosen.items())
    total = sum(map(len, chosen.values()))
    for mutant in stale:
        console.print(f"equivalent.toml names a mutant that is no more: {mutant}", markup=False)
    console.print(f"{killed} of {total} mutants killed: {killed / max(total, 1):.1%}", markup=False)
    return 1 if stale or killed < BAR * total else 0


def _sample(mutants: Mapping[str, Sequence[Mutant]], count: int, chance: random.Random) -> dict[str, list[Mutant]]:
    """Choose *count* of all *mutants*, each as likely as any other."""
    everyone = [(name, mutant) for name, some in mutants.items() for mutant in some]
    chosen = chance.sample(everyone, min(count, len(everyone)))
    return {name: found for name in mutants if (found := [mutant for module, mutant in chosen if module == name])}


def _killed(path: Path, mutants: Sequence[Mutant], console: Console) -> int:
    """How many of the *mutants* of the module at *path* its tests notice; survivors are told."""
    began = time.monotonic()
    name = path.relative_to(ROOT)
    module = ".".join(name.with_suffix("").parts)
    trial = Trial(module, files_for(module, ROOT))
    if not trial.passes_unchanged():
        console.print(f"{name}: its tests fail without any change, or there are none", markup=False)
        return 0
    killed = 0
    for mutant in mutants:
        if trial.survives(mutant):
            console.print(f"  {name}:{mutant.line}: {mutant.name}", markup=False)
        else:
            killed += 1
    took = time.monotonic() - began
    console.print(f"{name}: {killed} of {len(mutants)} killed, {took:.0f} s", markup=False)
    return killed


if __name__ == "__main__":
    sys.exit(main())
