"""The program whose ranks are killed.

``program.py FOLDER SEED VERB SOURCE ROOT SCHEDULE [JOURNAL]`` writes its value into
FOLDER/value, and makes the call again if it was lost with its root.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import mpicomp
from mpicomp.futures import BrokenExecutor, MPIExecutor, as_completed
from tests.chaos.cases import COST, EXECUTORS, N


def source(kind: str) -> Iterable[Any]:
    """The numbers from 0, as *kind*."""
    if kind == "range":
        return range(N)
    if kind == "stream":
        return (x for x in range(N))
    return np.arange(N) if kind == "array" else [*range(N)]


def item(x: int, seed: int, rests: bool = True) -> int:
    """Its value is its own; how long it takes is drawn."""
    if rests:
        time.sleep(random.Random(f"{seed} {x}").expovariate(1 / COST))
    return int(x) * 7 + seed % 5


def comprehension(verb: str, xs: Iterable[Any], seed: int, rests: bool = True) -> Any:
    """What *verb* is given."""
    if verb in ("pdict", "pgroup"):
        return ((int(x) % 11, item(x, seed, rests)) for x in xs)
    if verb == "preduce":
        return (str(item(x, seed, rests)) for x in xs)
    if verb == "psum":
        return (item(x, seed, rests) / 7 for x in xs)
    return (item(x, seed, rests) for x in xs if x % 3)


def reduced(gen: Any, **asked: Any) -> Any:
    """``preduce`` by an operation that minds the order."""
    return mpicomp.preduce(lambda a, b: a + b, gen, **asked)


def executed(kind: str, seed: int, root: int, root_computes: bool) -> list[int] | None:
    """The values of ``plist`` as tasks; what the loss of ranks leaves undone is submitted again."""
    tasks = [int(x) for x in source(kind) if x % 3]
    values: dict[int, int] = {}
    try:
        with MPIExecutor(root=root, root_computes=root_computes) as pool:
            while pool is not None and len(values) < len(tasks):
                left = [x for x in tasks if x not in values]
                found = {pool.submit(item, x, seed): x for x in left}
                for future in as_completed(found):
                    if future.exception() is None:
                        values[found[future]] = future.result()
    except BrokenExecutor:
        return None
    return [values[x] for x in tasks] if pool is not None else None


def value_of(verb: str, kind: str, seed: int, asked: dict[str, Any]) -> Any:
    """What this rank gets of one call."""
    if verb in EXECUTORS:
        return executed(kind, seed, asked["root"] or 0, "root too" in verb)
    call: Callable[..., Any] = reduced if verb == "preduce" else getattr(mpicomp, verb)
    return call(comprehension(verb, source(kind), seed), **asked)


def shown(value: Any) -> str:
    """A value, so that two of them can be compared."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return repr(sorted(value) if isinstance(value, set) else value)


def main() -> None:
    """Make the call until its value is there."""
    folder, text, verb, kind, root, schedule, *journal = sys.argv[1:]
    path, seed = Path(folder), int(text)
    asked: dict[str, Any] = {"root": None if root == "all" else int(root), "effects": "ignore"}
    asked["schedule"] = "dynamic" if schedule == "master" else schedule
    if schedule == "master":
        asked["dispatch"] = "master"
    if journal:
        asked["journal"] = mpicomp.Journal(journal[0], every=0.02)
    write(path / f"{mpicomp.world().rank}.pid", str(os.getpid()))
    found = False
    while not found:
        value = value_of(verb, kind, seed, asked)
        if value is not None:
            write(path / "value", shown(value))
        found = bool(mpicomp.pany((file.exists() for file in [path / "value"]), root=None))


def write(path: Path, text: str) -> None:
    """At once, or not at all."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    hidden.write_text(text)
    hidden.rename(path)


if __name__ == "__main__":
    main()
