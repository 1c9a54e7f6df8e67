"""pfor: every item once, its effect seen, its value dropped, its failure told."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
from mpi4py import MPI

from mpicomp import Outcome, options, pfor
from tests.mpi.laws import holds, on_root, raised, rank_of, together

WORLD = MPI.COMM_WORLD


class Heavy:
    """A value of which no more than a few may be alive."""

    alive = most = 0

    def __init__(self, _: int) -> None:
        Heavy.alive += 1
        Heavy.most = max(Heavy.most, Heavy.alive)

    def __del__(self) -> None:
        Heavy.alive -= 1

    def __reduce__(self) -> Any:
        raise AssertionError("a value was sent")


@pytest.mark.parametrize("schedule", ["static", "static,3", "dynamic,3", "guided,2", "af", "auto"])
def test_each_item_is_done_once(schedule: str, tmp_path: Path) -> None:
    folder = Path(WORLD.bcast(str(tmp_path)))

    def write(x: int) -> int:
        with (folder / f"{x}.txt").open("x") as file:  # fails where there is one already
            return file.write(str(x * x))

    done = pfor((write(x) for x in range(60) if x % 3), schedule=schedule)
    holds(done, Outcome(40, 0, []))
    WORLD.Barrier()
    seen = on_root(lambda: sorted(int(file.read_text()) for file in folder.iterdir()))
    together(seen == [x * x for x in range(60) if x % 3], str(seen))


def test_values_are_neither_kept_nor_sent() -> None:
    Heavy.most = 0
    with options(effects="ignore"):  # counting is what it is here for
        holds(pfor(Heavy(x) for x in range(500)), Outcome(500, 0, []))
        holds(pfor(map(Heavy, iter(range(50)))), Outcome(50, 0, []))
    gc.collect()
    together(Heavy.most <= 2, f"{Heavy.most} values were alive together")


@pytest.mark.parametrize("root", ["first", "last", "all"])
def test_failures_are_told_in_order(root: str) -> None:
    def seven(x: int) -> int:
        return 1 // (x % 7)

    for schedule in ("static", "static,4", "dynamic,3"):
        with options(schedule=schedule, root=rank_of(root), errors="return"):
            got = pfor(seven(x) for x in range(50))
            due = root == "all" or rank_of(root) == WORLD.rank
            together((got is not None) is due, f"{got}")
            if got is not None:
                assert got[:2] == (42, 8)
                assert [index for index, _ in got.errors] == [*range(0, 50, 7)]
                for index, error in got.errors:
                    assert type(error) is ZeroDivisionError
                    assert f"in item {index} " in error.__notes__[0]
            WORLD.Barrier()
    streamed = pfor((seven(x) for x in iter(range(50))), errors="return", root=None)
    assert streamed is not None
    together(streamed[:2] == (42, 8), str(streamed))
    error = raised(lambda: pfor(seven(x) for x in range(1, 50)), ZeroDivisionError)
    assert "in item 6 " in error.__notes__[0]
