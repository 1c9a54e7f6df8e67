"""A call that has been tiny again and again is done by the root before the ranks meet.

Whether it is depends on the clock; what comes of it does not.  `TIMES` calls of the same code are
enough for every rank to remember it as tiny.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
from mpi4py import MPI

from mpicomp import CollectiveMismatch, parray, pdict, plist, pmin, preduce, psum
from mpicomp.engine import ahead
from mpicomp.engine.auto import Memory
from tests.mpi.laws import holds, raised, rank_of, together

TIMES = 8

SOURCES: list[Iterable[int]] = [range(20), [*range(20)], range(0), [5]]


def _squares(source: Iterable[int], root: str) -> Any:
    return plist((x * x for x in source), root=rank_of(root))


@pytest.mark.parametrize("root", ["first", "last", "all"])
@pytest.mark.parametrize("source", SOURCES, ids=repr)
def test_each_time_the_value_is_the_serial_one(source: Iterable[int], root: str) -> None:
    for _ in range(TIMES):
        holds(_squares(source, root), [x * x for x in source], rank_of(root))


def test_every_verb() -> None:
    for _ in range(TIMES):
        holds(psum(x / 3 for x in range(10)), math.fsum(x / 3 for x in range(10)))
        holds(pdict((x % 3, x) for x in range(10)), {x % 3: x for x in range(10)})
        holds(pmin(-x for x in range(10)), -9)
        holds(preduce(str.__add__, (str(x) for x in range(99)), ""), "".join(map(str, range(99))))
        holds(parray(x / 2 for x in range(10)), parray_of(10))


def parray_of(n: int) -> Any:
    import numpy as np

    return np.array([x / 2 for x in range(n)])


def _inverse(bad: int) -> Any:
    return plist(1 / (x - bad) for x in range(20))


def test_an_item_that_fails_all_at_once() -> None:
    for _ in range(TIMES):
        holds(_inverse(-1), [1 / (x + 1) for x in range(20)])
    error = raised(lambda: _inverse(7), ZeroDivisionError)
    assert "in item 7 (x=7)" in error.__notes__[0]
    holds(_inverse(-1), [1 / (x + 1) for x in range(20)])


def test_a_value_that_cannot_be_made() -> None:
    def least(limit: int) -> Any:
        return pmin(x for x in range(20) if x < limit)

    for _ in range(TIMES):
        holds(least(5), 0)
    raised(lambda: least(0), ValueError)


def test_the_ranks_need_not_remember_the_same() -> None:
    def squares(comm: MPI.Intracomm | None) -> Any:
        return plist((x * x for x in range(20)), comm=comm)

    for lonely in (0, MPI.COMM_WORLD.size - 1):
        if MPI.COMM_WORLD.rank == lonely:
            for _ in range(TIMES):
                assert squares(MPI.COMM_SELF) == [x * x for x in range(20)]
        for _ in range(2):
            holds(squares(None), [x * x for x in range(20)])


def test_another_call_is_a_mismatch_still() -> None:
    if MPI.COMM_WORLD.size == 1:
        return
    calls: list[Callable[[], Any]] = [
        lambda: psum(x for x in range(30)),
        lambda: plist(x for x in range(30)),
    ]
    for call in calls:
        for _ in range(TIMES):
            call()
    raised(calls[min(MPI.COMM_WORLD.rank, 1)], CollectiveMismatch)


def test_what_is_left_when_it_takes_long_after_all_is_shared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if each run of items had used up the time."""

    def cubes(n: int) -> Any:
        return plist((x**3 for x in range(n)), schedule="auto")

    monkeypatch.setattr(ahead, "QUICK", -1.0)
    monkeypatch.setattr(Memory, "lone", lambda *_: True)
    for n in (0, 1, 2, 31, 33, 5000):
        holds(cubes(n), [x**3 for x in range(n)])
    error = raised(lambda: plist(1 // (40 - x) for x in range(100)), ZeroDivisionError)
    assert "in item 40 (x=40)" in error.__notes__[0]
    together(cubes(3) == ([0, 1, 8] if MPI.COMM_WORLD.rank == 0 else None), "the next call works")


@pytest.mark.parametrize("longest", [1e-9, 1.0], ids=["in many runs", "in a few"])
def test_a_large_call_that_one_rank_should_do(
    longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_LONGEST", longest)
    monkeypatch.setattr(ahead, "QUICK", math.inf)
    monkeypatch.setattr(Memory, "lone", lambda *_: True)
    monkeypatch.setattr(Memory, "cost", 1e-6)

    def evens(n: int, bad: int = -1) -> Any:
        return plist((x // (x - bad) for x in range(n) if x % 2 == 0), schedule="auto")

    for n in (1, 2, 33, 5000):
        holds(evens(n), [x // (x + 1) for x in range(n) if x % 2 == 0])
    error = raised(lambda: evens(5000, bad=4000), ZeroDivisionError)
    assert "in item 4000 (x=4000)" in error.__notes__[0]
    holds(evens(33), [x // (x + 1) for x in range(33) if x % 2 == 0])


@pytest.mark.parametrize("place", [0, 1, 19])
def test_the_root_fails_in_items_that_the_others_have_left_to_it(
    place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call has another length: it is not done ahead."""
    monkeypatch.setattr(Memory, "cost", 1e-9)
    monkeypatch.setattr(Memory, "ships", 1e-6)

    def kept(x: int, bad: int | None) -> int:
        if x == bad:
            raise KeyError(x)
        return x

    def keep(n: int, bad: int | None = None) -> Any:
        return plist(kept(x, bad) for x in range(n))

    for n in range(20, 40):
        raised(partial(keep, n, place), KeyError)
        holds(keep(n), [*range(n)])
