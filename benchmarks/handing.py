"""What handing out costs: a claim, a grant, and keeping a record.

    mpiexec -n 2 python benchmarks/handing.py

Each line is the median of several turns; both sides of a ratio are measured in turns in one run.
"""

from __future__ import annotations

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


if __name__ == "__main__":
    claims()
    grants()
    recording()
