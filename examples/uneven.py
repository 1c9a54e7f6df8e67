"""Items of uneven cost under four schedules: who computed when, and what 64 ranks would make of it.

    mpiexec -n 4 python uneven.py
    mpiexec -n 4 python uneven.py --limit 5000 --plot uneven.png    # pip install "mpicomp[plot]"

The larger a number, the longer it takes to count its divisors: with "static" the last rank has
the hard ones, and the others wait for it.
"""

import argparse
from pathlib import Path

from mpicomp import plist, record

SCHEDULES = ("static", "static,1", "guided", "dynamic")


def divisors(n: int) -> int:
    """Count the divisors of n, the slow way."""
    return sum(n % k == 0 for k in range(1, n + 1))


parser = argparse.ArgumentParser(description="Compare schedules on items of uneven cost.")
parser.add_argument("--limit", type=int, default=3000, help="numbers below this (3000)")
parser.add_argument("--plot", type=Path, help="picture to write: .png, .svg or .pdf")
args = parser.parse_args()

with record() as rec:
    for schedule in SCHEDULES:
        counts = plist((divisors(n) for n in range(1, args.limit)), schedule=schedule)

if counts is not None:
    best = max(counts)
    print(f"{counts.index(best) + 1} has the most divisors below {args.limit}: {best}")
    print(rec.text())
    # each item was a chunk of its own in the last call: so it knows what each one costs
    for schedule in SCHEDULES:
        print(repr(rec[-1].replay(schedule, ranks=64)))
    if args.plot:
        rec.plot(args.plot)
