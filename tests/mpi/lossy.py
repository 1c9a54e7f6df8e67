"""Programs with an executor that some ranks do not survive: ``lossy.py CASE``.

What the root has found is printed as one line that Python reads.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from mpicomp import Pool, plist, world
from mpicomp.futures import BrokenExecutor, MPIExecutor, serve, wait

began_as = world().rank
found: dict[str, Any] = {}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def square(x: int) -> int:
    time.sleep(0.002)
    return x * x


def once(x: int) -> int:
    """The first rank that comes to item 40 dies of it."""
    if x == 40:
        try:
            Path("died").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            die()
    return square(x)


def poison(x: int) -> int:
    if x == 7:
        die()
    return square(x)


def poison_elsewhere(x: int) -> int:
    if x == 7 and began_as:
        die()
    return square(x)


def pid(x: int) -> int:
    time.sleep(0.02)
    return os.getpid()


def told(future: Future[Any]) -> Any:
    error = future.exception(60)
    return future.result() if error is None else type(error).__name__


def survived(pool: MPIExecutor) -> None:
    """A rank dies of a task that others can do."""
    found["map"] = [*pool.map(once, range(80))]
    found["after"] = pool.submit(square, 9).result()


def in_a_pool() -> None:
    """Of those that are left."""
    with Pool() as pool:
        if pool.is_master():
            found["pool"] = pool.map(square, range(5))
        else:
            pool.wait()


def swift(pool: MPIExecutor) -> None:
    """A rank is killed from outside, with many small tasks in its hands."""
    victim = next(iter({*pool.map(pid, range(30))}))
    values = []
    for k, value in enumerate(pool.map(abs, range(30_000))):
        values.append(value)
        if k == 5_000:
            os.kill(victim, signal.SIGKILL)
    found["swift"] = values == [*range(30_000)]


def broken(pool: MPIExecutor) -> None:
    """Where MPI does not go on."""
    print(pool.submit(poison, 7).exception(60), flush=True)


def poisoned(pool: MPIExecutor) -> None:
    """A task that kills two ranks is given up, and nothing else."""
    futures = [pool.submit(poison, x) for x in range(20)]
    wait(futures, timeout=90)
    found["told"] = [told(future) for future in futures]
    found["after"] = [*pool.map(square, range(5))]


def nobody_left(pool: MPIExecutor) -> None:
    futures = [pool.submit(poison, 7) for _ in range(5)]
    found["told"] = [told(future) for future in futures]
    try:
        pool.submit(square, 2)
    except BrokenExecutor as exc:
        found["refused"] = "no rank is left" in str(exc)


def the_root_is_left(pool: MPIExecutor) -> None:
    """It computes, but not what may have been the death of others."""
    futures = [pool.submit(poison_elsewhere, x) for x in range(12)]
    wait(futures, timeout=90)
    found["poison"] = told(futures[7])
    found["after"] = [*pool.map(square, range(5))]


def poison_while_the_root_waits(x: int) -> int:
    if not began_as:
        while not Path("rank 1 or 2").exists() or not Path("the other").exists():
            time.sleep(0.01)
    elif x == 1500:
        Path("the other" if Path("rank 1 or 2").exists() else "rank 1 or 2").touch()
        die()
    return x * x


def the_root_is_left_with_tasks(pool: MPIExecutor) -> None:
    """What waits behind the task that both others die of could only go to them."""
    futures = [pool.submit(poison_while_the_root_waits, x) for x in range(3000)]
    wait(futures, timeout=90)
    errors = {x for x, future in enumerate(futures) if future.exception(0) is not None}
    found["given up"] = min(errors) == 1500
    found["right"] = all(futures[x].result() == x * x for x in {*range(3000)} - errors)
    found["after"] = [*pool.map(square, range(5))]


def root_lost(pool: MPIExecutor) -> None:
    pool.submit(time.sleep, 0.5)
    assert pool.submit(square, 3).result() == 9
    die()


CASES: dict[str, Callable[[MPIExecutor], None]] = {
    use.__name__: use
    for use in (survived, swift, broken, poisoned, nobody_left, the_root_is_left,
                the_root_is_left_with_tasks, root_lost)
}


def in_a_with(case: str) -> None:
    try:
        with MPIExecutor(root_computes=case.startswith("the_root_is_left")) as pool:
            if pool is not None:
                CASES[case](pool)
    except BrokenExecutor as exc:
        print(repr({"worker": str(exc)}), flush=True)
        raise


def early() -> None:
    """A rank is lost before it comes."""
    if began_as == 1:
        die()
    time.sleep(0.1)
    with MPIExecutor(root=2) as pool:
        if pool is not None:
            found["early"] = [*pool.map(square, range(5))], began_as


def deserted() -> None:
    """All others are lost before they come."""
    if began_as:
        die()
    with MPIExecutor() as pool:
        assert pool is not None
        found["deserted"] = [*pool.map(square, range(5))], pool.alone, pool.num_workers


def standing() -> None:
    if began_as:
        serve()
        return
    for k in range(3):
        with MPIExecutor() as pool:
            assert pool is not None
            values = [*pool.map(once, range(35 + 10 * k))]
            found[f"round {k}"] = values == [x * x for x in range(35 + 10 * k)]
    print(repr(found), flush=True)


def main() -> None:
    case = sys.argv[1]
    if case == "standing":
        standing()
        return
    if case == "early":
        early()
    elif case == "deserted":
        deserted()
    else:
        in_a_with(case)
    if case == "survived":
        in_a_pool()
    values = plist((x * x for x in range(9)), effects="ignore", root=None)
    found["left"], found["plist"] = world().size, values == [x * x for x in range(9)]
    if len(found) > 2:
        print(repr(found), flush=True)


if __name__ == "__main__":
    main()
