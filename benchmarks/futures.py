"""Executors side by side: small tasks a second, and the bandwidth of large ones.

    mpiexec -n 3 python benchmarks/futures.py [--tasks N] [--repeat K] [--json FILE]

With n ranks each side has n - 1 workers.  In one run: mpicomp's `MPIExecutor`, mpi4py.futures
(polling without sleeping, its quickest) and the standard library's `ProcessPoolExecutor`; turn by
turn, medians.  What is called does nothing; so the numbers are those of the executors alone.

Aims: ten times the small tasks of mpi4py.futures, and at least its bandwidth.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
from mpi4py import MPI
from mpi4py.futures import MPICommExecutor

from mpicomp.futures import MPIExecutor

WORLD = MPI.COMM_WORLD
SIZE = 1 << 20  # bytes of a large argument, and of a large result


def nothing(x: int) -> int:
    return x


def echo(array: np.ndarray) -> np.ndarray:
    return array


@contextmanager
def ours() -> Iterator[Executor | None]:
    with MPIExecutor() as pool:
        yield pool


@contextmanager
def theirs() -> Iterator[Executor | None]:
    with MPICommExecutor(WORLD, root=0, backoff=0) as pool:
        yield pool


@contextmanager
def processes() -> Iterator[Executor | None]:
    if WORLD.rank:
        yield None
        return
    # a server that was started by a rank would believe that it is one
    with ProcessPoolExecutor(WORLD.size - 1, mp_context=get_context("fork")) as pool:
        yield pool


SIDES: dict[str, Callable] = {
    "mpicomp": ours,
    "mpi4py.futures": theirs,
    "ProcessPoolExecutor": processes,
}


def small(pool: Executor, tasks: int) -> float:
    """Tasks a second."""
    began = time.perf_counter()
    assert [*pool.map(nothing, range(tasks))] == [*range(tasks)]
    return tasks / (time.perf_counter() - began)


def lazy(pool: Executor, tasks: int) -> float | None:
    """The same with a buffer, where there is one."""
    if not isinstance(pool, MPIExecutor):
        return None
    began = time.perf_counter()
    assert sum(1 for _ in pool.map(nothing, range(tasks), buffersize=1000)) == tasks
    return tasks / (time.perf_counter() - began)


def large(pool: Executor, tasks: int) -> float:
    """MiB a second, there and back."""
    array = np.zeros(SIZE, np.uint8)
    count = max(8, tasks // 100)
    began = time.perf_counter()
    for result in pool.map(echo, [array] * count):
        assert result.nbytes == SIZE
    return 2 * count * SIZE / 2**20 / (time.perf_counter() - began)


CASES: dict[str, Callable] = {
    "small tasks/s": small, "small tasks/s, buffersize=1000": lazy, "1 MiB tasks, MiB/s": large,
}  # fmt: skip


def measured(tasks: int, repeat: int) -> dict[str, dict[str, list[float]]]:
    """Figures of each case and side; the first turn warms up."""
    figures: dict[str, dict[str, list[float]]] = {case: {side: [] for side in SIDES}
                                                  for case in CASES}  # fmt: skip
    for turn in range(repeat + 1):
        for side, opened in SIDES.items():
            with opened() as pool:
                if pool is not None:
                    for case, run in CASES.items():
                        figure = run(pool, tasks)
                        if turn and figure is not None:
                            figures[case][side].append(figure)
            sleeping_barrier()
    return figures


def sleeping_barrier() -> None:
    """Wait for all ranks asleep: one that spins would slow down the one that works."""
    request = WORLD.Ibarrier()
    while not request.Test():
        time.sleep(0.0005)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if WORLD.size < 2:
        raise SystemExit("write mpiexec -n 3 python benchmarks/futures.py")
    figures = measured(asked.tasks, asked.repeat)
    if WORLD.rank:
        return
    for case, sides in figures.items():
        print(case)
        mine = median(sides["mpicomp"])
        for side, values in sides.items():
            if values:
                print(f"  {side:22} {median(values):10.0f}   mpicomp is "
                      f"{mine / median(values):5.2f} times as fast")  # fmt: skip
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
