"""What the jobs run: something that all ranks compute, and where and how they did."""

from __future__ import annotations

import json
import os
import sys

from mpicomp import plist, psum, record, world
from mpicomp.wire.threads import pools


def threads() -> int:
    """How many threads numpy's BLAS has here."""
    import numpy  # noqa: F401  # loaded late, as a program may

    return max(int(pool["num_threads"]) for pool in pools() or [{"num_threads": 0}])


def main() -> None:
    ranks = world()
    where = [*range(ranks.size)]
    each = plist(
        ((os.environ.get("SLURMD_NODENAME", ""), threads()) for _ in where), schedule="static"
    )
    with record() as rec:
        total = psum(x * x for x in range(1000))
    if each is not None:
        about = {
            "size": ranks.size,
            "nodes": sorted({node for node, _ in each}),
            "threads": sorted({number for _, number in each}),
            "asked": os.environ.get("OMP_NUM_THREADS"),
            "total": total,
            "schedule": rec.calls[0].schedule,
            "dispatch": rec.calls[0].dispatch,
            "arguments": sys.argv[1:],
        }
        print(json.dumps(about))


main()
