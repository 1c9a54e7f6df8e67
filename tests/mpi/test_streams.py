"""Laws of streams: consumed once, in order, on the root only, and never far ahead."""

from __future__ import annotations

import csv
import io
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import pall, pany, parray, pdict, plist, pmap, pmax, pmin, preduce, pset, psum
from tests.mpi.laws import SCHEDULES, WAYS, each_schedule, holds, rank_of, together

WORLD = MPI.COMM_WORLD


class Watched:
    """A stream that knows how far it was read, by which thread."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = iter(items)
        self.read = 0
        self.readers: set[int] = set()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.readers.add(threading.get_ident())
        item = next(self.items)
        self.read += 1
        return item


@each_schedule
def test_it_is_read_once_in_order_on_the_root_alone(schedule: str) -> None:
    for n in (0, 1, 2, 7, 100, 3000):
        for root in (0, WORLD.size - 1):
            watched = Watched(range(n))
            holds(plist((x * x for x in watched), schedule=schedule, root=root),
                  [x * x for x in range(n)], root)  # fmt: skip
            due = n if WORLD.rank == root else 0
            together(watched.read == due, f"read {watched.read} of {due}")
            together(watched.readers <= {threading.get_ident()}, "another thread has read")


@each_schedule
def test_it_is_not_read_far_ahead(schedule: str) -> None:
    """How far it was read when an item ran is at most a window ahead of it."""
    watched = Watched(range(100_000))
    ahead = [0]

    def note(x: int) -> int:
        ahead[0] = max(ahead[0], watched.read - x)
        return x

    total = psum((note(x) for x in watched), schedule=schedule, effects="ignore")
    holds(total, sum(range(100_000)))
    together(ahead[0] <= 20_000 * WORLD.size, f"{ahead[0]} ahead")


def test_an_endless_stream_is_searched() -> None:
    for schedule in SCHEDULES:
        watched = Watched(itertools.count())
        holds(pany((x == 700 for x in watched), schedule=schedule), True)
        holds(pall((x < 700 for x in itertools.count()), schedule=schedule), False)
        together(watched.read <= 20_000 * WORLD.size, f"read {watched.read}")


@pytest.mark.parametrize("n", [0, 1, 31, 97, 1000])
def test_every_verb_takes_a_stream(n: int) -> None:
    def xs() -> Iterator[int]:
        return (x * 7 % 31 for x in range(n))

    for schedule, name in WAYS:
        given: Any = {"schedule": schedule, "root": rank_of(name)}
        root = rank_of(name)
        holds(plist((x for x in xs() if x % 2), **given), [x for x in xs() if x % 2], root)
        holds(pset((x for x in xs()), **given), {*xs()}, root)
        holds(pdict(((x, i) for i, x in enumerate(xs())), **given),
              {x: i for i, x in enumerate(xs())}, root)  # fmt: skip
        holds(psum((x / 4 for x in xs()), **given), sum(x / 4 for x in xs()) if n else 0, root)
        holds(pmin((x for x in xs()), default=None, **given), min(xs(), default=None), root)
        holds(pmax((x for x in xs()), default=None, **given), max(xs(), default=None), root)
        holds(preduce(add, (str(x) for x in xs()), "", **given), "".join(map(str, xs())), root)
        holds(parray((x for x in xs()), int, **given), np.array([*xs()], int), root)
        holds(pmap(divmod, xs(), itertools.count(1), **given),
              [*map(divmod, xs(), itertools.count(1))], root)  # fmt: skip


FILES: dict[str, tuple[str, Callable[[Any], Iterable[Any]]]] = {
    "lines": ("one\ntwo\n\nthree", lambda file: file),
    "an empty file": ("", lambda file: file),
    "numbered lines": ("one\ntwo\n", enumerate),
    "rows": ("a,b\n1,2\n", csv.reader),
    "blocks": ("abcdefgh", lambda file: iter(lambda: file.read(3), "")),
    "mapped lines": ("1\n2\n3\n", lambda file: map(int, file)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file(name: str, tmp_path: Path) -> None:
    text, view = FILES[name]
    path = tmp_path / "data"
    path.write_text(text if WORLD.rank == 0 else "of another rank")
    with path.open() as file:
        holds(plist(x for x in view(file)), [*view(io.StringIO(text))])


def test_the_other_ranks_do_not_read() -> None:
    def lines() -> Iterator[str]:
        assert WORLD.rank == 0, "read on the root alone"
        yield from ("one", "two")

    holds(plist(line.upper() for line in lines()), ["ONE", "TWO"])


def test_generators_inside_generators() -> None:
    xs = (x for x in (y + 1 for y in range(50)))
    holds(plist(2 * x for x in xs if x % 3), [2 * x for x in range(1, 51) if x % 3])


def test_what_is_left_of_a_stream_can_be_read_on() -> None:
    """As after ``[x for x in islice(stream, 5)]``."""
    numbers = iter(Watched(range(10)))
    holds(plist(x for x in itertools.islice(numbers, 5)), [0, 1, 2, 3, 4])
    left = [5, 6, 7, 8, 9] if WORLD.rank == 0 else [*range(10)]
    together([*numbers] == left, "read too far")


def test_a_zip_of_streams_reads_no_more_than_the_serial_one() -> None:
    first, second = Watched(range(10)), Watched(range(5))
    holds(plist(pair for pair in zip(first, second, strict=False)), [(x, x) for x in range(5)])
    if WORLD.rank == 0:
        assert (first.read, second.read) == (6, 5)


@pytest.mark.parametrize("schedule", ["dynamic,1", "dynamic,3", "factoring", "auto"])
def test_a_root_that_is_out_of_work_gets_its_own_next_items(schedule: str) -> None:
    """The others are so slow that it has done all that may be read ahead of them."""

    def slow(x: int) -> int:
        time.sleep(0.05 if WORLD.rank and x % 10 < 2 else 0.002)
        return x

    numbers = Watched(range(150))
    holds(plist((slow(x) for x in numbers), schedule=schedule), [*range(150)])
