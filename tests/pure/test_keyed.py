"""Values under keys, put together from any parts in any order, against a plain dict."""

from __future__ import annotations

import datetime as dt
import enum
import itertools
import random
from collections import Counter, namedtuple
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp import TransportError
from mpicomp.plan.bucket import bucket_of, encoded
from mpicomp.plan.fold import LEAF, leaves
from mpicomp.plan.keyed import Counts, Folds, Groups, Table, by_key
from tests.launch import run_python

Pairs = list[tuple[Any, Any]]


class Text:
    """Adds as text does, and remembers the brackets: an operation that is not associative.

    So it shows the very tree by which values were combined.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __add__(self, other: Text) -> Text:
        return Text(f"({self.text}{other.text})")


def add(a: Any, b: Any) -> Any:
    return a + b


def shares(n: int, p: int, rng: random.Random) -> list[list[range]]:
    """``range(n)`` cut anywhere and dealt to p ranks, who take their runs in any order."""
    most = rng.choice([0, 2, n // 50, n // 10])
    cuts = sorted({0, n, *(rng.randint(0, n) for _ in range(most))})
    runs: list[list[range]] = [[] for _ in range(p)]
    for start, stop in itertools.pairwise(cuts):
        runs[rng.randrange(p)].append(range(start, stop))
    for mine in runs:
        if rng.random() < 0.5:
            rng.shuffle(mine)
    return runs


def pieces(run: range, by_leaf: bool, rng: random.Random) -> Iterator[range]:
    if by_leaf:
        yield from leaves(run)
        return
    at = run.start
    while at < run.stop:
        stop = min(run.stop, at + rng.randint(1, 50))
        yield range(at, stop)
        at = stop


def brought_together(way: Any, given: list[Any], p: int, rng: random.Random) -> list[Any]:
    """``(key, value)`` in order, after p ranks have each taken in a share and met."""
    tables = []
    for runs in shares(len(given), p, rng):
        table = Table(way)
        for run in runs:
            for piece in pieces(run, isinstance(way, Folds), rng):
                values = (value for item in given[piece.start : piece.stop] for value in item)
                table.take(piece.start, piece.stop, values)
        tables.append(table)
    owners = [Table(way) for _ in range(p)]
    for table in rng.sample(tables, p):
        for entry in table.entries.values():
            owners[bucket_of(entry[1], p)].join([entry])
    found = sorted((entry for owner in owners for entry in owner.settled()), key=lambda e: e[0])
    return [(key, value) for _, key, value in found]


items = st.lists(st.lists(st.sampled_from([0, 1, "a", (2, "b"), None]), max_size=3), max_size=400)


@given(items, st.integers(1, 5), st.integers(0, 10**6))
def test_counts(keys: list[list[Any]], p: int, seed: int) -> None:
    found = brought_together(Counts(), keys, p, random.Random(seed))
    assert found == [*Counter(key for item in keys for key in item).items()]


@given(items, st.integers(1, 5), st.integers(0, 10**6))
def test_groups_and_folds(keys: list[list[Any]], p: int, seed: int) -> None:
    rng = random.Random(seed)
    pairs = [[(key, f"{i}.{j} ") for j, key in enumerate(item)] for i, item in enumerate(keys)]
    groups: dict[Any, list[str]] = {}
    for item in pairs:
        for key, value in item:
            groups.setdefault(key, []).append(value)
    assert brought_together(Groups(), pairs, p, rng) == [*groups.items()]
    joined = [(key, "".join(values)) for key, values in groups.items()]
    assert brought_together(Folds(add), pairs, p, rng) == joined


@given(st.lists(st.integers(0, 5), max_size=700), st.integers(1, 6), st.integers(0, 10**6))
def test_the_tree_is_the_same_for_any_shares(keys: list[int], p: int, seed: int) -> None:
    pairs: list[Pairs] = [[(key, Text(str(i)))] for i, key in enumerate(keys)]
    alone = brought_together(Folds(add), pairs, 1, random.Random(seed + 1))
    found = brought_together(Folds(add), pairs, p, random.Random(seed))
    told = [[(key, value.text) for key, value in pairs] for pairs in (found, alone)]
    assert told[0] == told[1]


def test_what_a_rank_keeps_of_a_key_grows_with_the_logarithm_of_its_run() -> None:
    table = Table(Folds(add))
    for piece in leaves(range(5 * LEAF + 7, 4099 * LEAF + 3)):
        table.take(piece.start, piece.stop, (("k", 1) for _ in piece))
    (_, _, (_, stack, nodes, parts)) = table.entries["k"]
    assert len(stack) < 30
    assert not nodes
    assert len(parts) == 2  # the leaves at both ends, which others hold too


def test_a_tree_of_few_leaves_is_the_plain_fold() -> None:
    values = [Text(str(i)) for i in range(LEAF)]
    table = Table(Folds(add))
    table.take(0, LEAF, (("k", value) for value in values))
    assert table.settled()[0][2].text == reduce(add, values).text


class Color(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


Pair = namedtuple("Pair", "a b")  # as users write it

EQUAL: list[tuple[Any, ...]] = [
    (1, 1.0, True, Fraction(1), Decimal("1.00"), 1 + 0j, np.int8(1), np.float32(1), np.True_,
     np.longdouble(1), Number.ONE),
    (0, -0.0, False, np.uint64(0)),
    (2**70, float(2**70), Fraction(2**70)),
    (float("inf"), np.inf, Decimal("Infinity")),
    ("a", np.str_("a"), Word.A),
    (b"a", np.bytes_(b"a")),
    ((1, "a"), (True, Word.A), Pair(1.0, "a")),
    (frozenset({1, "b"}), frozenset({"b", 1.0})),
    (dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC),
     dt.datetime(2020, 1, 1, 13, tzinfo=dt.timezone(dt.timedelta(hours=1)))),
    (dt.timedelta(hours=24), dt.timedelta(days=1)),
    (Path("a/b"), PurePosixPath("a/b")),
]  # fmt: skip
DIFFERENT = [
    0, 1, 2, -1, 1.5, "1", b"1", "a", b"a", "", None, (), ("a",), (("a",),), ("ab", "c"),
    ("a", "bc"), frozenset(), frozenset({"a"}), dt.date(2020, 1, 1), dt.datetime(2020, 1, 1),
    dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.timedelta(1), Path("a"), Color.RED, UUID(int=1), int,
    str, "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("keys", EQUAL, ids=str)
def test_equal_keys_meet(keys: tuple[Any, ...]) -> None:
    assert all(key == keys[0] for key in keys)
    assert len({encoded(key) for key in keys}) == 1


def test_different_keys_are_written_differently() -> None:
    assert len({encoded(key) for key in DIFFERENT}) == len(DIFFERENT)
    counts = Counter(bucket_of(f"key {i}", 8) for i in range(8000))
    assert max(counts.values()) < 1200  # 1000 expected, 30 its deviation


def test_buckets_are_the_same_in_every_process() -> None:
    keys = "['a', b'a', 1.5, ('a', 2), frozenset('abc'), None]"
    program = f"from mpicomp.plan.bucket import *; print([bucket_of(k, 10**9) for k in {keys}])"
    said = {run_python(["-c", program], env={"PYTHONHASHSEED": seed}).stdout for seed in "123"}
    assert said == {f"{[bucket_of(key, 10**9) for key in eval(keys)]}\n"}


class Mine:
    pass


class Loose(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self.lower() == str(other).lower()

    __hash__ = str.__hash__


REFUSED = [Mine(), Loose("a"), float("nan"), (1, float("nan")), np.datetime64("2020")]


@pytest.mark.parametrize("key", REFUSED, ids=repr)
def test_keys_of_which_nobody_knows_when_they_are_equal(key: Any) -> None:
    with pytest.raises(TransportError, match="write"):
        bucket_of(key, 3)


class Apart:
    """A key that one other cannot be compared with."""

    def __init__(self, place: int, odd: bool = False) -> None:
        self.place, self.odd = place, odd

    def __repr__(self) -> str:
        return f"<{self.place}{'odd' * self.odd}>"

    def __lt__(self, other: Apart) -> bool:
        if self.odd and other.odd:
            raise TypeError("both are odd")
        return self.place < other.place


@given(st.lists(st.integers() | st.tuples(st.integers(0, 2), st.integers() | st.text())))
def test_keys_in_order_are_those_that_sorted_gives_or_it_names_two_that_it_cannot(
    keys: list[Any],
) -> None:
    found = {key: at for at, key in enumerate(keys)}
    try:
        expected = list(dict(sorted(found.items(), key=itemgetter(0))).items())
    except TypeError:
        with pytest.raises(TypeError, match="leave sort= out") as caught:
            by_key(found)
        pairs = [(a, b) for a in found for b in found if not comparable(a, b)]
        assert any(f"and {a!r} and {b!r} cannot" in str(caught.value) for a, b in pairs)
    else:
        assert list(by_key(found).items()) == expected


def comparable(one: Any, other: Any) -> bool:
    try:
        return bool(one < other) or True
    except TypeError:
        return False


def test_two_keys_that_cannot_be_compared_are_found_among_others() -> None:
    keys = [Apart(1), Apart(2, odd=True), Apart(3), Apart(2, odd=True)]
    with pytest.raises(TypeError, match=r"<2odd> and <2odd> cannot be compared .both are odd"):
        by_key(dict.fromkeys(keys))
