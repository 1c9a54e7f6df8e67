"""What handing out costs: a claim, a grant, a record, a call of tiny items; and a simulation.

    mpiexec -n 2 python benchmarks/handing.py
    mpiexec -n 2 python benchmarks/handing.py squares --most 1000000

Each line is the median of several turns; both sides of a ratio are measured in turns in one run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

from mpi4py import MPI

import mpicomp
from mpicomp import plist
from mpicomp.wire.counter import counter_of
from mpicomp.wire.world import world

COMM = MPI.COMM_WORLD
TURNS = 9


def seconds(call: Callable[[], object]) -> float:
    """Time of one call, all ranks starting together."""
    COMM.Barrier()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def tell(what: str, value: float, unit: str, samples: list[float], target: str) -> None:
    """Print one result on rank 0."""
    if COMM.rank == 0:
        noise = max(samples) / min(samples)
        print(f"{what:44} {value:10.3g} {unit:12} {target:14} noise {noise:.2f}", flush=True)


def claims(many: int = 100_000) -> None:
    """All ranks claim at once, one number at a time."""
    counter = counter_of(world())

    def claim() -> None:
        for _ in range(many):
            counter.claim(1)

    samples = [seconds(claim) for _ in range(TURNS)]
    tell("one claim, all ranks claiming", median(samples) / many * 1e6, "us", samples, "<= 3")


def grants(many: int = 100_000) -> None:
    """A master hands out tiny items one by one, and computes none itself."""

    def call() -> None:
        plist((x for x in range(many)), schedule="dynamic,1", dispatch="master")

    samples = [seconds(call) for _ in range(TURNS)]
    rate = many / median(samples)
    tell("master, one tiny item at a time", rate, "grants/s", samples, ">= 100,000")


def spin(turns: int) -> int:
    """Some work."""
    while turns:
        turns -= 1
    return turns


def recording(many: int = 5_000) -> None:
    """Items of about 0.1 ms, claimed 10 at a time, with and without a record."""
    turns = 2000
    turns = max(1, int(turns * 1e-4 / median(seconds(lambda: spin(2000)) for _ in range(99))))
    turns = COMM.bcast(turns)

    def call() -> None:
        plist((spin(turns) for _ in range(many)), schedule="dynamic,10")

    def recorded() -> None:
        with mpicomp.record():
            call()

    call()
    pairs = [(seconds(call), seconds(recorded)) for _ in range(TURNS)]
    ratio = median(on / off for off, on in pairs)
    tell("record on against off", (ratio - 1) * 100, "% more", [a for a, _ in pairs], "<= 2")


def alone(call: Callable[[], object], calls: int) -> float:
    """Seconds of one of *calls* on the root, while the other ranks sleep."""
    taken = 0.0
    if COMM.rank == 0:
        began = time.perf_counter()
        for _ in range(calls):
            call()
        taken = time.perf_counter() - began
    request = COMM.Ibarrier()
    while not request.Test():
        time.sleep(0.0005)
    return taken / calls


def squares(most: int = 10**7) -> None:
    """``auto`` on items that are sooner computed than shared."""
    n = 1000
    while n <= most:
        xs = range(n)
        calls = max(1, 10**5 // n)

        def serial(xs: range = xs) -> object:
            return [x * x for x in xs]

        def shared(xs: range = xs, calls: int = calls) -> None:
            for _ in range(calls):
                plist(x * x for x in xs)

        shared()
        pairs = [(alone(serial, calls), seconds(shared) / calls) for _ in range(TURNS)]
        by_itself, together = (median(side) for side in zip(*pairs, strict=True))
        over = (together - 1.05 * by_itself) * 1e6
        what = f"auto, {n} squares: over 1.05 x serial"
        tell(what, over, "us", [one or 1.0 for one, _ in pairs], "<= 10")
        n *= 10


def simulation() -> None:
    """A million chunks on a hundred thousand ranks; on the root, the others wait."""
    samples = []
    for schedule in ("dynamic", "factoring", "awf-b") if COMM.rank == 0 else ():
        began = time.perf_counter()
        outcome = mpicomp.simulate(lambda a, b: 1e-3 * (b - a), schedule, 10**5, n=10**6)
        samples.append(time.perf_counter() - began)
        what = f"simulate {schedule}, 10^5 ranks, {outcome.chunks.sum()} chunks"
        tell(what, samples[-1], "s", samples[-1:], "<= 60")
    COMM.Barrier()


def main() -> None:
    """Measure what is asked for."""
    parts = {part.__name__: part for part in (claims, grants, recording, squares, simulation)}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("only", nargs="*", help=", ".join(parts))
    parser.add_argument("--most", type=int, default=10**7, help="squares in the longest list (1e7)")
    asked = parser.parse_args()
    for name in asked.only or parts:
        squares(asked.most) if name == "squares" else parts[name]()


if __name__ == "__main__":
    main()
