"""What an item costs that is computed by itself: with ``retries=``, with ``timeout=``.

    python benchmarks/limits.py

The same call with and without, in turns, on one rank; of each the least of many.  What is measured
is the processor's time of this process, of all its threads.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from mpicomp import plist

WAYS: dict[str, dict[str, Any]] = {
    "neither": {},
    "retries=1": {"retries": 1},
    "timeout=60": {"timeout": 60},
    "both": {"retries": 1, "timeout": 60},
}


def took(size: int, n: int, asked: dict[str, Any]) -> float:
    """Seconds of one call of *n* items; each sums so many numbers."""
    began = time.process_time()
    plist((sum(range(size)) for _ in range(n)), **asked)
    return time.process_time() - began


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=30, help="of which the least counts (30)")
    turns = parser.parse_args().turns
    print(f"the least of {turns}\nitem              with        us an item   more    ratio")
    for size in (1, 100, 1000, 10_000):
        n = max(300, 200_000 // max(size, 200))
        least = dict.fromkeys(WAYS, float("inf"))
        for _ in range(turns):
            for way, asked in WAYS.items():
                least[way] = min(least[way], took(size, n, asked) / n * 1e6)
        plain = least["neither"]
        for way, each in least.items():
            name = f"sum of {size}"
            print(f"{name:18}{way:12}{each:10.2f} {each - plain:6.2f} {each / plain:8.3f}")


if __name__ == "__main__":
    main()
