"""ranks_per_item=k: each item by k ranks together, with the values of the serial comprehension."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import (
    CollectiveMismatch,
    OptionError,
    TransportError,
    item_comm,
    options,
    parray,
    pcount,
    pfor,
    piter,
    plist,
    pmap,
    preduce,
    psum,
    state,
)
from tests.launch import run_ranks
from tests.mpi.laws import holds, on_root, raised, rank_of, together

WORLD = MPI.COMM_WORLD
SIZES = (2, 99)


def mean(x: float) -> float:
    """Needs all ranks of the item: each brings its own number."""
    comm = item_comm()
    ones: int = comm.allreduce(comm.rank + 1) // (comm.size * (comm.size + 1) // 2)
    return float(x * ones)


def stream(xs: Iterable[Any]) -> Iterator[Any]:
    yield from xs


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("schedule", "root"), [("auto", "first"), ("static,2", "last"), ("dynamic,3", "all")]
)
def test_as_the_serial_comprehension(size: int, schedule: str, root: str) -> None:
    xs = [float(x) for x in range(23)]
    with options(ranks_per_item=size, schedule=schedule, root=rank_of(root)):
        holds(plist(mean(x) for x in range(23)), xs, rank_of(root))
        holds(plist(mean(x) for x in xs if x % 2 for _ in range(2)),
              [x for x in xs if x % 2 for _ in range(2)], rank_of(root))  # fmt: skip
        holds(plist(mean(x) for x in stream(xs)), xs, rank_of(root))
        holds(plist(map(mean, xs)), xs, rank_of(root))
        holds(pmap(lambda x, y: mean(x * y), xs, iter(xs)), [x * x for x in xs], rank_of(root))
        holds(psum(mean(x) for x in xs), sum(xs), rank_of(root))
        holds(preduce(lambda a, b: a + b, (str(mean(x)) for x in xs)), "".join(map(str, xs)),
              rank_of(root))  # fmt: skip
        holds(parray(mean(x) for x in xs), np.array(xs), rank_of(root))
        holds(pcount(mean(x) % 3 for x in xs), pcount((x % 3 for x in xs), root=None,
              ranks_per_item=1), rank_of(root))  # fmt: skip
        nothing: list[float] = []
        holds(plist(mean(x) for x in nothing), [], rank_of(root))


@pytest.mark.parametrize("size", [1, *SIZES])
def test_a_team_has_so_many_ranks(size: int) -> None:
    def who(x: int) -> tuple[int, list[int]]:
        comm = item_comm()
        assert comm.allgather(x) == [x] * comm.size  # the same item
        return comm.rank, comm.allgather(WORLD.rank)

    got = plist((who(x) for x in range(40)), ranks_per_item=size, schedule="static,1", root=None)
    assert got is not None
    k = min(size, WORLD.size)
    teams = [tuple(range(k * t, k * t + k)) for t in range(WORLD.size // k)]
    assert {place for place, _ in got} == {0}
    together([tuple(team) for _, team in got] == (teams * 40)[:40], str(got))
    together(item_comm().size == 1, "outside of items, this rank alone")


def fails_on(place: int, x: int, bad: int) -> int:
    if x >= bad and item_comm().rank == min(place, item_comm().size - 1):
        raise LookupError(x)
    return x


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_error_of_any_rank_of_the_team_is_told(place: int) -> None:
    for size in SIZES:
        with options(ranks_per_item=size, schedule="static,2"):
            error = raised(lambda: plist(fails_on(place, x, 7) for x in range(20)), LookupError)
            assert error.args == (7,)
            assert any("in item 7 (x=7)" in note for note in error.__notes__)
            got = pfor((fails_on(place, x, 16) for x in range(20)), errors="return", root=None)
            assert got is not None
            together(got[:2] == (16, 4), str(got))
            together([i for i, _ in got.errors] == [16, 17, 18, 19], str(got))


class Stubborn:
    def __reduce__(self) -> Any:
        raise RuntimeError("stays here")


def test_items_and_values_that_cannot_travel() -> None:
    if WORLD.size == 1:
        return
    with options(ranks_per_item=WORLD.size):
        bad = [Stubborn() if x == 3 else x for x in range(6)]
        raised(lambda: plist(x is None for x in bad), TransportError)
        raised(lambda: plist((Stubborn() for x in range(3)), root=None), TransportError)


def test_state_retries_and_verbs_inside() -> None:
    tries: list[int] = []

    def flaky(x: int) -> int:
        tries.append(x)
        if tries.count(x) < 2:
            raise OSError("not yet")
        return int(state()) * x

    def inner(x: int) -> int:
        return sum(plist(x * y for y in range(4)) or ())

    with options(ranks_per_item=2, effects="ignore"):
        holds(plist((state() * mean(x) for x in range(4)), setup=lambda: 2), [0.0, 2.0, 4.0, 6.0])
        holds(plist((flaky(x) for x in range(4)), setup=lambda: 3, retries=1), [0, 3, 6, 9])
        holds(plist(inner(x) for x in range(9)), [6 * x for x in range(9)])


def test_calls_that_cannot_be() -> None:
    wrong: Any
    for wrong in (0, -1, "two", 1.5):
        raised(lambda: plist((x for x in [1]), ranks_per_item=wrong), OptionError)  # noqa: B023  # called at once
    for other in ({"timeout": 1}, {"reissue": True}, {"root": "stay"}):
        raised(lambda: plist((x for x in [1]), ranks_per_item=2, **other), OptionError)  # noqa: B023  # called at once
    raised(lambda: pmap(list, range(9), batched=True, ranks_per_item=2), OptionError)
    raised(lambda: [*piter((x for x in [1]), ranks_per_item=2)], OptionError)
    if WORLD.size > 1:
        raised(lambda: plist((x for x in [1]), ranks_per_item=1 + WORLD.rank), CollectiveMismatch)


HANGS = """if True:
    from mpicomp import item_comm, plist
    def f(x):
        if item_comm().rank == 0:
            raise ValueError("early")
        return item_comm().allreduce(x)
    plist((f(x) for x in range(3)), ranks_per_item=2, patience=1)
"""


def test_a_team_that_waits_for_a_failed_rank_ends_the_job() -> None:
    if WORLD.size != 2:
        return
    done = on_root(lambda: run_ranks(2, ["-c", HANGS]))
    together(done.returncode != 0 and "wait for this rank" in done.stderr, done.stderr)
    together("ValueError: early" in done.stderr, done.stderr)
