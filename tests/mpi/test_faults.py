"""The fault list of Python's own process pools: what may go wrong at each stop of an item's way.

An item is pickled on the root, unpickled on its rank, run there, and its result pickled there and
unpickled on the root.  At each stop the code of the user's may raise, exit, end its process, or
crash.  Each has its outcome, the same on every rank, and none of them is a hang.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mpi4py import MPI

from mpicomp import TransportError, options, plist
from tests.launch import mpi_beside, run_python, run_ranks
from tests.mpi.laws import holds, on_root, raised, together

WORLD = MPI.COMM_WORLD
PARALLEL = WORLD.size > 1


class Fault(Exception):
    pass


def error() -> None:
    raise Fault("by itself")


def leave() -> None:
    sys.exit(3)


def interrupted() -> None:
    raise KeyboardInterrupt


def deep() -> None:
    deep()


def hungry() -> None:
    bytearray(2**62)


FAULTS: dict[Callable[[], None], type[BaseException]] = {
    error: Fault,
    leave: SystemExit,
    interrupted: KeyboardInterrupt,
    deep: RecursionError,
    hungry: MemoryError,
}
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)


class Parcel:
    """Something on its way, to which *fault* happens when it is packed, or unpacked."""

    def __init__(self, when: str, fault: Callable[[], None]) -> None:
        self.when, self.fault = when, fault

    def __reduce__(self) -> Any:
        if self.when == "packed":
            self.fault()
        return unpacked, (self.when, self.fault)


def unpacked(when: str, fault: Callable[[], None]) -> Parcel:
    if when == "unpacked":
        fault()
    return Parcel(when, fault)


def run(x: Any, fault: Callable[[], None], place: int = 5) -> Any:
    if x == place:
        fault()
    return x


def echoed(items: list[Any], schedule: str) -> Any:
    return plist((x for x in items), schedule=schedule)


@each_fault
def test_while_an_item_is_packed_for_its_rank(fault: Callable[[], None]) -> None:
    items = [*range(20), Parcel("packed", fault)]
    # what is no Exception is not dressed up as one
    kind = TransportError if issubclass(FAULTS[fault], Exception) else FAULTS[fault]
    for schedule in ("static", "dynamic") if PARALLEL else ():
        caught = raised(partial(echoed, items, schedule), kind)
        assert "while the items were sent" in "".join(caught.__notes__)


@each_fault
def test_while_an_item_is_unpacked_on_its_rank(fault: Callable[[], None]) -> None:
    items = [*range(20), Parcel("unpacked", fault)]
    for schedule in ("static", "dynamic") if PARALLEL else ():
        raised(partial(echoed, items, schedule), FAULTS[fault])


@each_fault
def test_while_an_item_runs(fault: Callable[[], None]) -> None:
    for schedule in ("static", "auto", "af"):
        with options(schedule=schedule):
            caught = raised(lambda: plist(run(x, fault) for x in range(20)), FAULTS[fault])
        assert "in item 5 (x=5) on rank" in "".join(caught.__notes__)


@each_fault
def test_as_a_value_in_the_place_of_an_item(fault: Callable[[], None]) -> None:
    def call(schedule: str) -> Any:
        gen = (run(x, fault) for x in range(20))
        return plist(gen, schedule=schedule, errors="return", root=None)

    for schedule in ("static", "auto", "af"):
        if not issubclass(FAULTS[fault], Exception):
            raised(partial(call, schedule), FAULTS[fault])
            continue
        got = call(schedule)
        together(type(got.pop(5)) is FAULTS[fault], f"{got}")
        together(got == [*range(5), *range(6, 20)], f"{got}")


@each_fault
@pytest.mark.parametrize("root", [0, None])
def test_while_a_result_is_packed(fault: Callable[[], None], root: int | None) -> None:
    kind = TransportError if issubclass(FAULTS[fault], Exception) else FAULTS[fault]
    if PARALLEL:
        raised(lambda: plist((Parcel("packed", fault) for _ in range(20)), root=root,
                             schedule="static"), kind)  # fmt: skip


@each_fault
@pytest.mark.parametrize("root", [0, None])
def test_while_a_result_is_unpacked(fault: Callable[[], None], root: int | None) -> None:
    if PARALLEL:
        raised(lambda: plist((Parcel("unpacked", fault) for _ in range(20)), root=root,
                             schedule="static"), FAULTS[fault])  # fmt: skip


class Wrapped(Exception):
    """An error whose class cannot be called with its arguments, for what it does then."""

    def __init__(self, text: str, fault: str = "") -> None:
        super().__init__(text)
        self.fault = fault

    def __reduce__(self) -> Any:
        return unwrapped, (self.args[0], self.fault)


def unwrapped(text: str, fault: str) -> Wrapped:
    globals()[fault]()
    return Wrapped(text)


class Cursed(Exception):
    """An error to which *fault* happens when it is packed."""

    fault: Callable[[], None]

    def __reduce__(self) -> Any:
        self.fault()
        raise AssertionError("not here")


@each_fault
def test_while_the_error_of_an_item_is_packed(fault: Callable[[], None]) -> None:
    def fail(x: int) -> int:
        problem = Cursed("the item's own")
        problem.fault = fault
        raise problem

    assert raised(lambda: plist(fail(x) for x in range(20)), Cursed).args == ("the item's own",)


@each_fault
def test_while_the_error_of_an_item_is_unpacked(fault: Callable[[], None]) -> None:
    def fail(x: int) -> int:
        raise Wrapped("the item's own", fault.__name__)

    caught = raised(lambda: plist(fail(x) for x in range(20)), Wrapped)
    assert (caught.args, caught.fault) == (("the item's own",), fault.__name__)


def nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


def test_a_result_too_deep_to_be_packed() -> None:
    if PARALLEL:
        raised(lambda: plist((nested(100_000) for _ in range(9)), schedule="static"),
               TransportError)  # fmt: skip
        holds(plist(len(nested(100_000)) for _ in range(9)), [1] * 9)


def test_results_that_are_large_arrive_whole() -> None:
    def large(x: int) -> bytes:
        return bytes([x]) * 3_000_001

    holds(plist(large(x) for x in range(9)), [large(x) for x in range(9)])


# a rank's process ends: programs of their own, once for each MPI

ends = pytest.mark.skipif(WORLD.size != 2, reason="the programs have ranks of their own")

SCRIPT = Path(__file__).with_name("faulty.py")

STOPS = ("item packed", "item unpacked", "running", "result packed", "result unpacked")


ENDS = [(how, stop) for how in ("exit", "crash") for stop in STOPS] + [("kill", STOPS[1])]


@ends
@pytest.mark.parametrize(("how", "stop"), ENDS)
def test_a_process_that_ends_on_the_way_ends_the_job(stop: str, how: str) -> None:
    supervised = ("-m", "mpicomp", "run") if how != "exit" else ()
    done: Any = on_root(lambda: run_ranks(2, [*supervised, SCRIPT, how, stop], timeout=60))
    assert done.returncode != 0
    assert "came through" not in done.stdout
    if how == "exit":  # also under MPICH, whose launcher would call this a success
        assert "os._exit(0) was called in a parallel call" in done.stderr
        assert ("in item " in done.stderr) == (stop == "running")


@ends
@pytest.mark.parametrize(("rank", "how"), [(0, "kill"), (2, "crash")])
def test_the_rank_that_died_first_is_named(rank: int, how: str) -> None:
    command = ["-m", "mpicomp", "run", "-n", "3", str(SCRIPT), how, "running", str(rank)]
    done: Any = on_root(lambda: run_python(command, timeout=60))
    assert done.returncode != 0
    assert f"mpicomp: rank {rank} ended without reaching the end of the program" in done.stderr
    assert "and so ended 2 more" in done.stderr


@ends
def test_an_exit_between_calls_is_as_the_end_of_the_program(tmp_path: Path) -> None:
    text = """
import os, sys
from mpicomp import plist, world
plist(x for x in range(9))
if sys.argv[1] == "all" or world().rank == 1:
    os._exit(0)
plist(x for x in range(8))
"""
    script = tmp_path / "script.py"
    script.write_text(text)
    every: Any = on_root(lambda: run_ranks(2, [script, "all"], timeout=60))
    assert (every.returncode == 0) == (mpi_beside() == "mpich")  # Open MPI never lets it pass
    one: Any = on_root(lambda: run_ranks(2, [script, "one"], timeout=60))
    assert one.returncode != 0
    assert "rank 1 of 2 reached the end of its program while" in one.stderr


MANY_WORLDS = """
from mpi4py import MPI
from mpicomp import plist
rank = MPI.COMM_WORLD.rank
for comm in [MPI.COMM_WORLD, *(MPI.COMM_WORLD.Split(rank // k) for k in (2, 3, 2, 3, 2))]:
    plist((x for x in range(9)), comm=comm, schedule="dynamic")
"""


@ends
def test_calls_on_many_communicators_end_in_one_order_on_all_ranks() -> None:
    for _ in range(2):  # which of them was left first by all is another one each time
        done: Any = on_root(lambda: run_ranks(3, ["-c", MANY_WORLDS], timeout=60))
        assert done.returncode == 0, done.stderr


@ends
def test_a_forked_child_may_end_as_children_do(tmp_path: Path) -> None:
    text = """
import os
from mpicomp import plist
def forked(x):
    child = os.fork()
    if not child:
        os._exit(x)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
value = plist((forked(x) for x in range(6)), schedule="static")
if value: print(value)
"""
    script = tmp_path / "script.py"
    script.write_text(text)
    done: Any = on_root(lambda: run_ranks(2, [script], timeout=60))
    assert (done.returncode, done.stdout) == (0, "[0, 1, 2, 3, 4, 5]\n"), done.stderr
