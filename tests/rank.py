"""One rank of a test run: ``mpiexec -n N python -m tests.rank N LOGS [pytest's arguments]``.

Rank 0 writes to the terminal, each other rank to a file of its own, so that the terminal shows
one run and not N of them. `tests.conftest` keeps the ranks in step.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from mpi4py import MPI

AGREED = (
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
)


def main(size: int, logs: Path, arguments: list[str]) -> int:
    """Run pytest on this rank and return its exit code."""
    world = MPI.COMM_WORLD
    if world.size != size:
        raise SystemExit(
            f"expected {size} ranks, got {world.size}: this mpiexec is not that of "
            f"{MPI.Get_library_version().splitlines()[0]}"
        )
    if world.rank:
        _write_to(logs / f"rank{world.rank}.txt")
    code: int = pytest.ExitCode.INTERNAL_ERROR
    try:
        code = pytest.main([
            "--with-mpi",
            f"--junitxml={logs}/rank{world.rank}.xml",
            f"--basetemp={logs}/tmp{world.rank}",
            # the ranks would write one cache
            "--override-ini=addopts=--import-mode=importlib -p no:cacheprovider -m 'not huge'",
            # conftest ends a hang itself, once all ranks have written their stacks
            "--override-ini=faulthandler_timeout=120",
            "--override-ini=faulthandler_exit_on_timeout=false",
            *arguments,
        ])
    finally:
        if code not in AGREED:
            # this rank alone gives up: the others would wait for it for ever
            sys.stdout.flush()
            sys.stderr.flush()
            world.Abort(code)
    return code


def _write_to(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, sys.stdout.fileno())
    os.dup2(file, sys.stderr.fileno())
    os.close(file)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
