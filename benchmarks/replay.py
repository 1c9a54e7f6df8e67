"""How well a replay foretells: what other schedules and rank counts took, beside what was told.

    python benchmarks/replay.py
    python benchmarks/replay.py --ranks 2 4 --schedules guided --seconds 2

Items sleep, so that more ranks than cores do not slow each other down.  Each kind of costs is
recorded once, on 2 ranks with ``"dynamic"``; that record is replayed for every schedule and number
of ranks, and then each of these is run.  A ratio is the measured makespan over the foretold one.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

SCHEDULES = ["static", "static,1", "dynamic", "guided", "factoring", "awf-c", "auto"]
KINDS = ["log-normal", "ramp up", "giant first"]
ITEMS = 200
WITHIN = 0.1


def costs(name: str, seconds: float) -> list[float]:
    """Seconds of each item."""
    draw = random.Random(2012)
    share = {
        "log-normal": [draw.lognormvariate(0, 1.5) for _ in range(ITEMS)],
        "ramp up": [float(k + 1) for k in range(ITEMS)],
        "giant first": [ITEMS / 2] + [1.0] * (ITEMS - 1),
    }[name]
    return [seconds * cost / sum(share) for cost in share]


def nap(seconds: float) -> float:
    """An item."""
    time.sleep(seconds)
    return seconds


def on_ranks(kind: str, seconds: str, folder: str, *schedules: str) -> None:
    """Run *kind* by each schedule three times, and keep the run of the median makespan."""
    import mpicomp

    naps = costs(kind, float(seconds))
    for schedule in schedules:
        runs = []
        for _ in range(3):
            with mpicomp.record() as rec:
                mpicomp.plist((nap(x) for x in naps), schedule=schedule)
            runs.append(rec)
        if runs[0].calls:  # on the root
            middle = sorted(runs, key=lambda rec: rec.calls[0].makespan)[1]
            middle.save(f"{folder}/{kind}-{schedule}-{middle.calls[0].ranks}.npz")


def started(ranks: int, kind: str, seconds: float, folder: str, schedules: list[str]) -> None:
    """The same on so many ranks, with the launcher beside this interpreter."""
    launcher = str(Path(sys.executable).parent / "mpiexec")
    command: list[Any] = [launcher, "-n", ranks, sys.executable, __file__, "--on-ranks"]
    subprocess.run([*map(str, [*command, kind, seconds, folder, *schedules])], check=True)


def main() -> None:
    """Record, foretell, run and print."""
    if sys.argv[1:2] == ["--on-ranks"]:
        on_ranks(*sys.argv[2:])
        return
    from mpicomp import Record

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ranks", nargs="+", type=int, default=[2, 4, 8, 16])
    parser.add_argument("--only", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--schedules", nargs="+", default=SCHEDULES)
    parser.add_argument("--seconds", type=float, default=4.0, help="of all items together (4)")
    asked = parser.parse_args()
    ratios = []
    print(f"{'measured / foretold':22}", *(f"{schedule:>10}" for schedule in asked.schedules))
    for kind in asked.only:
        with tempfile.TemporaryDirectory() as folder:
            started(2, kind, asked.seconds, folder, ["dynamic"])
            seen = Record.load(f"{folder}/{kind}-dynamic-2.npz")
            for ranks in asked.ranks:
                started(ranks, kind, asked.seconds, folder, asked.schedules)
                found = []
                for schedule in asked.schedules:
                    real = Record.load(f"{folder}/{kind}-{schedule}-{ranks}.npz").calls[0].makespan
                    found.append(real / seen.replay(schedule, ranks).makespan)
                ratios += found
                row = f"{kind}, {ranks} ranks"
                print(f"{row:22}", *(f"{ratio:10.3f}" for ratio in found), flush=True)
    worst = max(ratios, key=lambda ratio: abs(ratio - 1))
    verdict = "reached" if abs(worst - 1) <= WITHIN else "missed"
    print(f"median {median(ratios):.3f}, worst {worst:.3f}; wanted: within 10 % of 1: {verdict}")


if __name__ == "__main__":
    main()
