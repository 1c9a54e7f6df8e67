"""What a slow rank costs, with ``reissue=True`` and without.

    mpiexec -n 4 python benchmarks/stragglers.py

The last rank takes a hundred times as long for its items as the others: a machine that is busy
with something else.  Both sides are measured in turns, with the same schedule and master.
"""

from __future__ import annotations

import time
from statistics import median

from mpi4py import MPI

from mpicomp import plist

COMM = MPI.COMM_WORLD
TURNS = 5
ITEM = 0.01  # seconds
SLOW = 100


def item(x: int) -> int:
    """Sleep; the last rank longer."""
    time.sleep(ITEM * (SLOW if COMM.rank == COMM.size - 1 else 1))
    return x


def seconds(reissue: bool) -> float:
    """Time of one call."""
    COMM.Barrier()
    began = time.perf_counter()
    n = 20 * COMM.size
    plist((item(x) for x in range(n)), schedule="dynamic", dispatch="master", reissue=reissue)
    COMM.Barrier()
    return time.perf_counter() - began


if __name__ == "__main__":
    pairs = [(seconds(reissue=False), seconds(reissue=True)) for _ in range(TURNS)]
    if COMM.rank == 0:
        without, with_it = (median(side) for side in zip(*pairs, strict=True))
        print(f"one of {COMM.size} ranks {SLOW} times slower, items of {ITEM} s")
        print(f"  without reissue  {without:.2f} s")
        print(f"  reissue=True     {with_it:.2f} s")
