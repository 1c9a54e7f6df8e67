"""The runner itself: no failure is lost, nothing hangs, nothing is left running."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.__main__ import MOST, RANKS, Outcome, Run, always_skipped, planned, rank_tests, table
from tests.launch import OF_A_JOB, ROOT, run_python, run_ranks


def pytest_on_ranks(n: int, folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Run the tests in *source* on *n* ranks, as the runner does."""
    file = folder / "test_it.py"
    file.write_text(source)
    ours = ["-c", "setup.cfg", "-p", "tests.conftest"]
    options = ["--override-ini=faulthandler_timeout=2", "--color=no"]
    return run_ranks(n, ["-m", "tests.rank", str(n), folder, *ours, *options, file], cwd=ROOT)


@pytest.mark.parametrize(
    "body",
    [
        "assert world.rank != 2",
        "pytest.fail('here') if world.rank == 1 else None",
        "pytest.skip('not here') if world.rank == 1 else None",
    ],
)
def test_a_test_that_goes_wrong_on_one_rank_fails_on_all(tmp_path: Path, body: str) -> None:
    source = f"""if True:
        import pytest
        def test_one(world):
            {body}
        def test_next(world):
            assert world.allreduce(1) == world.size
    """
    done = pytest_on_ranks(3, tmp_path, source)
    assert done.returncode != 0
    assert "1 failed, 1 passed" in done.stdout
    for rank in (1, 2):
        assert "1 failed, 1 passed" in (tmp_path / f"rank{rank}.txt").read_text()


def test_a_property_that_fails_on_one_rank_is_shrunk_by_all(tmp_path: Path) -> None:
    source = """if True:
        from hypothesis import assume, given, strategies as st
        @given(n=st.integers())
        def test_one(world, n):
            assume(n % 3)
            assert world.allreduce(n) == n * world.size
            assert world.rank != 1 or n <= 100
    """
    done = pytest_on_ranks(2, tmp_path, source)
    assert done.returncode != 0
    assert "n=101" in done.stdout


def test_ranks_that_collect_different_tests_do_not_start(tmp_path: Path) -> None:
    source = """if True:
        from mpi4py import MPI
        def test_one(): pass
        if MPI.COMM_WORLD.rank == 1:
            def test_two(): pass
    """
    done = pytest_on_ranks(2, tmp_path, source)
    assert done.returncode != 0
    assert "test_two" in done.stdout + done.stderr


def test_a_test_that_hangs_shows_every_rank_and_ends(tmp_path: Path) -> None:
    source = """if True:
        def test_one(world):
            if world.rank == 1:
                raise ValueError("what went wrong")
            world.barrier()
    """
    done = pytest_on_ranks(2, tmp_path, source)
    assert done.returncode != 0
    assert "in test_one" in done.stderr
    other = (tmp_path / "rank1.txt").read_text()
    assert "in pytest_runtest_makereport" in other
    assert "what went wrong" in other


def test_more_ranks_than_mpi_started_is_told(tmp_path: Path) -> None:
    done = run_ranks(2, ["-m", "tests.rank", "3", tmp_path], cwd=ROOT)
    assert done.returncode != 0
    assert "expected 3 ranks, got 2" in done.stderr


def test_a_program_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = """if True:
        import os, pathlib, signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("on the way", flush=True)
        from mpi4py import MPI
        def waits():
            open(f"{os.getpid()}.pid", "w").close()
            MPI.COMM_WORLD.recv()
        waits()
    """
    with pytest.raises(subprocess.TimeoutExpired):
        run_ranks(3, ["-c", program], timeout=10, cwd=tmp_path)
    written = capfd.readouterr().out
    assert written.count("on the way") == 3
    assert written.count("in waits") == 3
    pids = [file.stem for file in tmp_path.glob("*.pid")]
    assert len(pids) == 3
    assert not [pid for pid in pids if Path(f"/proc/{pid}/cwd").exists()]


def test_a_child_of_a_rank_is_in_no_job() -> None:
    program = """if True:
        from tests.launch import run_python
        print(run_python(["-c", "import os; print(*os.environ)"]).stdout)
    """
    names = run_ranks(1, ["-c", program]).stdout.split()
    assert "PATH" in names
    assert not [name for name in names if name.startswith(OF_A_JOB)]


def test_a_test_that_no_run_performs_is_named() -> None:
    one = Outcome(Run(("mpi",), "mpich", 1), 0, 1.0, {"a": "skipped", "b": "skipped"})
    two = Outcome(Run(("mpi",), "mpich", 2), 0, 1.0, {"a": "skipped", "b": "passed"})
    assert always_skipped([one, two]) == ["a"]


def test_on_most_ranks_each_file_runs_with_one_of_the_two() -> None:
    runs = [run for run in planned(None, ["mpich", "openmpi"], None) if run.ranks]
    assert [(run.mpi, run.ranks) for run in runs] == [
        (mpi, n) for mpi in ("mpich", "openmpi") for n in RANKS
    ]
    halves = [run.files for run in runs if run.ranks == MOST]
    assert sorted(halves[0] + halves[1]) == sorted(rank_tests())
    assert abs(len(halves[0]) - len(halves[1])) <= 1
    assert not any(run.files for run in runs if run.ranks != MOST)


@pytest.mark.parametrize(
    ("mpis", "ranks"), [(["mpich"], None), (["openmpi"], [5]), (["mpich", "openmpi"], [5])]
)
def test_a_run_that_is_asked_for_has_all_files(mpis: list[str], ranks: list[int] | None) -> None:
    runs = [run for run in planned(["mpi"], mpis, ranks) if run.ranks == MOST]
    assert [run.mpi for run in runs] == mpis
    assert not any(run.files for run in runs)


def test_a_run_without_a_report_counts_as_a_failure() -> None:
    crashed = Outcome(Run(("mpi",), "mpich", 3), 9, 1.0, {})
    assert table([crashed]).endswith("\n0 passed, 1 failed, 0 skipped")


def test_the_standard_library_is_enough_to_start() -> None:
    # -I: nothing but the interpreter; -S: nor what is installed in its environment
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import tests.__main__"
    done = run_python(["-I", "-S", "-c", program], cwd=Path(os.sep))
    assert done.returncode == 0, done.stderr
