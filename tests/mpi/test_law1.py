"""Law 1: the value on the root is that of the serial comprehension, whatever the ranks do."""

# ruff: noqa: B905, C420  # comprehensions as users write them

from __future__ import annotations

import io
import itertools
from array import array
from collections import Counter, UserList, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI

from mpicomp import options, pall, pany, parray, pdict, plist, pmap, pmax, pmin, product, pset, psum
from tests.mpi.laws import HANDED_OUT, ROOTS, SCHEDULES, WAYS, each_schedule, holds, rank_of

WORLD = MPI.COMM_WORLD
GLOBAL = 3


class Times:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, x: int) -> int:
        return self.factor * x

    def all_of(self, xs: Iterable[int]) -> Iterator[int]:
        return (self.factor * x for x in xs)


class Plain(Sequence[int]):
    def __init__(self, items: Iterable[int]) -> None:
        self.items = list(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]


class Sub(np.ndarray[Any, Any]):
    pass


def begun(it: Iterator[int]) -> Iterator[int]:
    next(it, None)
    return it


def table(xs: Iterable[int]) -> Iterator[int]:
    row = {i: i * i for i in range(10)}
    return (row[x % 10] for x in xs)


# comprehensions over numbers
SHAPES: dict[str, Callable[[Iterable[int]], Iterable[Any]]] = {
    "itself": lambda xs: (x for x in xs),
    "arithmetic": lambda xs: (x * x - 3 * x for x in xs),
    "floats": lambda xs: (x / 7 for x in xs),
    "types by turns": lambda xs: ([x, x / 3, str(x), None, x % 2 == 0, 1j * x][x % 6] for x in xs),
    "conditional": lambda xs: (x if x % 2 else -x for x in xs),
    "filter": lambda xs: (x for x in xs if x % 3),
    "nothing left": lambda xs: (x for x in xs if x is None),
    "two filters": lambda xs: (x for x in xs if x % 3 if x % 2),
    "walrus": lambda xs: ((y, y + 1) for x in xs if (y := x % 5)),
    "inner loop": lambda xs: ((x, y) for x in xs for y in range(x % 4)),
    "inner loops": lambda xs: (
        (x, y, z) for x in xs for y in "ab" if x % 2 for z in (1, 2) if z != x
    ),
    "nested list": lambda xs: ([x * y for y in range(x % 3)] for x in xs),
    "nested generator": lambda xs: (max((x * y for y in range(3)), default=0) for x in xs),
    "nested dict": lambda xs: ({y: x for y in range(x % 3)} for x in xs),
    "lambda": lambda xs: ((lambda y, z=x: (y, z))(x + 1) for x in xs),
    "global": lambda xs: (x + GLOBAL for x in xs),
    "closure": table,
    "method": lambda xs: Times(7).all_of(xs),
    "f-string": lambda xs: (f"{x:>4}|{x!r}" for x in xs),
    "string methods": lambda xs: (str(x).zfill(3)[::-1] for x in xs),
    "exception as value": lambda xs: (ValueError(x) for x in xs),
    "arrays": lambda xs: (np.full(x % 3, x) for x in xs),
    "numpy numbers": lambda xs: (np.float32(x) for x in xs),
    "map": lambda xs: map(Times(3), xs),
    "map of a builtin": lambda xs: map(str, xs),
}

# what stands behind "in", made of a list of numbers
SOURCES: dict[str, Callable[[list[int]], Iterable[int]]] = {
    "list": lambda xs: xs,
    "tuple": tuple,
    "range": lambda xs: range(len(xs)),
    "range backwards": lambda xs: range(len(xs), -len(xs), -3),
    "array": lambda xs: np.array(xs, int),
    "every other": lambda xs: np.repeat(np.array(xs, int), 2)[::2],
    "array.array": lambda xs: array("q", xs),
    "bytes": lambda xs: bytes(x % 256 for x in xs),
    "set": set,
    "dict": dict.fromkeys,
    "dict values": lambda xs: dict(enumerate(xs)).values(),
    "Counter": Counter,
    "deque": deque,
    "sequence": Plain,
    "UserList": UserList,
    "reversed": reversed,
    "map": lambda xs: map(abs, xs),
    "filter": lambda xs: filter(None, xs),
    "map of filter": lambda xs: map(Times(-1), filter(None, xs)),
    "list iterator, begun": lambda xs: begun(iter(xs)),
    "generator": lambda xs: (x + 1 for x in xs),
    "itertools": lambda xs: itertools.chain(xs, xs),
    "accumulate": itertools.accumulate,
    "callable iterator": lambda xs: iter(iter([*xs, -1]).__next__, -1),
}

numbers = st.lists(st.integers(0, 30), max_size=40)


@settings(max_examples=100)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    source=st.sampled_from(sorted(SOURCES)),
    xs=numbers,
    schedule=st.sampled_from(SCHEDULES + HANDED_OUT),
    root=st.sampled_from(ROOTS),
)
def test_any_comprehension_over_any_source(
    shape: str, source: str, xs: list[int], schedule: str, root: str
) -> None:
    gen, make = SHAPES[shape], SOURCES[source]
    got = plist(gen(make(list(xs))), schedule=schedule, root=rank_of(root))
    holds(got, [*gen(make(list(xs)))], rank_of(root))


# items of other kinds, which go through whole
ITEMS: dict[str, Callable[[], Iterable[Any]]] = {
    "text": lambda: "h\u00e9llo w\u00f6rld \U0001f600 \udcff",
    "big ints": lambda: [2**70 + i for i in range(20)],
    "range beyond 64 bits": lambda: range(2**70, 2**70 - 99, -7),
    "mixed": lambda: [None, True, 1, 1.0, -0.0, "", b"x", (1,), [2], {3: 4}, {5}, 1j, range(3)],
    "dict items": lambda: {"a": 1, "b": [2]}.items(),
    "defaultdict": lambda: defaultdict(list, {x: [x] for x in range(9)}),
    "matrix": lambda: np.arange(30.0).reshape(10, 3),
    "cube": lambda: np.arange(60).reshape(5, 3, 4),
    "columns": lambda: np.arange(30).reshape(5, 6).T,
    "Fortran order": lambda: np.asfortranarray(np.arange(30.0).reshape(10, 3)),
    "every third row, backwards": lambda: np.arange(60).reshape(20, 3)[::-3],
    "no rows": lambda: np.zeros((0, 3)),
    "rows without columns": lambda: np.zeros((5, 0)),
    "records": lambda: np.array([(i, i / 3, "ab") for i in range(9)], "i4, f8, U2"),
    "nested records": lambda: np.zeros(7, [("p", "3f8"), ("q", [("r", "i2"), ("s", "S3")])]),
    "bools": lambda: np.arange(20) % 3 == 0,
    "complex": lambda: np.arange(9) * (1 + 2j),
    "dates": lambda: np.array(["2020-01-01", "NaT", "1999-12-31"], "M8[D]"),
    "big-endian": lambda: np.arange(9, dtype=">i4"),
    "half": lambda: np.linspace(0, 1, 9, dtype=np.float16),
    "long double": lambda: np.arange(9, dtype=np.longdouble) / 3,
    "words": lambda: np.array(["a", "bcd", "\u20ac"]),
    "objects": lambda: np.array([1, "two", None, [3]], object),
    "records with objects": lambda: np.array([(1, "x"), (2, None)], [("a", int), ("b", object)]),
    "array of a subclass": lambda: np.arange(6).reshape(3, 2).view(Sub),
    "record array": lambda: np.rec.array([(1, 2.0), (3, 4.0)], dtype=[("a", int), ("b", float)]),
    "read only": lambda: np.frombuffer(b"abcdefgh", np.uint8),
    "zip": lambda: zip(range(99), "some letters", np.arange(20.0)),
    "enumerate": lambda: enumerate("hello", -2),
    "enumerate of filter": lambda: enumerate(filter(None, [0, 1, 0, 2, 3])),
    "zip of filter": lambda: zip(filter(None, [0, 1, 0, 2, 3]), "abcde"),
    "zip of maps": lambda: zip(map(str, range(9)), map(abs, [-1, -2, -3])),
    "pairs": lambda: zip(*[iter(range(10))] * 2),
    "reversed text": lambda: reversed("hello"),
    "product": lambda: product(range(3), "ab", [1.5, None]),
    "product of ranges": lambda: product(range(3), range(4), range(2)),
    "enumerated product": lambda: enumerate(product("abc", range(2))),
    "file": lambda: io.StringIO("one\ntwo\nthree\n"),
    "groups": lambda: ((k, list(g)) for k, g in itertools.groupby("aabbbc")),
    "map of two": lambda: map(pow, [1, 2, 3, 4], range(9)),
}


@pytest.mark.parametrize("name", ITEMS)
def test_items_of_any_kind(name: str) -> None:
    for schedule, root in WAYS:
        got = plist((x for x in ITEMS[name]()), schedule=schedule, root=rank_of(root))
        holds(got, [*ITEMS[name]()], rank_of(root))


@each_schedule
def test_any_number_of_items(schedule: str) -> None:
    for n in range(12):
        holds(plist((x * x for x in range(n)), schedule=schedule), [x * x for x in range(n)])
        holds(plist((x for x in [*range(n)] if x % 2), schedule=schedule), [*range(n)][1::2])


def test_one_communicator_and_another(comm: MPI.Intracomm) -> None:
    for root in ROOTS:
        rank = rank_of(root, comm)
        holds(plist((x * x for x in [3, 1, 2]), comm=comm, root=rank), [9, 1, 4], rank, comm)


def test_each_verb_is_its_builtin() -> None:
    xs = [5, 3, 8, 1, 9, 2, 8, 4] * 9
    for schedule, name in WAYS:
        root = rank_of(name)
        with options(schedule=schedule, root=root):
            holds(plist(x + 1 for x in xs), [x + 1 for x in xs], root)
            holds(pset(x % 4 for x in xs), {x % 4 for x in xs}, root)
            holds(pdict((x % 4, i) for i, x in enumerate(xs)),
                  {x % 4: i for i, x in enumerate(xs)}, root)  # fmt: skip
            holds(psum(x for x in xs), sum(xs), root)
            holds(pmin(x for x in xs), min(xs), root)
            holds(pmax((x for x in xs), key=lambda x: x % 8), max(xs, key=lambda x: x % 8), root)
            holds(pany(x > 8 for x in xs), True, root)
            holds(pall(x > 8 for x in xs), False, root)
            holds(pmap(divmod, xs, range(1, 99)), [*map(divmod, xs, range(1, 99))], root)
            holds(parray(x / 2 for x in xs), np.array(xs) / 2, root)


def test_results_larger_than_one_message() -> None:
    for schedule in SCHEDULES:
        for n in (5_000, 20_000):
            holds(plist((x / 3 for x in range(n)), schedule=schedule), [x / 3 for x in range(n)])


# which copy of the source counts


OTHERS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: [],
    "other numbers": lambda: [WORLD.rank] * WORLD.rank,
    "an array": lambda: np.zeros((WORLD.rank, 2)),
    "a generator": lambda: (1 / 0 for _ in range(3)),
    "a dict": lambda: {WORLD.rank: 1},
}
MINE: dict[str, Callable[[], Any]] = {
    "list": lambda: [3, 1, 4, 1, 5, 9, 2],
    "array": lambda: np.arange(10.0),
    "generator": lambda: (x * x for x in range(10)),
    "zip": lambda: zip("abcdefg", range(10)),
    "set": lambda: {"some", "words", "in", "a", "set"},
    "product": lambda: product("ab", range(3)),
    "nothing": lambda: [],
}


@pytest.mark.parametrize("mine", MINE)
@pytest.mark.parametrize("others", OTHERS)
def test_only_the_roots_copy_counts(mine: str, others: str) -> None:
    for schedule, rank in [("static", 0), ("static,1", WORLD.size - 1), ("static,3", 0)]:
        xs = MINE[mine]() if WORLD.rank == rank else OTHERS[others]()
        got = plist((x for x in xs), schedule=schedule, root=rank)
        holds(got, [*(MINE[mine]() if isinstance(xs, Iterator) else xs)], rank)


def test_a_set_of_strings_is_in_another_order_on_every_rank_and_yet_each_comes_once() -> None:
    words = {f"word {i}" for i in range(200)}
    for root in (0, WORLD.size - 1):
        for schedule in SCHEDULES:
            got = plist((word.upper() for word in words), schedule=schedule, root=root)
            holds(got, [word.upper() for word in words], root)


def test_when_everyone_gets_the_value_the_items_are_those_of_rank_0() -> None:
    got = plist((x for x in [WORLD.rank] * 5), root=None)
    assert got == [0] * 5


def test_the_closure_is_each_ranks_own() -> None:
    mine = WORLD.rank
    got = plist((mine for _ in range(WORLD.size)), schedule="static,1", root=None)
    assert got == list(range(WORLD.size))


def test_pmap_over_a_stream_runs_its_function_on_every_rank() -> None:
    xs = (x for x in range(200))
    got = pmap(lambda _: WORLD.rank, xs, root=None, schedule="static")
    assert set(got or ()) == set(range(WORLD.size))


BATCHES: dict[str, Callable[[], Iterable[int]]] = {
    "range": lambda: range(23),
    "list": lambda: [*range(23)],
    "array": lambda: np.arange(23),
    "filter": lambda: filter(None, range(23)),
    "generator": lambda: (x for x in range(23)),
}


@pytest.mark.parametrize("name", BATCHES)
def test_batched_functions(name: str) -> None:
    make = BATCHES[name]
    for schedule in SCHEDULES:
        got = pmap(lambda chunk: [2 * x for x in chunk], make(), batched=True, schedule=schedule)
        holds(got, [2 * x for x in make()])


def test_a_chunk_of_a_batch_is_what_the_schedule_says() -> None:
    for b in (1, 2, 5):
        sizes = pmap(lambda c: [len(c)] * len(c), range(23), batched=True, schedule=f"static,{b}")
        holds(sizes, [b] * (23 - 23 % b) + [23 % b] * (23 % b))
