"""What a journal costs: items of 1 ms, with and without.

    mpiexec -n 2 python benchmarks/journal.py [FOLDER]

FOLDER is where the journals are written (a temporary one): try one on the file system that your
jobs use.  Each line is the median of several turns; both sides are measured in turns in one run.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from mpi4py import MPI

from mpicomp import plist, psum

COMM = MPI.COMM_WORLD
TURNS = 5
MANY = 3_000
VERBS: dict[str, Callable[..., Any]] = {"plist": plist, "psum": psum}


def spin(seconds: float) -> float:
    """Some work, of this length."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
    return until


def seconds(call: Callable[[], object]) -> float:
    """Time of one call, all ranks starting together."""
    COMM.Barrier()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def compare(name: str, folder: Path) -> None:
    """One verb on one schedule, with a journal against without."""
    for schedule in ("static", "auto"):
        journals = (folder / f"{name} {schedule} {turn}.mpj" for turn in itertools.count())

        def call(schedule: str = schedule, **said: Any) -> None:
            VERBS[name]((spin(1e-3) for _ in range(MANY)), schedule=schedule, **said)

        def kept(call: Any = call, journals: Any = journals) -> None:
            call(journal=next(journals))

        call()
        pairs = [(seconds(call), seconds(kept)) for _ in range(TURNS)]
        ratio = median(on / off for off, on in pairs)
        noise = max(off for off, _ in pairs) / min(off for off, _ in pairs)
        if COMM.rank == 0:
            more = f"{(ratio - 1) * 100:6.2f} % more"
            print(f"{name:8}{schedule:12} {more}   <= 5   noise {noise:.2f}", flush=True)


def main(where: str | None = None) -> None:
    """Compare all."""
    with tempfile.TemporaryDirectory(dir=where) as made:
        folder = Path(COMM.bcast(made))
        for name in VERBS:
            compare(name, folder)
        COMM.Barrier()


if __name__ == "__main__":
    main(*sys.argv[1:2])
