"""patience=: a rank that never comes is named, with where it was last seen; others are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from mpi4py import MPI

import mpicomp
from mpicomp import plist, psum
from tests.launch import run_ranks
from tests.mpi.laws import HANDED_OUT, SCHEDULES, holds, still_works, together

WORLD = MPI.COMM_WORLD
ASKED = 11  # the tag of roll calls

PROGRAM = """
import signal, sys, os
from mpi4py import MPI
from mpicomp import PatienceError, plist

way, schedule = sys.argv[1:]
rank = MPI.COMM_WORLD.rank


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)  # nothing of it runs any more


def item(x):
    if way in ("item", "first") and x == 5:
        stop()
    return x


plist(range(3).__contains__(x) for x in range(3))  # a call without patience before
plist((item(x) for x in range(9 if way == "first" else 4)), patience=0.5, schedule=schedule)
if way == "between" and rank == 1:
    stop()
for attempt in 1, 2:
    try:
        plist((item(x) for x in range(9)), patience=0.5, schedule=schedule)
    except PatienceError as error:
        if way == "item":
            raise
        sys.stderr.write(f"caught {attempt}: {error}\\n")
"""


@pytest.mark.parametrize(("way", "schedule"), [
    ("first", "static"), ("item", "static"), ("item", "af"), ("between", "dynamic")])  # fmt: skip
def test_a_rank_that_never_comes(way: str, schedule: str, tmp_path: Path) -> None:
    if WORLD.size > 1:  # the program has ranks of its own
        return
    program = tmp_path / "late.py"
    program.write_text(PROGRAM)
    done = run_ranks(3, [program, way, schedule])
    assert done.returncode != 0
    told = done.stderr
    assert "of 3 did not come to plist at" in told
    assert "within patience=0.5 seconds" in told
    assert "was last seen" in told
    if way == "between":
        assert "rank 1 (" in told
        assert "it left plist at" in told
        assert "late.py:21" in told
        assert "caught 1:" in told
        assert "caught 2:" in told  # a further call does not hang either
    else:
        assert "it called plist at" in told
        assert f"late.py:{21 if way == 'first' else 26}, at item" in told


def test_nobody_is_named_where_all_come() -> None:
    for schedule in (*SCHEDULES, *HANDED_OUT):
        holds(plist((x for x in range(50)), patience=60, schedule=schedule), [*range(50)])
    holds(psum((x for x in (x for x in range(50))), patience=60), sum(range(50)))


@pytest.mark.parametrize("schedule", ["static", "af"])
def test_who_comes_within_the_grace_is_waited_for(schedule: str) -> None:
    ranks = mpicomp.world()
    missed: list[int] = []

    def item(x: int) -> int:
        # until another rank has asked where this one is
        while x == 0 and WORLD.size > 1 and not missed:
            assert ranks.comm is not None
            if ranks.comm.Iprobe(MPI.ANY_SOURCE, ASKED):
                missed.append(x)
        return x

    n = 3 * WORLD.size
    gen = (item(x) for x in range(n))
    holds(plist(gen, patience=0.1, schedule=schedule, effects="ignore"), [*range(n)])
    for _ in range(2):  # what was asked too late is heard at the end of a call; so are the answers
        still_works()
    left = ranks.comm is not None and ranks.comm.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG)
    together(not left, "a message is left")
