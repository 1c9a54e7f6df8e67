"""Traps that other libraries of this kind have fallen into: each is a test of ours.

 1  a task's number as MPI tag: more_chunks_than_there_are_tags
 2  a receive into the default buffer: messages_beyond_the_default_buffer
 3  ``n // p`` that drops the remainder; n < p; p = 1: the_remainder_of_a_division_is_not_lost
 4  the user's communicator ignored somewhere: the_users_communicator_is_used_by_every_verb
 5  an option, such as a progress bar, that changes values: no_option_changes_the_value
 6  ``MPI.pickle`` replaced for everybody: the_pickle_of_mpi4py_is_left_alone
 7  an exception that cannot be pickled: an_exception_that_cannot_be_pickled; test_executor
 8  a second ``map``: a_second_call_and_a_third; test_executor, test_pool
 9  all tasks sent at once: not_all_items_are_asked_for_at_once; test_executor, test_piter
10  an early end, then another collective: after_an_early_end_comes_another_collective; test_piter
11  results in the order of arrival: results_come_in_order_however_late_their_ranks_are
12  a dead worker that is waited for: a_dead_rank_is_not_waited_for; test_executor
13  starmap with a window, tuples without arguments: starmaps_of_every_kind; test_executor
14  sigma = 0, t = 1, B = 1, P = 1 in the formulas: pure/test_schedule, its examples and
    fsc_where_the_formula_divides_by_zero, mfsc_with_one_item_per_rank
15  each rank small, the sum over 2 GiB: each_rank_small_and_the_sum_large
16  every process rank 0 of 1: every_process_believes_that_it_is_rank_0_of_1
"""

from __future__ import annotations

import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import (
    Pool,
    counter,
    gather,
    item_comm,
    options,
    pall,
    pany,
    parray,
    pcount,
    pdict,
    pfor,
    pgroup,
    piter,
    plist,
    pmap,
    pmax,
    pmin,
    preduce,
    preduce_by_key,
    pset,
    psum,
    scatter,
    share,
)
from mpicomp.futures import MPIExecutor
from mpicomp.wire import transport
from tests.launch import run_python, run_ranks
from tests.mpi.laws import SCHEDULES, WAYS, each_schedule, holds, on_root, raised, rank_of, together

WORLD = MPI.COMM_WORLD


def test_more_chunks_than_there_are_tags() -> None:
    n = 70_000
    holds(psum((x for x in range(n)), schedule="static,1"), n * (n - 1) // 2)
    holds(plist((-x for x in [*range(n)]), schedule="static,1"), [-x for x in range(n)])


def test_messages_beyond_the_default_buffer() -> None:
    text = "x" * 100_000
    holds(plist(text for _ in range(WORLD.size)), [text] * WORLD.size)
    holds(plist(len(x) for x in [text] * WORLD.size), [100_000] * WORLD.size)
    raised(lambda: plist(int(x) for x in [text] * WORLD.size), ValueError)


@each_schedule
def test_the_remainder_of_a_division_is_not_lost(schedule: str) -> None:
    for p in range(1, WORLD.size + 1):
        for n in {0, 1, p - 1, p, p + 1, 3 * p - 1, 3 * p + 1}:
            holds(psum((1 for _ in range(n)), schedule=schedule), n)
            holds(plist((x for x in [*range(n)]), schedule=schedule), [*range(n)])


def test_the_users_communicator_is_used_by_every_verb() -> None:
    with options(comm=MPI.COMM_SELF):
        mine = WORLD.rank
        xs = [mine] * 3
        together(
            [
                plist(x for x in xs), pset(x for x in xs), pdict((x, x) for x in xs),
                parray(x for x in xs).tolist(),  # type: ignore[union-attr]  # alone: never None
                psum(x for x in xs), pmin(x for x in xs), pmax(x for x in xs),
                pany(x < 0 for x in xs), pall(x == mine for x in xs),
                preduce(max, (x for x in xs)), pmap(abs, xs), gather(xs, scatter(xs)),
            ] == [xs, {mine}, {mine: mine}, xs, 3 * mine, mine, mine, False, True, mine, xs, xs],
            "a verb has asked other ranks",
        )  # fmt: skip
        together(
            [
                pcount(x for x in xs), pgroup((x, x) for x in xs), [*piter(x for x in xs)],
                preduce_by_key(max, ((x, x) for x in xs)), pfor(x for x in xs),
                plist((x for x in xs), root="stay").part,  # type: ignore[union-attr]  # a whole, never None
                plist((item_comm().size for _ in xs), ranks_per_item=2),
            ] == [{mine: 3}, {mine: xs}, xs, {mine: mine}, (3, 0, []), xs, [1, 1, 1]],
            "a verb has asked other ranks",
        )  # fmt: skip
    table, hits = share(xs, comm=MPI.COMM_SELF), counter(mine, comm=MPI.COMM_SELF)
    hits.add()
    with MPIExecutor(comm=MPI.COMM_SELF) as ex, Pool(comm=MPI.COMM_SELF) as pool:
        assert ex is not None
        got = [table.tolist(), hits.value, ex.submit(abs, mine).result(), pool.map(abs, xs)]
    hits.close()
    together(got == [xs, mine + 1, mine, xs], f"{got}")


def test_no_option_changes_the_value(tmp_path: Path) -> None:
    kept = WORLD.bcast(str(tmp_path / "journal"))
    expected = [x * x for x in range(50) if x % 3]
    for schedule in (*SCHEDULES, "static,7"):
        for root in (0, WORLD.size - 1, None):
            for errors in ("raise", "return"):
                got = plist((x * x for x in range(50) if x % 3), schedule=schedule, root=root,
                            errors=errors)  # fmt: skip
                holds(got, expected, root)
    others: list[dict[str, Any]] = [
        {"progress": True}, {"retries": 2}, {"timeout": 60}, {"patience": 60}, {"reissue": True},
        {"check": "shuffle"}, {"cost": lambda x: x}, {"setup": dict}, {"ranks_per_item": 2},
        {"deadline": 600}, {"journal": kept}, {"journal": kept}, {"effects": "ignore"},
        {"dispatch": "master"}, {"dispatch": "master-only"}, {"dispatch": "counter"},
    ]  # fmt: skip
    for given in others:
        holds(plist((x * x for x in range(50) if x % 3), **given), expected)
        holds(psum((x * x for x in range(50) if x % 3), **given), sum(expected))


def test_the_pickle_of_mpi4py_is_left_alone_and_that_of_the_user_not_used() -> None:
    before = MPI.pickle

    def fail(*_: Any) -> Any:
        raise AssertionError("the user's pickle was used")

    kept = before.dumps, before.loads
    try:
        before.__init__(fail, fail)  # type: ignore[misc]  # how mpi4py sets it
        got = plist(str(x) for x in [*range(20)])
        array = parray(x for x in range(20))
    finally:
        before.__init__()  # type: ignore[misc]  # how mpi4py sets it
    assert MPI.pickle is before
    assert kept == (before.dumps, before.loads)
    assert WORLD.bcast(3) == 3
    holds(got, [str(x) for x in range(20)])
    holds(array, np.arange(20.0))


class Stubborn(Exception):
    """Cannot be pickled, and what was pickled could not be unpickled."""

    def __init__(self, *, code: int) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        raise pickle.PicklingError("no")


def test_an_exception_that_cannot_be_pickled() -> None:
    def fail(x: int) -> int:
        raise Stubborn(code=x)

    assert raised(lambda: plist(fail(x) for x in range(20)), Stubborn).code == 0


def test_a_second_call_and_a_third() -> None:
    for turn in range(5):
        holds(pmap(lambda x, t=turn: x + t, range(9)), [x + turn for x in range(9)])
        raised(lambda: plist(1 // x for x in range(9)), ZeroDivisionError)


def test_not_all_items_are_asked_for_at_once() -> None:
    asked, most = [0], [0]

    def items() -> Iterator[int]:
        for asked[0] in range(100_000):
            yield asked[0]

    def note(x: int) -> int:
        most[0] = max(most[0], asked[0] - x)
        return x

    holds(psum((note(x) for x in items()), effects="ignore"), sum(range(100_000)))
    together(most[0] <= 20_000 * WORLD.size, f"{most[0]} under way")


def test_after_an_early_end_comes_another_collective() -> None:
    for schedule in SCHEDULES:
        for place in (0, 5, 300):
            holds(pany((x == place for x in range(10**9)), schedule=schedule), True)
            assert WORLD.allreduce(1) == WORLD.size
            holds(pall((x != place for x in iter(range(400).__iter__().__next__, -1)),
                       schedule=schedule), False)  # fmt: skip
            WORLD.Barrier()


@each_schedule
def test_results_come_in_order_however_late_their_ranks_are(schedule: str) -> None:
    def late(x: int) -> int:
        sum(range(20_000 if WORLD.rank == 0 or x < 3 else 0))
        return x

    holds(plist((late(x) for x in range(99)), schedule=schedule), [*range(99)])


def program(tmp_path: Path, text: str, *, env: dict[str, str] | None = None, ranks: int) -> Any:
    def run() -> tuple[int, str, str]:
        script = tmp_path / "program.py"
        script.write_text(text)
        given: Any = {"timeout": 40, "env": env}
        done = run_ranks(ranks, [script], **given) if ranks else run_python([script], **given)
        return done.returncode, done.stdout, done.stderr

    return on_root(run)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV], ids=lambda how: how.name)
def test_a_dead_rank_is_not_waited_for(how: int, tmp_path: Path) -> None:
    text = f"""
import os
from mpicomp import plist, world
plist(x for x in range(9))
gen = (os.kill(os.getpid(), {int(how)}) if world().rank == 1 else x for x in range(9))
plist(gen, schedule="static")
"""
    code, _, _ = program(tmp_path, text, env={"PYTHONFAULTHANDLER": ""}, ranks=2)
    assert code != 0


def test_starmaps_of_every_kind() -> None:
    for xs in ([(1, 2), (3, 4)], iter([(1, 2), (3, 4)]), (p for p in [(1, 2), (3, 4)])):
        holds(plist(pow(*args) for args in xs), [1, 81])
    holds(plist(dict(*args) for args in [(), (), ()]), [{}, {}, {}])
    holds(pmap(divmod, (x for x in [7, 8]), [2, 3, 4]), [(3, 1), (2, 2)])


def test_each_rank_small_and_the_sum_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on what all have together; -m huge tries it with 2 GiB."""
    monkeypatch.setattr(transport, "SMALL", 100)
    monkeypatch.setattr(transport, "LIMIT", 100)
    for schedule, name in WAYS:
        root = rank_of(name)
        got = plist((str(x) for x in range(60)), schedule=schedule, root=root)
        holds(got, [str(x) for x in range(60)], root)


ALONE = "from mpicomp import plist\nprint(plist(x for x in range(3)))"


OTHER_MPI = "OMPI_COMM_WORLD_SIZE" if "MPICH" in MPI.Get_library_version() else "PMI_SIZE"


@pytest.mark.parametrize(
    "variable", ["SLURM_STEP_NUM_TASKS", OTHER_MPI], ids=["bare srun", "another MPI"]
)
def test_every_process_believes_that_it_is_rank_0_of_1(variable: str, tmp_path: Path) -> None:
    env = {variable: "4"}
    code, out, err = program(tmp_path, ALONE, env=env, ranks=0)
    assert code != 0
    assert out == ""
    assert f"started 4 processes ({variable}=4), but each is rank 0 of 1" in err
    code, out, err = program(tmp_path, ALONE, env=env | {"MPICOMP_SINGLETON": "1"}, ranks=0)
    assert (code, out) == (0, "[0, 1, 2]\n")


def test_without_a_launcher_it_is_serial_and_starts_no_mpi(tmp_path: Path) -> None:
    text = ALONE + "\nimport sys\nassert 'mpi4py' not in sys.modules"
    assert program(tmp_path, text, ranks=0) == (0, "[0, 1, 2]\n", "")
