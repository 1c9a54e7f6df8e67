"""Laws 1 and 2 for schedules whose chunks nobody owns beforehand: claimed, or from a master."""

from __future__ import annotations

import itertools
import operator
import threading
from collections.abc import Iterator
from math import fsum
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpi4py import MPI

import mpicomp
from mpicomp import (
    CollectiveMismatch,
    OptionError,
    options,
    pany,
    parray,
    pdict,
    plist,
    pmap,
    preduce,
    psum,
)
from mpicomp.options import unsaid
from mpicomp.plan.chunks import table
from mpicomp.wire import counter as counters
from mpicomp.wire.world import world as world_of
from tests.mpi.laws import holds, raised, still_works, together

WORLD = MPI.COMM_WORLD
CLAIMED = ("dynamic", "dynamic,4", "guided", "trapezoid", "factoring,3", "tfss", "mfsc", "auto")
CLAIMED_TOO = ("fiss", "viss", "pls")
GIVEN = (
    "fsc,h=1e-6,sigma=1e-3",
    "pls,2,swr=0.8",
    f"weighted,weights={':'.join(map(str, range(1, WORLD.size + 1)))}",
)
ADAPTIVE = ("weighted", "awf-b", "awf-c", "awf-d", "awf-e", "af")
WAYS: list[dict[str, Any]] = [
    *({"schedule": text} for text in (*CLAIMED, *CLAIMED_TOO, *GIVEN, *ADAPTIVE)),
    *({"schedule": text, "dispatch": "master"} for text in ("static", "static,2", *CLAIMED)),
    *({"schedule": text, "dispatch": "master"} for text in (*CLAIMED_TOO, GIVEN[0])),
    *({"schedule": text, "dispatch": "master-only"} for text in ("dynamic,2", "auto", "af")),
]
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: "/".join(way.values()))


def uneven(x: int) -> int:
    """Some items are worth a thousand others."""
    return sum(range(20_000 if x % 17 == 0 else 10)) + x


class Single:
    """A schedule of one's own: every item a chunk, the last first."""

    def __init__(self, n: int, p: int) -> None:
        self.n, self.p, self.nchunks = n, p, n

    def span(self, k: int) -> tuple[int, int]:
        return self.n - k - 1, self.n - k

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return map(self.span, range(self.n))

    def __repr__(self) -> str:
        return f"Single({self.n}, {self.p})"


@each_way
@pytest.mark.parametrize("n", [0, 1, 6, 100])
def test_a_range(way: dict[str, Any], n: int) -> None:
    holds(plist((uneven(x) for x in range(n)), **way), [uneven(x) for x in range(n)])


@each_way
def test_a_list_of_the_roots(way: dict[str, Any]) -> None:
    words = [str(x) for x in range(50)] if WORLD.rank == 0 else []
    got = plist(((w, y) for w in words if w != "7" for y in range(int(w) % 3)), **way)
    every = [str(x) for x in range(50)]
    holds(got, [(w, y) for w in every if w != "7" for y in range(int(w) % 3)])


@each_way
def test_a_stream(way: dict[str, Any]) -> None:
    xs = (x for x in (range(200) if WORLD.rank == 0 else ()))
    holds(plist((x * x for x in xs if x % 3), **way), [x * x for x in range(200) if x % 3])


@given(
    n=st.integers(0, 300),
    way=st.sampled_from(WAYS),
    last=st.booleans(),
    keep=st.integers(1, 5),
)
def test_any_size_any_way(n: int, way: dict[str, Any], last: bool, keep: int) -> None:
    root = WORLD.size - 1 if last else 0
    got = plist((x for x in range(n) if x % keep == 0), root=root, **way)
    holds(got, list(range(0, n, keep)), root)


@each_way
def test_the_lowest_item_that_fails_decides(way: dict[str, Any]) -> None:
    error = raised(
        lambda: plist((1 // ((x - 70) * (x - 31)) for x in range(100)), **way), ZeroDivisionError
    )
    if WORLD.size > 1:
        assert "in item 31 (x=31)" in error.__notes__[0]


@each_way
def test_a_stream_that_fails(way: dict[str, Any]) -> None:
    def source() -> Iterator[int]:
        yield from range(20)
        raise OSError("the disk is gone")

    raised(lambda: plist((x for x in (source() if WORLD.rank == 0 else ())), **way), OSError)


@each_way
def test_after_the_first_error_nothing_more_is_handed_out(way: dict[str, Any]) -> None:
    # there is too much of it to be computed
    raised(lambda: psum((1 // (x - 300) for x in range(10**9)), **way), ZeroDivisionError)
    xs = itertools.count() if WORLD.rank == 0 else iter(())
    raised(lambda: psum((1 // (x - 300) for x in xs), **way), ZeroDivisionError)


@each_way
def test_errors_in_their_places(way: dict[str, Any]) -> None:
    got = plist((10 // (x % 5) for x in range(30)), errors="return", root=None, **way)
    together([type(v) for v in got or ()] == [ZeroDivisionError, int, int, int, int] * 6, f"{got}")


@each_way
def test_an_endless_search_ends(way: dict[str, Any]) -> None:
    holds(pany((x == 500 for x in range(10**7)), **way), True)


@each_way
def test_other_results(way: dict[str, Any]) -> None:
    holds(psum((x / 3 for x in range(99)), **way), fsum(x / 3 for x in range(99)))
    holds(pdict(((x % 7, x) for x in range(99)), **way), {x % 7: x for x in range(99)})
    joined = preduce(operator.add, (str(x) for x in range(99)), "", **way)
    holds(joined, "".join(map(str, range(99))))
    holds(parray((x * 0.5 for x in range(99)), **way), np.arange(99) * 0.5)
    holds(
        pmap(lambda chunk: [2 * x for x in chunk], range(99), batched=True, **way),
        [2 * x for x in range(99)],
    )


@pytest.mark.parametrize("dispatch", ["counter", "master"])
def test_a_schedule_of_ones_own(dispatch: str) -> None:
    n = 40
    plans: list[Any] = [table("fsc", n, WORLD.size, h=1e-6, sigma=1e-3)]
    if dispatch == "counter":  # a master's cuts follow the order of the items
        plans.append(Single(n, WORLD.size))
    for plan in plans:
        holds(
            plist((uneven(x) for x in range(n)), schedule=plan, dispatch=dispatch),
            [uneven(x) for x in range(n)],
        )


def test_a_plan_for_other_ranks_is_refused() -> None:
    if WORLD.size > 1:
        raised(
            lambda: plist((x for x in range(9)), schedule=Single(9, WORLD.size + 1)), OptionError
        )
        raised(lambda: plist((x for x in range(9)), schedule="fsc"), ValueError)
        few = f"weighted,weights={':'.join('1' * (WORLD.size - 1))}"
        raised(lambda: plist((x for x in range(9)), schedule=few), ValueError)


def test_a_counter_cannot_count_a_stream() -> None:
    if WORLD.size > 1:
        xs = (x for x in [1, 2])
        raised(lambda: plist((x for x in xs), schedule="guided", dispatch="counter"), OptionError)
    raised(lambda: plist((x for x in range(3)), schedule="static", dispatch="counter"), OptionError)
    raised(lambda: plist((x for x in range(3)), dispatch="nobody"), OptionError)


def test_the_environment_says_what_the_code_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPICOMP_SCHEDULE", "nonsense")
    unsaid.cache_clear()  # it was read at the first call
    raised(lambda: plist(x for x in range(9)), ValueError)
    raised(lambda: plist((x for x in range(9)), schedule="runtime"), ValueError)
    holds(plist((x for x in range(9)), schedule="guided"), list(range(9)))
    with options(schedule="dynamic"):
        holds(plist(x for x in range(9)), list(range(9)))
    monkeypatch.setenv("MPICOMP_SCHEDULE", "pls,2,swr=0.8")
    unsaid.cache_clear()
    for said in (None, "runtime"):
        with mpicomp.record() as rec, options(schedule=said):  # type: ignore[arg-type]  # None: unsaid
            holds(plist(x for x in range(9)), list(range(9)))
        together(all(call.schedule == "pls,2,swr=0.8" for call in rec.calls), f"{rec.calls}")
    monkeypatch.delenv("MPICOMP_SCHEDULE")
    unsaid.cache_clear()


def apart(comm: MPI.Intracomm, monkeypatch: pytest.MonkeyPatch, way: str) -> MPI.Intracomm:
    """A duplicate whose ranks claim in groups: by two, or each for itself."""
    mine = comm.Dup()
    known = world_of(mine)
    monkeypatch.setenv("MPICOMP_CLAIMS", "two-sided" if way == "two-sided" else "shared")
    if way == "by twos" and known.comm is not None:
        known.node = cast(MPI.Intracomm, known.comm.Split(known.rank // 2, known.rank))
    return mine


@pytest.mark.parametrize("way", ["two-sided", "by twos"])
@pytest.mark.parametrize("schedule", ["dynamic", "guided", "auto"])
def test_groups_that_take_from_one_another(
    way: str, schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    comm = apart(WORLD, monkeypatch, way)
    for n in (1, 3, 60):
        got = plist((uneven(x) for x in range(n)), comm=comm, schedule=schedule)
        holds(got, [uneven(x) for x in range(n)], comm=comm)
    if WORLD.size > 2:
        groups = len(counters.counter_of(world_of(comm)).heads)
        assert groups == (WORLD.size if way == "two-sided" else (WORLD.size + 1) // 2)
    raised(
        lambda: plist((1 // (x - 5) for x in range(60)), comm=comm, schedule=schedule),
        ZeroDivisionError,
    )
    assert "mpicomp-claims" not in [thread.name for thread in threading.enumerate()]
    comm.Free()
    still_works()


def test_plans_with_other_chunks_are_noticed() -> None:
    def call() -> Any:
        return plist(
            (x for x in range(20)), schedule=table(f"dynamic,{5 + WORLD.rank % 2}", 20, WORLD.size)
        )

    if WORLD.size > 1:
        raised(call, CollectiveMismatch)
