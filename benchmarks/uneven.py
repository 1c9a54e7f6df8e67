"""How evenly uneven work is shared: the efficiency of each schedule on each kind of costs.

    mpiexec -n 2 python benchmarks/uneven.py
    mpiexec -n 2 python benchmarks/uneven.py --only "giant first" --schedules auto factoring
    mpiexec -n 2 python benchmarks/uneven.py --every     # all that have a name, for auto/best

"auto with cost" is given what the items cost.  "auto/best" is the time of the best of the others,
but for those with cost, over that of auto.  "busy" is what of the ranks' time went into items with
auto, as its record says: how fast the cores are changes it little.  Behind each row stands what is
wanted, and whether it was reached.

Efficiency = what is possible / what was measured; possible is the serial time over the number of
ranks, or the longest item.  "machine" is what the cores themselves lose when all of them work: the
serial time alone over that while all ranks do the same.  An item counts down from a number of its
own, so that it costs the same wherever it runs; all schedules take turns in one run, with the
serial comprehension.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from mpi4py import MPI

import mpicomp
from mpicomp import plist

SCHEDULES = ["static", "static,1", "dynamic,1", "guided", "trapezoid", "factoring", "auto",
             "auto with cost"]  # fmt: skip
EVERY = [*SCHEDULES[:-2], "static,16", "dynamic,16", "tfss", "fiss", "viss", "mfsc", "pls",
         "weighted", "awf-b", "awf-c", "awf-d", "awf-e", "af", *SCHEDULES[-2:]]  # fmt: skip
WANTED = {"auto": 0.97, "factoring": 0.95, "auto with cost": 0.97, "auto/best": 0.95}
COMM = MPI.COMM_WORLD


def count_down(turns: int) -> int:
    """Cost *turns*."""
    while turns:
        turns -= 1
    return turns


def turns_a_second() -> float:
    """How fast this core counts: the fastest of several tries."""
    best = 1.0
    for _ in range(20):
        began = time.perf_counter()
        count_down(100_000)
        best = min(best, time.perf_counter() - began)
    return 100_000 / best


def rows_of_mandelbrot(height: int) -> list[float]:
    """Turns of the escape loop in each row of the picture."""
    rows = []
    for y in range(height):
        total = 0
        for x in range(60):
            c = complex(-2.2 + 3.2 * x / 60, -1.2 + 2.4 * y / height)
            z, turns = 0j, 0
            while abs(z) < 2 and turns < 200:
                z, turns = z * z + c, turns + 1
            total += turns
        rows.append(float(total))
    return rows


def costs(name: str) -> list[float]:
    """Relative cost of each item."""
    draw = random.Random(2012)
    kinds: dict[str, Callable[[], list[float]]] = {
        "log-normal": lambda: [draw.lognormvariate(0, 1.5) for _ in range(400)],
        "ramp up": lambda: [float(k + 1) for k in range(400)],
        "ramp down": lambda: [float(400 - k) for k in range(400)],
        "mandelbrot": lambda: rows_of_mandelbrot(200),
        "bimodal": lambda: [20.0 if draw.random() < 0.1 else 1.0 for _ in range(400)],
        "equal": lambda: [1.0] * 400,
        "equal small": lambda: [1.0] * 50_000,
        "equal tiny": lambda: [1.0] * 1_000_000,
        "equal huge": lambda: [1.0] * 8,
        "giant first": lambda: [400.0] + [1.0] * 400,
        "giant last": lambda: [1.0] * 400 + [400.0],
    }
    return kinds[name]()


KINDS = ["log-normal", "ramp up", "ramp down", "mandelbrot", "bimodal", "equal", "equal small",
         "equal tiny", "equal huge", "giant first", "giant last"]  # fmt: skip


def shared(turns: list[int], words: Any) -> list[int] | None:
    """The comprehension given to mpicomp."""
    return plist((count_down(n) for n in turns), **words)


def seconds(call: Callable[[], object]) -> float:
    """Time of one call, all ranks starting together."""
    COMM.Barrier()
    began = time.perf_counter()
    call()
    taken = time.perf_counter() - began
    COMM.Barrier()
    return taken


def measure(name: str, total: float, repeat: int, schedules: list[str]) -> dict[str, list[float]]:
    """Seconds of the serial comprehension, of each schedule, of the longest item; and "busy"."""
    speed = COMM.bcast(turns_a_second())
    share = costs(name)
    unit = total * speed / sum(share)
    turns = [max(1, int(unit * cost)) for cost in share]
    sides = ["serial", "longest", "all at once", "busy", *schedules]
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeat):
        if COMM.rank == 0:
            times["serial"].append(seconds_alone(lambda: [count_down(n) for n in turns]))
            times["longest"].append(seconds_alone(lambda: count_down(max(turns))))
        times["all at once"].append(seconds(lambda: [count_down(n) for n in turns]))
        for schedule in schedules:
            text, _, extra = schedule.partition(" with ")
            words: Any = {"schedule": text} | ({"cost": turns} if extra == "cost" else {})
            times[schedule].append(seconds(partial(shared, turns, words)))
        with mpicomp.record() as rec:
            shared(turns, {"schedule": "auto"})
        if COMM.rank == 0:
            times["busy"].append(rec.summary().efficiency)
    return times


def seconds_alone(call: Callable[[], object]) -> float:
    """Time of one call while the other ranks sleep."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def wanted(kind: str, column: str) -> float | None:
    """The least value that is good, where one is asked for."""
    if kind == "equal tiny" and column != "auto/best":
        return None  # sharing them cannot pay
    if kind == "giant last" and column in ("auto", "factoring"):
        return None  # without cost= no one can do better than all the others first
    return WANTED.get(column)


def row(kind: str, times: dict[str, list[float]], schedules: list[str]) -> dict[str, float]:
    """The columns of one kind of costs."""
    serial = median(times["serial"])
    possible = max(serial / COMM.size, median(times["longest"]))
    found = {schedule: possible / median(times[schedule]) for schedule in schedules}
    fixed = [found[s] for s in schedules if not s.startswith("auto") and " with " not in s]
    if "auto" in found and fixed:
        found["auto/best"] = found["auto"] / max(fixed)
    found["busy"] = median(times["busy"])
    found["machine"] = serial / median(times["all at once"])
    found["noise"] = max(times["serial"]) / min(times["serial"])
    return found


def told(kind: str, found: dict[str, float]) -> str:
    """What was wanted of this row, and is missing."""
    missed = [
        f"{column} {value:.3f} < {least}"
        for column, value in found.items()
        if (least := wanted(kind, column)) is not None and value < least
    ]
    return f"  missed: {', '.join(missed)}" if missed else "  reached"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--schedules", nargs="+", default=SCHEDULES)
    parser.add_argument("--every", action="store_true", help="all schedules")
    parser.add_argument("--seconds", type=float, default=1.0, help="serial time of each kind (1)")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    schedules = EVERY if asked.every else asked.schedules
    report: dict[str, dict[str, list[float]]] = {}
    for name in asked.only:
        times = measure(name, asked.seconds, asked.repeat, schedules)
        if COMM.rank == 0:
            found = row(name, times, schedules)
            if not report:
                print("wanted:", ", ".join(f"{word} >= {least}" for word, least in WANTED.items()))
                print(f"{'':12}", *(f"{word:>{max(6, len(word))}}" for word in found))
            report[name] = times
            cells = (f"{value:{max(6, len(word))}.3f}" for word, value in found.items())
            print(f"{name:12}", *cells, told(name, found), flush=True)
    if asked.json and COMM.rank == 0:
        asked.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
