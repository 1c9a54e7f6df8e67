"""Law 3: reductions have the same bits for any number of ranks and any schedule."""

# ruff: noqa: B023  # lambdas that are called at once

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import add, concat, matmul, mul
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI

from mpicomp import options, pall, pany, pdict, pmax, pmin, preduce, pset, psum
from tests.mpi.laws import SCHEDULES, exactly, holds, rank_of, together

WORLD = MPI.COMM_WORLD


def everywhere(call: Callable[[], Any]) -> Any:
    """The value of *call*, which has the same bits alone, together, and in any schedule."""
    with options(comm=MPI.COMM_SELF):
        alone = call()
    for schedule, root in (("static", "first"), ("static,3", "all"), ("dynamic,3", "last")):
        with options(schedule=schedule, root=rank_of(root)):
            holds(call(), alone, rank_of(root))
    return alone


def same_as(call: Callable[[], Any], expected: Any) -> None:
    got = everywhere(call)
    both_nan = isinstance(got, float) and got != got and expected != expected
    same = exactly(got) == exactly(expected) or both_nan
    together(same, f"expected {expected!r}, got {got!r}")


def stream(xs: Iterable[Any]) -> Iterable[Any]:
    yield from xs


# psum


@settings(max_examples=15)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60))
def test_a_sum_of_floats_is_fsum(xs: list[float]) -> None:
    if not xs:
        return
    try:
        serial = math.fsum(xs)
    except OverflowError:
        serial = math.inf if sum(map(Fraction, xs)) > 0 else -math.inf
    got = everywhere(lambda: psum(x for x in xs))
    together(got == serial and type(got) is float, f"{got!r} != {serial!r}")


rng = random.Random(3)
WILD = [rng.uniform(-1, 1) * 10.0 ** rng.randint(-200, 200) for _ in range(997)]


@pytest.mark.parametrize("make", [list, np.array, stream], ids=["list", "array", "stream"])
def test_a_sum_of_many_wild_floats(make: Callable[[list[float]], Iterable[float]]) -> None:
    expected = math.fsum(WILD)
    same_as(lambda: psum(float(x) for x in make(WILD)), expected)
    same_as(lambda: psum(float(x) for x in make(WILD) for _ in range(2) if x > 0),
            math.fsum([x for x in WILD for _ in range(2) if x > 0]))  # fmt: skip


def test_a_sum_over_numpy_floats_is_a_numpy_float() -> None:
    same_as(lambda: psum(x for x in np.array(WILD)), np.float64(math.fsum(WILD)))
    same_as(lambda: psum(np.float64(x) if x > 0 else x for x in WILD), np.float64(math.fsum(WILD)))


SUMS: dict[str, tuple[list[Any], Any]] = {
    "ints": ([*range(1000)], 499500),
    "huge ints": ([2**200, 1, -(2**200)] * 20, 20),
    "bools": ([True, False, True] * 20, 40),
    "numpy bools": ([*(np.arange(99) % 3 == 0)], np.int64(33)),
    "numpy ints": ([*np.arange(1000)], np.int64(499500)),
    "small numpy ints": ([*np.full(120, 2, np.uint8)], np.uint8(240)),
    "fractions": ([Fraction(x, 7) for x in range(50)], Fraction(175)),
    "decimals": ([Decimal("0.1")] * 100, Decimal("10.0")),
    "ints and floats": ([10**20, 0.5, -(10**20), 3] * 9, 31.5),
    "one float among ints": ([*range(100), 0.5], 4950.5),
    "infinity": ([1e308, math.inf, 1e308, 1e308], math.inf),
    "both infinities": ([math.inf, 1.0, -math.inf], math.nan),
    "nan": ([1.0, math.nan, 1e308, 1e308], math.nan),
    "overflow": ([1e308] * 40, math.inf),
    "overflow on the way": ([1e308] * 40 + [-1e308] * 40 + [1.5], 1.5),
    "one by one over the edge": ([1e308, 1e308, 1.5, -1e308, -1e308] * 900, 1350.0),
    "huge ints beside floats": ([10**400, 1.5, -(10**400)] * 5, 7.5),
    "complex": ([1 + 2j, 3 - 1j, 0.5j] * 11, sum([1 + 2j, 3 - 1j, 0.5j] * 11)),
}  # fmt: skip


@pytest.mark.parametrize("name", SUMS)
def test_sums(name: str) -> None:
    xs, expected = SUMS[name]
    same_as(lambda: psum(x for x in xs), expected)


STARTS: dict[str, tuple[list[Any], Any]] = {
    "nothing": ([], 0),
    "nothing, from true": ([], True),
    "nothing, from a list": ([], [1]),
    "from a float": ([1, 2, 3], 0.5),
    "from an int": ([0.5, 0.25], 7),
    "lists": ([[x] for x in range(99)], [0]),
    "tuples": ([(x,) for x in range(99)], ()),
    "vectors": ([*np.arange(300).reshape(100, 3)], 0),
    "vectors, from a vector": ([*np.arange(300).reshape(100, 3)], np.ones(3)),
    "masks": ([*(np.arange(300).reshape(100, 3) % 4 == 0)], 0),
    "times": ([timedelta(hours=x) for x in range(99)], timedelta(0)),
    "decimals and ints": ([Decimal(x) if x % 7 else x for x in range(99)], 0),
    "decimals, from a decimal": ([Decimal(x) for x in range(99)], Decimal("0.5")),
}


@pytest.mark.parametrize("name", STARTS)
def test_sums_from_a_start(name: str) -> None:
    xs, start = STARTS[name]
    same_as(lambda: psum((x for x in xs), start), sum(xs, start))


MIXED: dict[str, list[Any]] = {
    "complex among floats": [0.1j if x % 50 == 0 else 0.1 for x in range(1000)],
    "single among double": [np.float32(0.1) if x % 50 == 0 else 0.1 for x in range(1000)],
    "fractions among floats": [Fraction(1, 3) if x % 50 == 0 else 0.1 for x in range(1000)],
    "single": [np.float32(x) for x in WILD if abs(x) < 1e30],
    "rows of floats": [*np.array(WILD[:996]).reshape(332, 3)],
    "complex": [complex(x, -x) for x in WILD],
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.filterwarnings("ignore:overflow")
def test_sums_that_round_have_one_value(name: str) -> None:
    """Not that of the builtin, which rounds from left to right, but one, and close to it."""
    xs = MIXED[name]
    got = everywhere(lambda: psum(x for x in xs))
    np.testing.assert_allclose(np.array(got, complex), np.array(sum(xs), complex), rtol=1e-3)
    again = everywhere(lambda: psum(x for x in stream(xs)))
    together(exactly(again) == exactly(got), f"{again!r} != {got!r}")


# preduce


def test_any_associative_operation() -> None:
    words = [str(x) for x in range(300)]
    same_as(lambda: preduce(add, (w for w in words)), "".join(words))
    same_as(lambda: preduce(add, (w for w in words), ">"), ">" + "".join(words))
    same_as(lambda: preduce(concat, ([w] for w in words if len(w) < 3)),
            [w for w in words if len(w) < 3])  # fmt: skip
    same_as(lambda: preduce(mul, (x for x in range(1, 100))), math.factorial(99))
    same_as(lambda: preduce(max, (x % 37 for x in range(100)), -1), 36)
    same_as(lambda: preduce(lambda a, _: a, (w for w in words)), "0")
    same_as(lambda: preduce(lambda _, b: b, (w for w in words)), "299")
    same_as(lambda: preduce(dict.__or__, ({w[0]: w} for w in words)), {w[0]: w for w in words})


def test_products_of_matrices() -> None:
    turns = np.random.default_rng(0).integers(-2, 3, (50, 3, 3)).astype(object)
    same_as(lambda: preduce(matmul, (m for m in turns)), reduce(matmul, turns))


@pytest.mark.parametrize("n", [1, 2, 32, 33, 64, 97, 127, 128, 300])
def test_floats_are_combined_along_one_tree(n: int) -> None:
    xs = [(x + 0.1) * 1.37 for x in range(n)]
    got = everywhere(lambda: preduce(add, (x for x in xs)))
    again = everywhere(lambda: preduce(add, (x for x in stream(xs))))
    filtered = everywhere(lambda: preduce(add, (x for x in xs if x > 0)))
    together(got == again == filtered, f"{got!r}, of a stream {again!r}, filtered {filtered!r}")
    if n <= 32:
        assert got == reduce(add, xs)


def test_one_item_and_none() -> None:
    same_as(lambda: preduce(add, (x for x in [5])), 5)
    same_as(lambda: preduce(add, (x for x in [5]), 2), 7)
    same_as(lambda: preduce(add, (x for x in range(0)), 2), 2)
    same_as(lambda: preduce(add, (x for x in range(99) if x == 50)), 50)


# pmin and pmax


class Tied:
    """Equal to all others of its weight; told apart by its name."""

    def __init__(self, weight: int, name: int) -> None:
        self.weight, self.name = weight, name

    def __lt__(self, other: Tied) -> bool:
        return self.weight < other.weight

    def __gt__(self, other: Tied) -> bool:
        return self.weight > other.weight

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tied) and self.name == other.name

    def __hash__(self) -> int:
        return self.name


CHOICES: dict[str, list[Any]] = {
    "ints": [5, 3, 8, 3, 9, 2, 9, 4] * 9,
    "types that are equal": [2, 2.0, True, 1, 1.0, 2, np.int64(1), np.float64(2)] * 3,
    "signs of zero": [0.0, -0.0, 0, -0.0] * 3,
    "words": ["pear", "fig", "kiwi", "apple"],
    "pairs": [(x % 3, -x) for x in range(40)],
    "ties": [Tied(x % 3, x) for x in range(40)],
    "infinities": [1.0, -math.inf, math.inf, 2.0],
    "one": [3],
}
NAN = math.nan
for place in (0, 1, 7, 14):
    CHOICES[f"nan at {place}"] = [NAN if x == place else float(x * 7 % 15) for x in range(15)]
    CHOICES[f"single nan at {place}"] = [np.float32(x) for x in CHOICES[f"nan at {place}"]]
CHOICES["many nans"] = [3.0, NAN, 1.0, NAN, NAN, 0.0, NAN, 2.0, NAN] * 3
CHOICES["many half nans"] = [np.float16(x) for x in CHOICES["many nans"]]
CHOICES["only nans"] = [NAN] * 7
CHOICES["dates"] = [*np.array(["2020-01-01", "NaT", "1999-12-31", "NaT"] * 3, "M8[D]")]


@pytest.mark.parametrize("name", CHOICES)
def test_the_choice_is_that_of_the_builtin(name: str) -> None:
    xs = CHOICES[name]
    for ours, builtin in ((pmin, min), (pmax, max)):
        same_as(lambda: ours(x for x in xs), builtin(xs))
        same_as(lambda: ours(x for x in stream(xs)), builtin(xs))


def test_keys_and_defaults() -> None:
    words = ["pear", "fig", "kiwi", "apple", "fog"] * 4
    for ours, builtin in ((pmin, min), (pmax, max)):
        same_as(lambda: ours((w for w in words), key=len), builtin(words, key=len))
        same_as(lambda: ours((w for w in words), key=lambda w: NAN if w == "fig" else len(w)),
                builtin(words, key=lambda w: NAN if w == "fig" else len(w)))  # fmt: skip
        same_as(lambda: ours((w for w in words), default="none"), builtin(words))
        same_as(lambda: ours((w for w in words[:0]), default="none"), "none")
        same_as(lambda: ours((w for w in words if len(w) > 9), default=None), None)


def test_a_key_is_asked_once_for_each_item_but_the_last_few() -> None:
    asked = [0]

    def key(x: int) -> int:
        asked[0] += 1
        return -x

    pmin((x for x in range(10_000)), key=key, effects="ignore")
    assert WORLD.allreduce(asked[0]) < 11_000


# pset and pdict


def test_of_equal_values_the_first_is_kept() -> None:
    xs = [1, True, 1.0, 2.0, 2, False, 0, np.int64(3), 3, "a", "a"]
    for values in (xs, xs[::-1], xs * 9):
        same_as(lambda: pset(x for x in values), set(values))
        same_as(lambda: pset(x for x in stream(values)), set(values))
    same_as(lambda: pset(x for x in range(0)), set())


def test_of_equal_keys_the_last_value_is_kept_in_the_place_of_the_first() -> None:
    pairs = [(x * 7 % 5, x) for x in range(40)] + [(True, "true"), (1.0, "one"), ("late", 0)]
    for values in (pairs, pairs[::-1]):
        same_as(lambda: pdict(pair for pair in values), dict(values))
        same_as(lambda: pdict(pair for pair in stream(values)), dict(values))
        same_as(lambda: pdict([k, v] for k, v in values), dict(values))  # type: ignore[misc]  # a list does as well
    same_as(lambda: pdict((x, x) for x in range(0)), {})


# pany and pall


@pytest.mark.parametrize(
    "xs", [[], [0], [1], [0, 1], [1, 0], [0] * 99, [1] * 99], ids=lambda xs: f"{xs[:2]} {len(xs)}"
)
def test_any_and_all_are_the_builtins(xs: list[int]) -> None:
    for make in (list, stream):
        same_as(lambda: pany(x for x in make(xs)), any(xs))
        same_as(lambda: pall(x for x in make(xs)), all(xs))
        same_as(lambda: pany(x for x in make(xs) for _ in range(2) if x), any(xs))


@pytest.mark.parametrize("start", [0, 10**30])
def test_a_search_in_an_endless_range_ends(start: int) -> None:
    endless = range(start, start + 2**200)
    for chosen in (options(), *(options(schedule=schedule) for schedule in SCHEDULES)):
        with chosen:
            holds(pany(x > start + 500 for x in endless), True)
            holds(pall(x < start + 500 for x in endless), False)


def test_a_search_ends_on_every_rank_soon_after_the_find() -> None:
    """Every rank would compute for hours; each stops when it hears."""
    computed = [0]

    def slow(x: int) -> bool:
        computed[0] += 1
        sum(range(2000))
        return x == 300

    for schedule in ("static,1", "static,16", "static,1000"):
        computed[0] = 0
        found = pany((slow(x) for x in range(10**9)), schedule=schedule, effects="ignore")
        holds(found, True)
        assert WORLD.allreduce(computed[0]) < 2 * 10**5


def test_a_search_that_finds_at_once_computes_next_to_nothing() -> None:
    computed = [0]

    def note(x: int) -> int:
        computed[0] += 1
        return x

    with options(comm=MPI.COMM_SELF, effects="ignore"):
        assert pany(note(x) == 0 for x in range(10**9)) is True
    assert computed[0] == 1
