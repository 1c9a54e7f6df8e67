"""Laws of the way: values arrive as they were, in messages of any size."""

from __future__ import annotations

import enum
import math
import struct
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import gather, parray, pdict, plist, preduce, pset, psum, scatter
from mpicomp.wire import rows, transport
from tests.mpi.laws import SCHEDULES, WAYS, exactly, holds, raised, rank_of, together

WORLD = MPI.COMM_WORLD
LAST = WORLD.size - 1


class Metre(float):
    pass


class Number(int):
    pass


class Row(list[Any]):
    pass


class Point(NamedTuple):
    x: int
    y: float


class Colour(enum.IntEnum):
    RED = 1
    BLUE = 2


NANS = [struct.unpack("d", struct.pack("Q", 0x7FF8000000000000 | x))[0] for x in range(9)]
SCALARS: list[type[Any]] = [
    np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64,
    np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.complex128, np.clongdouble,
]  # fmt: skip

KINDS: dict[str, Callable[[int], Any]] = {
    "int": lambda x: x - 50,
    "edges of 64 bits": lambda x: [-(2**63), 2**63 - 1][x % 2],
    "beyond 64 bits": lambda x: 2**63 + x if x % 3 else -x,
    "far beyond": lambda x: -(2**300) * x,
    "float": lambda x: x / 7,
    "special floats": lambda x: [0.0, -0.0, math.inf, -math.inf, 5e-324][x % 5],
    "payloads": lambda x: NANS[x % 9],
    "bool": lambda x: x % 3 == 0,
    "none": lambda x: None,
    "complex": lambda x: complex(x, -0.0),
    "text": lambda x: "\U0001f600\udcff" + str(x),
    "bytes": lambda x: bytes([x % 256]) * (x % 5),
    "tuple": lambda x: (x, str(x)),
    "ints and bools": lambda x: x if x % 2 else True,
    "ints and floats": lambda x: x if x % 2 else float(x),
    "one of its own": lambda x: "odd" if x == 77 else x,
    "float of a subclass": Metre,
    "int of a subclass": Number,
    "list of a subclass": lambda x: Row([x]),
    "named tuple": lambda x: Point(x, x / 2),
    "enum": lambda x: Colour(1 + x % 2),
    "decimal": Decimal,
    "set": lambda x: {x, str(x)},
    "dict": lambda x: {str(x): [x]},
    "numpy scalars of many types": lambda x: SCALARS[x % len(SCALARS)](1),
    "date": lambda x: np.datetime64("2020-01-01") + np.timedelta64(x, "D"),
    "time difference": lambda x: np.timedelta64(x, "s"),
    "time differences in two units": lambda x: np.timedelta64(x, "ms" if x % 2 else "h"),
    "numpy text": lambda x: np.str_(x),
    "record": lambda x: np.array([(x, x / 2)], "i4, f8")[0],
    "array": lambda x: np.arange(x % 7),
    "function": lambda x: len,
    "class": lambda x: Point,
    "exception": lambda x: ValueError(x),
    **{kind.__name__: partial(lambda kind, x: kind(x % 100), kind) for kind in SCALARS},
}


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_items_arrive_as_they_were(kind: str) -> None:
    make = KINDS[kind]
    n = 3 * WORLD.size
    for root in (0, None):
        got = plist((make(x) for x in range(n)), root=root)
        holds(got, [make(x) for x in range(n)], root)
    xs = [make(x) for x in range(20)] if WORLD.rank == LAST else []
    got = plist((repr(exactly(x)) for x in xs), root=LAST, schedule="static,3")
    holds(got, [repr(exactly(x)) for x in xs], LAST)
    many, block = 8392, 4196
    if make(many) is None or isinstance(make(many), int | float | complex | np.number | np.bool_):
        got = plist((make(x) for x in range(many)), schedule=f"static,{block}")
        holds(got and [len(got), *got[::97]], [many, *(make(x) for x in range(0, many, 97))])


WHOLES: dict[str, np.ndarray[Any, Any]] = {
    **{f"floats {n}": np.arange(float(n)) for n in (0, 1, 1000, 9000, 200_000)},
    "bytes": np.arange(100_001).astype(np.uint8),
    "columns": np.asfortranarray(np.arange(30_000.0).reshape(100, 300)),
    "part": np.arange(60_000.0).reshape(200, 300)[::2, 1::3],
    "records": np.zeros(20_000, "i1, f8"),
    "objects": np.array([None, 1, "two"], object),
}


@pytest.mark.parametrize("name", WHOLES)
def test_arrays_among_the_values_come_back_writable_and_aligned(name: str) -> None:
    whole = WHOLES[name]
    for root in (0, LAST, None):
        got = plist(((x, whole.copy()) for x in range(2 * WORLD.size)), root=root)
        holds(got, [(x, whole.copy()) for x in range(2 * WORLD.size)], root)
        for _, found in got or ():
            assert found.flags.writeable
            assert found.flags.aligned
            found[...] = found  # and no other's


def test_what_one_rank_refers_to_twice_it_refers_to_twice() -> None:
    got: Any = plist((shared := [x], shared) for x in range(2 * WORLD.size))
    for first, second in got or ():
        assert first is second


# any size of message


@pytest.fixture(params=[(13, 0), (1000, 1 << 20), (1 << 28, 0)], ids=str)
def narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest message, and the most that one collective moves, are small."""
    limit, small = request.param
    monkeypatch.setattr(transport, "LIMIT", limit)
    monkeypatch.setattr(transport, "SMALL", small)
    monkeypatch.setattr(rows, "_SHORT", 100)


@pytest.mark.usefixtures("narrow")
def test_in_small_messages() -> None:
    for schedule, name in WAYS:
        root = rank_of(name)
        given: Any = {"schedule": schedule, "root": root}
        holds(plist((x / 3 for x in range(200)), **given), [x / 3 for x in range(200)], root)
        holds(plist((str(x) for x in [*range(99)]), **given), [str(x) for x in range(99)], root)
        holds(plist((x for x in "some text"), **given), [*"some text"], root)
        holds(pset((x % 7 for x in range(99)), **given), {*range(7)}, root)
        holds(psum((x / 4 for x in range(99)), **given), sum(range(99)) / 4, root)
        for array in (np.arange(200.0), np.arange(120).reshape(40, 3), np.ones((3, 50)),
                      np.array([(x, x / 2) for x in range(99)], "i1, f8")):  # fmt: skip
            holds(plist((x.copy() for x in array), **given), [*array], root)
        holds(parray((x for x in range(200)), **given), np.arange(200.0), root)
        holds(plist((x for x in iter([*range(99)].__iter__().__next__, 50)), **given),
              [*range(50)], root)  # fmt: skip


@pytest.mark.usefixtures("narrow")
def test_handed_out_in_small_messages() -> None:
    for schedule in ("dynamic,3", "guided", "auto"):
        for make in (lambda: range(99), lambda: [*range(99)], lambda: iter([*range(99)]),
                     lambda: (x for x in range(99)), lambda: np.arange(99)):  # fmt: skip
            holds(plist((str(x) for x in make()), schedule=schedule), [*map(str, range(99))])


@pytest.mark.usefixtures("narrow")
def test_errors_in_small_messages() -> None:
    error = raised(lambda: plist(1 // (x - 50) for x in [*range(99)]), ZeroDivisionError)
    assert "item 50" in error.__notes__[0]


def test_big_values() -> None:
    n, size = WORLD.size, 3 << 20
    for root in (0, None):
        holds(plist((bytes([x]) * size for x in range(n)), root=root),
              [bytes([x]) * size for x in range(n)], root)  # fmt: skip
        holds(plist((np.full(size // 8, x) for x in range(n)), root=root),
              [np.full(size // 8, x) for x in range(n)], root)  # fmt: skip
    xs = [bytes([x]) * size for x in range(n)] if WORLD.rank == 0 else []
    holds(plist(len(x) + x[0] for x in xs), [size + x for x in range(n)])
    holds(pdict((x, "y" * size) for x in range(n)), dict.fromkeys(range(n), "y" * size))
    holds(preduce(lambda a, b: a + b, ("z" * (size // 9) for _ in range(9))), "z" * (size // 9 * 9))


def test_scatter_and_gather() -> None:
    for schedule, name in WAYS:
        root = rank_of(name) or 0
        for xs in ([*range(20)], "some letters", np.arange(60.0).reshape(20, 3), range(20)):
            part = scatter(xs if WORLD.rank == root or isinstance(xs, range) else xs[:1],
                           schedule=schedule, root=root)  # fmt: skip
            holds(gather([*part], part, root=root), [*xs], root)


# more than 2 GiB: run with -m huge


@pytest.mark.huge
@pytest.mark.parametrize("schedule", ["static", "static,3"])
def test_a_source_of_more_than_2_gib(schedule: str) -> None:
    """At 2 ranks the half that is sent is itself more than 2 GiB."""
    n, width = 4100, 1 << 20
    whole = np.zeros((n if WORLD.rank == 0 else 0, width), np.uint8)
    whole[:, -1] = np.arange(len(whole)) % 251
    got = plist((int(row[0]) + int(row[-1]) for row in whole), schedule=schedule)
    holds(got, [i % 251 for i in range(n)])


@pytest.mark.huge
def test_a_result_of_more_than_2_gib() -> None:
    n = (1 << 31) + 5
    got: Any = plist(np.full(n, 7, np.uint8) if x == LAST else x for x in range(WORLD.size))
    if WORLD.rank == 0:
        assert got[:-1] == [*range(LAST)]
        assert got[-1].shape == (n,)
        assert got[-1][0] == got[-1][-1] == got[-1][1 << 31] == 7


def test_a_part_is_its_ranks_own() -> None:
    """What a rank writes into its part changes nobody's array, and a part of a text is a list."""
    whole = np.arange(12.0).reshape(6, 2)
    for schedule in SCHEDULES:
        part = scatter(whole, schedule=schedule)
        part.items[...] = -1
        together(bool((whole == np.arange(12.0).reshape(6, 2)).all()), "the whole has changed")
        together(type(scatter("abcdefgh", schedule=schedule).items) is list, schedule)


def test_arrays_without_rows_are_gathered_to_one() -> None:
    part = scatter(range(0))
    holds(gather(np.empty((0, 3)), part), np.empty((0, 3)))
