"""reissue=True: each value once, and a rank that stands still does not hold the others up."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import pany, parray, pcount, pdict, plist, pmap, preduce, preduce_by_key, psum
from tests.mpi.laws import holds, raised, rank_of, still_works, together

WORLD = MPI.COMM_WORLD
N = 60
SOURCES: dict[str, Callable[[], Iterable[int]]] = {
    "range": lambda: range(N),
    "list": lambda: [*range(N)],
    "stream": lambda: (x for x in range(N)),
}


class Standing:
    """Items at which the first rank that comes stands still, until others have done them.

    Parameters
    ----------
    folder : Path
        One that all ranks see.
    places : sequence of int
        The items.
    """

    def __init__(self, folder: Path, *places: int) -> None:
        self.folder, self.places = folder, places

    def __call__(self, x: int) -> int:
        if x in self.places and WORLD.size > 1 and self.first(x):
            while True:  # only being interrupted ends it
                time.sleep(0.01)
        return 3 * x

    def pair(self, x: int) -> Iterator[int]:
        yield -x
        yield self(x)

    def first(self, x: int) -> bool:
        try:
            (self.folder / f"{x}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shared: Path = WORLD.bcast(tmp_path)
    return shared


@pytest.mark.parametrize(("source", "schedule"), [
    ("range", "auto"), ("list", "static"), ("stream", "dynamic,7"), ("range", "af")])  # fmt: skip
def test_values_are_there_once_in_their_order(source: str, schedule: str) -> None:
    make = SOURCES[source]
    common: dict[str, Any] = {"reissue": True, "schedule": schedule}
    pairs = [(x, y) for x in range(N) for y in range(x % 3)]
    got = plist(((x, y) for x in make() for y in range(x % 3)), root=rank_of("last"), **common)
    holds(got, pairs, rank_of("last"))
    holds(psum((0.1 * x for x in make()), **common), psum_alone())
    holds(preduce(add, ((x,) for x in make()), **common), tuple(range(N)))
    holds(pdict(((x % 7, x) for x in make()), **common), {x % 7: x for x in range(N)})
    holds(pcount((x % 7 for x in make()), **common), Counter(x % 7 for x in range(N)))
    holds(parray((x for x in make()), np.int32, **common), np.arange(N, dtype=np.int32))
    holds(pany((x == 41 for x in make()), **common), True)
    batched = pmap(lambda chunk: [2 * x for x in chunk], make(), batched=True, **common)
    holds(batched, [2 * x for x in range(N)])


def psum_alone() -> float:
    from math import fsum

    return fsum(0.1 * x for x in range(N))


# each rank but one may stand still; one is enough for the work
@pytest.mark.parametrize("source", SOURCES)
def test_ranks_that_stand_still_are_not_waited_for(
    source: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [k * (N // WORLD.size) + 2 for k in range(1, WORLD.size)]
    f = Standing(folder, *places)
    gen = (y for x in SOURCES[source]() for y in f.pair(x))
    schedule = {"range": "auto", "list": "static", "stream": "dynamic,2"}[source]
    got = plist(gen, reissue=True, schedule=schedule, effects="ignore", progress=True)
    holds(got, [y for x in range(N) for y in (-x, 3 * x)])
    told = capsys.readouterr().err.splitlines()[-1:]  # it counts each item once
    due = f": {N}, " if source == "stream" else f": 100 %, {N} of {N}, "
    together(len(told) == (WORLD.rank == 0) and all(due in line for line in told), f"{told}")
    still_works()


def test_a_large_array_is_written_by_whoever_is_first(folder: Path) -> None:
    n = 70_000  # in shared memory

    def item(x: int) -> complex:
        return complex(f(x))

    f = Standing(folder, *([50_000] if WORLD.size > 1 else []))
    got = parray((item(x) for x in range(n)), complex, reissue=True, schedule="dynamic,20000")
    holds(got, 3 * np.arange(n, dtype=complex))


class Failing(Exception):
    pass


def test_what_combining_raises_is_raised_on_every_rank() -> None:
    def never(a: int, b: int) -> int:
        raise Failing(a, b)

    for call in (preduce, preduce_by_key):
        gen: Any = ((x % 2, x) for x in range(N))
        raised(lambda: call(never, gen, reissue=True, schedule="dynamic,1"), Failing)  # noqa: B023  # called at once


def test_the_first_failure_by_index_is_raised(folder: Path) -> None:
    def item(x: int) -> int:
        if x in (31, 47):
            raise Failing(x)
        return f(x)

    # before it: run again; behind it: not needed.  One rank has to go on.
    places = [40] if WORLD.size == 2 else [20, 40]
    f = Standing(folder, *places)
    for source in ("range", "stream"):
        for place in places:
            (folder / f"{place}").unlink(missing_ok=True)
        WORLD.Barrier()
        gen = (item(x) for x in SOURCES[source]())
        common: dict[str, Any] = {"reissue": True, "schedule": "dynamic,3", "effects": "ignore"}
        error = raised(lambda: plist(gen, **common), Failing)  # noqa: B023  # called at once
        assert error.args == (31,)
    gen = (item(x) for x in range(N))
    got = plist(gen, reissue=True, errors="return", root=None, effects="ignore")
    assert got is not None
    assert [x for x in range(N) if isinstance(got[x], Failing)] == [31, 47]


def test_what_cannot_be_interrupted_stops_at_its_end(folder: Path) -> None:
    """In a thread no signal helps: the item goes on until another rank has done it."""
    f = Standing(folder, 3)
    seen: list[int] = []

    def item(x: int) -> int:
        if x == 3 and WORLD.size > 1:
            if f.first(x):
                while not (folder / "again").exists():
                    time.sleep(0.01)
            else:
                (folder / "again").touch()
        seen.append(x)
        return x

    told: list[Any] = []

    def call() -> None:
        told.append(plist((item(x) for x in range(20)), reissue=True, effects="ignore"))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    holds(told[0], [*range(20)])


def test_with_retries_and_limits() -> None:
    met: set[int] = set()

    def item(x: int) -> int:
        if x % 9 == 5 and x not in met:
            met.add(x)
            raise Failing(x)
        return x

    common: dict[str, Any] = {"reissue": True, "retries": 1, "timeout": 60.0, "patience": 60.0}
    holds(plist((item(x) for x in range(N)), effects="ignore", **common), [*range(N)])
