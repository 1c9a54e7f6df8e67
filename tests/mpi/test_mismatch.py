"""Ranks that do not make the same call are told so; ranks that leave keep nobody waiting."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import (
    CollectiveMismatch,
    ComprehensionError,
    OptionError,
    ScheduleError,
    pany,
    parray,
    plist,
    pmap,
    pmax,
    pmin,
    preduce,
    pset,
    psum,
)
from tests.launch import run_ranks
from tests.mpi.laws import holds, on_root, raised, rank_of, still_works

WORLD = MPI.COMM_WORLD
LAST = WORLD.rank == WORLD.size - 1
needs_two = pytest.mark.skipif(WORLD.size == 1, reason="one rank agrees with itself")


# what one rank sees in its own call, raised on every rank


async def numbers() -> Any:
    yield 1


def function(xs: list[int]) -> Iterator[int]:
    yield from xs


def started() -> Iterator[int]:
    gen = (x for x in range(9))
    next(gen)
    return gen


def unbound() -> Iterator[int]:
    if WORLD.size < 0:
        missing = 1
    return (x + missing for x in range(9))


def named(**options: Any) -> Callable[[], Any]:
    return lambda: plist((x for x in range(9)), **options)


BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "schedule": (named(schedule="giuded"), ScheduleError, 'write "guided"'),
    "chunk": (named(schedule="static,0"), ScheduleError, ">= 1"),
    "no text": (named(schedule=4), ScheduleError, "got 4"),
    "errors": (named(errors="ignore"), OptionError, "got 'ignore'"),
    "root outside": (named(root=99), OptionError, "root=99 is outside"),
    "root below": (named(root=-1), OptionError, "got -1"),
    "no option": (named(shedule="static"), OptionError, "shedule"),
    "errors of a sum": (lambda: psum((x for x in range(9)), errors="return"), OptionError, "psum"),
    "started": (lambda: plist(started()), ComprehensionError, "has already started"),
    "function": (lambda: plist(function([1])), ComprehensionError, "for x in function"),
    "asynchronous": (
        lambda: plist(cast(Any, (x async for x in numbers()))), ComprehensionError, "asynchronous",
    ),
    "list": (lambda: plist([1, 2]), ComprehensionError, r"write plist\(f\(x\) for x in xs\)"),
    "none": (lambda: psum(cast(Any, None)), ComprehensionError, "psum needs a generator"),
    "unbound name": (lambda: plist(unbound()), NameError, "missing"),
    "start": (lambda: psum((x for x in "ab"), ""), TypeError, "strings"),
    "op": (lambda: preduce(cast(Any, 3), (x for x in range(9))), OptionError, "preduce"),
    "two initials": (lambda: preduce(max, (x for x in range(9)), 1, 2), OptionError, "preduce"),
    "no function": (lambda: pmap(cast(Any, 3), [1]), OptionError, "pmap"),
    "no iterable": (lambda: pmap(abs), OptionError, "pmap"),
    "dtype": (lambda: parray((x for x in range(9)), "nonsense"), TypeError, "nonsense"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_call(name: str) -> None:
    call, kind, message = BAD[name]
    assert re.search(message, str(raised(call, kind)))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_call_on_one_rank(name: str) -> None:
    call, kind, _ = BAD[name]
    good = lambda: plist(x for x in range(9))  # noqa: E731  # as those of BAD
    raised(call if LAST else good, kind, CollectiveMismatch)


@pytest.mark.parametrize("comm", [3, "world", MPI.COMM_NULL], ids=["int", "str", "null"])
def test_what_is_no_communicator(comm: Any) -> None:
    with pytest.raises(OptionError, match="comm must be an intracommunicator"):
        plist((x for x in range(9)), comm=comm)
    still_works()


# different calls


DIFFERENT: dict[str, tuple[Callable[[], Any], Callable[[], Any], str, str]] = {
    "verbs": (
        lambda: plist(x for x in range(9)), lambda: pset(x for x in range(9)), "plist", "pset",
    ),
    "min and max": (
        lambda: pmin(x for x in range(9)), lambda: pmax(x for x in range(9)), "pmin", "pmax",
    ),
    "code": (
        lambda: plist(x + 1 for x in range(9)), lambda: plist(x + 2 for x in range(9)),
        "test_mismatch.py", "test_mismatch.py",
    ),
    "ranges": (
        lambda: plist(x for x in range(9)), lambda: plist(x for x in range(8)), "range(0, 9)",
        "range(0, 8)",
    ),
    "ranges beyond 64 bits": (
        lambda: pany(x for x in range(2**70)), lambda: pany(x for x in range(2**71)),
        str(2**70), str(2**71),
    ),
    "schedules": (
        named(schedule="static,2"), named(schedule="static,3"), "static,2", "static,3",
    ),
    "roots": (named(root=0), named(root=None), "root=0", "root=None"),
    "errors": (named(errors="raise"), named(errors="return"), "raise", "return"),
    "dtypes": (
        lambda: parray((x for x in range(9)), "f4"), lambda: parray((x for x in range(9)), "f8"),
        "f4", "f8",
    ),
    "functions": (lambda: pmap(abs, [1, 2]), lambda: pmap(str, [1, 2]), "abs", "str"),
    "a call and a bad call": (named(), named(schedule="nonsense"), "", "nonsense"),
}  # fmt: skip


@needs_two
@pytest.mark.parametrize("name", DIFFERENT)
def test_different_calls_are_both_named(name: str) -> None:
    usual, other, told, told_other = DIFFERENT[name]
    for odd in (0, WORLD.size - 1):
        error = raised(other if WORLD.rank == odd else usual, CollectiveMismatch, OptionError)
        assert told in str(error)
        assert told_other in str(error)


@needs_two
def test_the_same_line_with_other_ranges_on_every_rank() -> None:
    error = raised(lambda: plist(x for x in range(WORLD.rank)), CollectiveMismatch)
    for rank in range(WORLD.size):
        assert f"range(0, {rank})" in str(error)
    assert isinstance(error, RuntimeError)


@needs_two
@pytest.mark.parametrize("odd", ["first", "last"])
def test_what_was_found_before_ranks_differ_does_not_reach_the_next_call(odd: str) -> None:
    """An item may have failed, or decided, before the ranks know that their calls differ."""
    for call in (
        lambda: plist(1 // x for x in range(9)),
        lambda: pany(x == 0 for x in range(10**9)),
        lambda: pany((x == 0 for x in range(10**9)), root=WORLD.size - 1),
    ):
        raised(call if WORLD.rank == rank_of(odd) else named(), CollectiveMismatch)
        for root in (0, WORLD.size - 1):
            got = psum((len(range(x)) for x in range(40_000)), schedule="static,7", root=root)
            holds(got, sum(range(40_000)), root)


def test_ranks_may_come_with_other_numbers_in_the_closure() -> None:
    k = WORLD.rank
    assert plist((k for _ in range(WORLD.size)), schedule="static,1", root=None) == [
        *range(WORLD.size)
    ]


def test_numpy_numbers_in_a_range_are_whole_numbers() -> None:
    holds(plist(x for x in range(np.int64(5))), [*range(5)])


# ranks that end, in programs of their own


def ended(tmp_path: Path, text: str, *, ranks: int = 0) -> tuple[int, str, str]:
    """Exit code and output of a program; a hang is an error after a while."""

    def run() -> tuple[int, str, str]:
        script = tmp_path / "program.py"
        script.write_text(f"from mpi4py import MPI\nrank = MPI.COMM_WORLD.rank\n{text}")
        done = run_ranks(ranks or max(2, WORLD.size), [script], timeout=40)
        return done.returncode, done.stdout, done.stderr

    code, out, err = on_root(run)
    return code, out, err


USUAL = "import sys, mpicomp\nfrom mpicomp import plist\nplist(x for x in range(9))\n"


def test_a_program_that_goes_well_ends_well(tmp_path: Path) -> None:
    # one rank prints: a launcher may put the output of two on one line
    text = USUAL + "found = plist(x for x in range(9))\nif found: print(sum(found))"
    code, out, err = ended(tmp_path, text)
    assert (code, out.strip(), err) == (0, "36", "")


def test_an_error_outside_a_verb_on_one_rank_ends_the_job(tmp_path: Path) -> None:
    text = USUAL + "if rank == 1: raise KeyError('mine alone')\nplist(x for x in range(8))"
    code, _, err = ended(tmp_path, text)
    assert code != 0
    assert err.count("KeyError: 'mine alone'") == 1


def test_so_does_one_before_the_first_verb(tmp_path: Path) -> None:
    text = "from mpicomp import plist\nif rank == 1: raise KeyError('mine alone')\n"
    code, _, err = ended(tmp_path, text + "plist(x for x in range(8))")
    assert code != 0
    assert "KeyError: 'mine alone'" in err


def test_an_error_of_an_item_is_printed_once(tmp_path: Path) -> None:
    code, _, err = ended(tmp_path, USUAL + "plist(1 // (x - 5) for x in range(9))")
    assert code == 1
    assert err.count("ZeroDivisionError: integer division") == 2  # of the rank, and its cause
    assert err.count("in item 5 (x=5) on rank") == 1


def test_an_error_that_only_some_catch_is_told_before_the_job_ends(tmp_path: Path) -> None:
    text = USUAL + (
        "try:\n    plist(1 // (x - 5) for x in range(9))\n"
        "except ZeroDivisionError:\n    if rank: raise\n"
        "plist(x for x in range(8))"
    )
    code, _, err = ended(tmp_path, text)
    assert code != 0
    assert "ZeroDivisionError" in err


@pytest.mark.parametrize("leave", ["sys.exit(3)", "pass"])
def test_a_rank_that_ends_while_the_others_call(tmp_path: Path, leave: str) -> None:
    text = USUAL + f"if rank == 1: {leave}\nelse: plist(x for x in range(8))"
    code, _, err = ended(tmp_path, text)
    assert code != 0
    assert "reached the end of its program" in err


@pytest.mark.parametrize("make", ["MPI.COMM_WORLD.Dup()", "MPI.COMM_WORLD.Split(rank == 0, -rank)"])
def test_a_rank_that_ends_while_the_others_call_on_another_communicator(
    tmp_path: Path, make: str
) -> None:
    text = f"""
from mpicomp import plist
comm = {make}
plist((x for x in range(9)), comm=comm)
if rank != 1: plist((x for x in range(8)), comm=comm)
if rank != 1: plist(x for x in range(8))
"""
    code, _, _ = ended(tmp_path, text, ranks=3)
    assert code != 0


def test_freed_communicators_do_not_matter_at_the_end(tmp_path: Path) -> None:
    text = """
from mpicomp import plist
for _ in range(3):
    comm = MPI.COMM_WORLD.Dup()
    plist((x for x in range(9)), comm=comm)
    comm.Free()
plist(x for x in range(9))
"""
    code, out, err = ended(tmp_path, text)
    assert (code, out, err) == (0, "", "")


def test_sys_exit_in_an_item_ends_the_program_with_its_code(tmp_path: Path) -> None:
    text = USUAL + "plist(sys.exit(7) if x == 5 else x for x in range(9))\nprint('not here')"
    code, out, _ = ended(tmp_path, text)
    assert code == 7
    assert out == ""
