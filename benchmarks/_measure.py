"""Measure one case in one group of sides; started by compare.py, plainly or on ranks.

    python _measure.py GROUP CASE REPEAT WORKERS QUICK OUTPUT

The root writes the seconds of one call of each side to OUTPUT, as JSON: a list for each side,
or null for one that is not installed.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _cases import Case, cases
from _sides import GROUPS, ON_RANKS, Side, present

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm


def together(comm: Intracomm | None) -> None:
    """Wait for all ranks asleep: a spinning rank would slow down the one that works."""
    if comm:
        request = comm.Ibarrier()
        while not request.Test():
            time.sleep(0.0005)


def fresh_heap() -> None:
    """Give freed memory back, or a side would be spared the page faults of the one before it."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def sample(side: Side, case: Case, workers: int, comm: Intracomm | None) -> tuple[float, Any]:
    """Seconds for one call, and the last value; of interest on the root only."""
    value, seconds = None, 0.0
    fresh_heap()
    together(comm)
    with side(case, workers, comm) as run:
        if run:
            start = time.perf_counter()
            for _ in range(case.number):
                value = run()
            seconds = (time.perf_counter() - start) / case.number
    return seconds, value


def check(name: str, case: Case, value: Any) -> None:
    """Stop the whole run if a side does not give the value of the serial comprehension."""
    if not case.work.same(value, case.work.serial(case.n)):
        raise SystemExit(f"{case.name}: expected the serial value from {name}, got another one")


def measured(
    group: str, case: Case, repeat: int, workers: int, comm: Intracomm | None
) -> dict[str, list[float] | None]:
    """Samples of all sides of the group, taken in turns; the first turn warms up and is checked."""
    sides = {name: side for name, side in GROUPS[group].items() if present(name)}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeat + 1):
        for name, side in sides.items():
            seconds, value = sample(side, case, workers, comm)
            if turn:
                times[name].append(seconds)
            elif comm is None or comm.rank == 0:
                check(name, case, value)
    together(comm)
    return {name: times.get(name) for name in GROUPS[group]}


def main(group: str, name: str, repeat: str, workers: str, quick: str, output: str) -> None:
    """Measure as the command line says."""
    comm = None
    if group in ON_RANKS:
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
        if comm.size != int(workers):
            raise SystemExit(
                f"expected {workers} ranks, got {comm.size}: mpiexec and mpi4py's MPI library do "
                f"not belong together; write 'python -m pip install mpich' in one environment"
            )
    case = cases(quick == "quick")[name]
    times = measured(group, case, int(repeat), int(workers), comm)
    if comm is None or comm.rank == 0:
        Path(output).write_text(json.dumps(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
