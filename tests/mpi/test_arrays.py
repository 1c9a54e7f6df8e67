"""Laws of arrays: as sources they travel unpickled, and `parray` makes one of the values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

import mpicomp.engine.arrayed as arrayed
from mpicomp import options, parray, plist, psum
from mpicomp.wire import forms, transport
from tests.mpi.laws import SCHEDULES, WAYS, each_schedule, holds, rank_of, together

WORLD = MPI.COMM_WORLD
PAIR = np.dtype([("n", "i4"), ("x", "f8"), ("name", "U3")])

ARRAYS: dict[str, Callable[[], np.ndarray[Any, Any]]] = {
    "floats": lambda: np.arange(1000.0),
    "rows": lambda: np.arange(999.0).reshape(333, 3),
    "columns": lambda: np.arange(1000).reshape(4, 250).T,
    "Fortran order": lambda: np.asfortranarray(np.arange(999.0).reshape(333, 3)),
    "every third, backwards": lambda: np.arange(1000)[::-3],
    "records": lambda: np.array([(i, i / 3, "ab") for i in range(300)], PAIR),
    "dates": lambda: np.arange("2020-01-01", "2021-01-01", dtype="M8[D]"),
    "words": lambda: np.array([str(i) for i in range(300)]),
    "one row": lambda: np.arange(5.0).reshape(1, 5),
    "no rows": lambda: np.zeros((0, 5)),
    "long rows": lambda: np.arange(60_000.0).reshape(4, 15_000),
}


@pytest.fixture
def unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays cannot be pickled."""

    def encode(values: Any, **options: Any) -> Any:
        many = values if isinstance(values, list | tuple) else [values]
        assert not any(isinstance(value, np.ndarray) for value in many), "an array was pickled"
        return forms_encode(values, **options)

    forms_encode = forms.encode
    monkeypatch.setattr(transport, "encode", encode)


@pytest.mark.usefixtures("unpickled")
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_arrives_unpickled(name: str) -> None:
    for schedule, root in WAYS:
        whole = ARRAYS[name]()
        mine = whole if WORLD.rank == (rank_of(root) or 0) else np.empty(WORLD.rank)
        got = plist((x.tobytes() for x in mine), schedule=schedule, root=rank_of(root))
        holds(got, [x.tobytes() for x in whole], rank_of(root))


@pytest.mark.usefixtures("unpickled")
def test_arrays_side_by_side_arrive_unpickled() -> None:
    xs, ys = np.arange(100.0), np.arange(300).reshape(100, 3)
    got = plist(x + k + y.sum() for x, (k, y) in zip(xs, enumerate(ys), strict=True))
    holds(got, [*(xs + np.arange(100) + ys.sum(1))])


def test_the_rows_of_other_ranks_are_writable_and_aligned() -> None:
    for schedule in SCHEDULES:
        def check(row: np.ndarray[Any, Any]) -> bool:
            row += 1
            return bool(row.flags.writeable and row.flags.aligned and row.flags.c_contiguous)

        rows = np.arange(60.0).reshape(20, 3)
        holds(plist((check(row) for row in rows), schedule=schedule), [True] * 20)


# parray

VALUES: dict[str, tuple[Callable[[], Iterable[Any]], Any]] = {
    "floats": (lambda: (x / 3 for x in range(500)), float),
    "ints": (lambda: (x * x for x in range(500)), int),
    "truncated": (lambda: (x / 3 for x in range(500)), int),
    "bools": (lambda: (x % 3 for x in range(500)), bool),
    "bytes": (lambda: (x % 256 for x in range(500)), np.uint8),
    "half": (lambda: (x / 7 for x in range(500)), "f2"),
    "long double": (lambda: (x / 7 for x in range(500)), np.longdouble),
    "complex": (lambda: (complex(x, -x) for x in range(500)), complex),
    "big-endian": (lambda: (x for x in range(500)), ">i4"),
    "numpy numbers": (lambda: (np.float32(x) for x in range(500)), float),
    "numbers in text": (lambda: (str(x) for x in range(500)), float),
    "nothing is nan": (lambda: (None for x in range(500)), float),
    "rows": (lambda: ([x, x / 2, -x] for x in range(500)), float),
    "matrices": (lambda: (np.full((2, 3), x) for x in range(500)), int),
    "rows without columns": (lambda: ([] for x in range(500)), float),
    "filtered": (lambda: (x for x in range(500) if x % 7 < 3), float),
    "filtered rows": (lambda: ((x, x) for x in range(500) if x % 7 < 3), float),
    "inner loop": (lambda: (x * y for x in range(100) for y in range(x % 5)), int),
    "nothing": (lambda: (x for x in range(0)), float),
    "nothing left": (lambda: (x for x in range(500) if x < 0), int),
    "one": (lambda: (x for x in range(1)), float),
    "map": (lambda: map(abs, range(-250, 250)), float),
    "of a list": (lambda: (x for x in [*range(500)]), float),
    "of an array": (lambda: (x for x in np.arange(500.0)), float),
    "of a stream": (lambda: (x for x in iter(range(500).__iter__().__next__, 400)), float),
    "dates": (lambda: (np.datetime64(x, "D") for x in range(500)), "M8[D]"),
    "words": (lambda: ("x" * (x % 9) for x in range(500)), "U"),
    "records": (lambda: ((x, x / 2, str(x)) for x in range(500)), PAIR),
    "objects": (lambda: ({x} for x in range(500)), object),
}


@pytest.mark.parametrize("worth", [1, 1 << 20], ids=["shared", "sent"])
@pytest.mark.parametrize("name", VALUES)
def test_it_is_the_array_of_the_values(
    name: str, worth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large it has to be for the ranks to write into shared memory."""
    monkeypatch.setattr(arrayed, "_WORTH", worth)
    make, dtype = VALUES[name]
    expected = np.array([*make()], dtype)
    for schedule, root in WAYS:
        got = parray(make(), dtype, schedule=schedule, root=rank_of(root))
        holds(got, expected, rank_of(root))
        if got is not None:
            assert got.flags.writeable


@each_schedule
def test_a_large_one(schedule: str) -> None:
    n = 300_000
    got = parray((x * 0.5 for x in range(n)), schedule=schedule)
    holds(got, np.arange(n) * 0.5)
    if got is not None:
        got += 1  # it is the user's


def test_two_large_ones_are_two() -> None:
    first = parray(float(x) for x in range(200_000))
    second = parray(-float(x) for x in range(200_000))
    holds(first, np.arange(200_000.0))
    holds(second, -np.arange(200_000.0))


def test_the_sum_of_its_rows_is_a_row() -> None:
    rows = np.arange(30).reshape(10, 3)
    holds(psum(row for row in rows), rows.sum(0))


def test_a_default_dtype_is_float_and_the_communicator_is_the_users() -> None:
    with options(comm=MPI.COMM_SELF):
        got = parray(x for x in range(WORLD.rank))
        assert got is not None
        together(got.dtype == float and got.tolist() == [*range(WORLD.rank)], str(got))


def test_numbers_and_rows_together_are_refused() -> None:
    def mixed() -> Iterator[Any]:
        return (x if x < 250 else [x] for x in range(500))

    with pytest.raises(ValueError, match=r"shape|sequence|inhomogeneous"):
        parray(mixed())
