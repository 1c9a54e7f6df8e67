"""Executors whose ranks are killed: survived under Open MPI's ULFM, told of where ranks live on.

Programs with ranks of their own (`lossy.py`); so once for each MPI is enough.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest
from mpi4py import MPI

from tests.launch import environment, guarded, mpi_beside, mpiexec, run_python
from tests.mpi.laws import on_root

HERE = Path(__file__).parent
SQUARES = [x * x for x in range(80)]

once = pytest.mark.skipif(MPI.COMM_WORLD.size != 2, reason="the programs have ranks of their own")
open_mpi = pytest.mark.skipif(mpi_beside() != "openmpi", reason="MPICH ends all ranks")

SURVIVED: dict[str, tuple[int, dict[str, Any]]] = {
    "survived": (4, {"map": SQUARES, "after": 81, "pool": SQUARES[:5], "left": 3, "plist": True}),
    "swift": (3, {"swift": True, "left": 2, "plist": True}),
    "poisoned": (4, {"told": [*SQUARES[:7], "BrokenExecutor", *SQUARES[8:20]],
                     "after": SQUARES[:5], "left": 2, "plist": True}),
    "nobody_left": (3, {"told": ["BrokenExecutor"] * 5, "refused": True, "left": 1, "plist": True}),
    "the_root_is_left_with_tasks": (3, {"given up": True, "right": True, "after": SQUARES[:5],
                                        "left": 1, "plist": True}),
    "early": (4, {"early": (SQUARES[:5], 2), "left": 3, "plist": True}),
    "deserted": (3, {"deserted": (SQUARES[:5], True, 1), "left": 1, "plist": True}),
    "standing": (4, {"round 0": True, "round 1": True, "round 2": True}),
}  # fmt: skip


def fault_tolerant(n: int, case: str, folder: Path) -> Any:
    command = ["-m", "mpicomp", "run", "--fault-tolerant", "-n", str(n)]
    return on_root(
        lambda: run_python([*command, str(HERE / "lossy.py"), case], timeout=100, cwd=folder)
    )


@once
@open_mpi
@pytest.mark.parametrize("case", SURVIVED)
def test_trap_12_tasks_of_a_rank_that_is_lost_are_computed_by_others(
    case: str, tmp_path: Path
) -> None:
    n, expected = SURVIVED[case]
    done = fault_tolerant(n, case, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ast.literal_eval(done.stdout) == expected, done.stderr
    if case not in ("early", "deserted"):
        assert "RankLostWarning: rank " in done.stderr
        assert "was lost while it served an executor" in done.stderr


@once
@open_mpi
def test_the_root_does_not_compute_what_others_were_lost_by(tmp_path: Path) -> None:
    done = fault_tolerant(3, "the_root_is_left", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = ast.literal_eval(done.stdout)
    # the root may have been the first to compute it
    assert found["poison"] == ("BrokenExecutor" if found["left"] < 3 else 49), done.stderr
    assert found["after"] == SQUARES[:5]


@once
@open_mpi
def test_nobody_serves_a_root_that_is_lost(tmp_path: Path) -> None:
    done = fault_tolerant(3, "root_lost", tmp_path)
    assert done.returncode != 0
    for line in done.stdout.splitlines():
        assert "rank 0 (process" in ast.literal_eval(line)["worker"]
        assert "which submits, is lost" in line
    assert "BrokenExecutor" in done.stderr


@once
@pytest.mark.parametrize("case", ["broken", "root_lost"])
def test_where_a_launcher_lets_ranks_live_futures_are_broken(case: str, tmp_path: Path) -> None:
    """MPI does not go on, but the program finds out, and the job ends."""
    lets_live = {"mpich": "-disable-auto-cleanup", "openmpi": "--continuous"}[mpi_beside()]
    command = [mpiexec(), lets_live, "-n", "3", sys.executable, str(HERE / "lossy.py"), case]

    def run() -> Any:
        with open(tmp_path / "out", "w+") as out, open(tmp_path / "err", "w+") as err:
            code = guarded(command, timeout=100, env=environment(mpi=mpi_beside()), cwd=tmp_path,
                           stdout=out, stderr=err)  # fmt: skip
        return code, (tmp_path / "out").read_text() + (tmp_path / "err").read_text()

    told: Any = on_root(run)
    code, said = told
    assert code != 0, said
    if mpi_beside() == "openmpi":  # MPICH's launcher sends the others a signal that ends Python
        word = "BrokenExecutor" if case == "root_lost" else "MPI cannot go on without it"
        assert word in said
