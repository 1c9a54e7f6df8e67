"""What a call from a notebook costs beside ipyparallel's own: an empty one, and 100 MB of results.

    python benchmarks/notebook.py [--engines 2] [--json times.json]

An empty ``mpi.plist`` against a bare ``apply`` on all engines; arrays of 100 MB in all, made on
the engines, brought by ``mpi.plist``, by ``mpi.parray`` and by ipyparallel's ``gather``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from mpicomp.notebook import Session, connect

NUMBERS = 12_500_000  # of 8 bytes: 100 MB
PARTS = 20


def timed(call: Callable[[], Any], times: int) -> float:
    """Median seconds of *call*, after one that does not count."""
    call()
    taken = []
    for _ in range(times):
        began = perf_counter()
        call()
        taken.append(perf_counter() - began)
    return median(taken)


def measured(mpi: Session, quick: bool) -> dict[str, float]:
    """Seconds of each way."""
    numbers = NUMBERS // 100 if quick else NUMBERS
    few, many = (2, 5) if quick else (7, 200)
    size, view = numbers // PARTS, mpi.view
    view.execute(f"import numpy as np; part = np.ones({numbers // mpi.size})", block=True)
    return {
        "apply": timed(lambda: view.apply_async(int).get(), many),
        "empty plist": timed(lambda: mpi.plist(x for x in ()), many),
        "gather": timed(lambda: view.gather("part", block=True), few),
        "plist of arrays": timed(
            lambda: mpi.plist((np.ones(size) for _ in range(PARTS)), schedule="static"), few
        ),
        "parray": timed(lambda: mpi.parray((1.0 for _ in range(numbers)), schedule="static"), few),
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Time calls from a notebook.")
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="little data, to see that it works")
    parser.add_argument("--json", type=Path, help="file to write the seconds to")
    asked = parser.parse_args()
    with connect(n=asked.engines) as mpi:
        seconds = measured(mpi, asked.quick)
    for name, took in seconds.items():
        print(f"{name:<16} {1000 * took:9.2f} ms")
    print(f"an empty plist takes {seconds['empty plist'] / seconds['apply']:.2f} x a bare apply")
    speed = seconds["gather"] / seconds["plist of arrays"]
    print(f"results come {speed:.2f} x as fast as by gather")
    if asked.json:
        asked.json.write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()
