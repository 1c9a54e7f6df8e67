"""MapReduce: keys brought together from all ranks, against dicts and counters filled in a loop."""

from __future__ import annotations

import gc
import re
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI

from mpicomp import (
    CollectiveMismatch,
    Distributed,
    OptionError,
    TransportError,
    options,
    pcount,
    pdict,
    pgroup,
    plist,
    preduce_by_key,
    psum,
)
from mpicomp.plan.bucket import bucket_of
from mpicomp.wire import shuffle, transport
from mpicomp.wire.world import world
from tests.mpi.laws import (
    exactly,
    holds,
    raised,
    rank_of,
    still_works,
    together,
)

WORLD = MPI.COMM_WORLD
WAYS = (("static", "first"), ("static,3", "all"), ("dynamic,50", "last"), ("auto", "first"))


def grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def folded(op: Callable[[Any, Any], Any], pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in pairs:
        found[key] = op(found[key], value) if key in found else value
    return found


def stream(xs: Iterable[Any]) -> Iterator[Any]:
    yield from xs


KEYS = st.one_of(
    st.integers(-3, 3), st.text("ab", max_size=2), st.booleans(), st.sampled_from([1.0, 0.5, None]),
    st.tuples(st.integers(0, 1), st.text("ab", max_size=1)),
)  # fmt: skip


@settings(max_examples=10)
@given(st.lists(KEYS, max_size=120), st.sampled_from(WAYS))
def test_as_a_loop_over_a_dict(keys: list[Any], way: tuple[str, str]) -> None:
    schedule, root = way
    pairs = [(key, str(i)) for i, key in enumerate(keys)]
    with options(schedule=schedule, root=rank_of(root)):
        holds(pcount(key for key in keys), Counter(keys), rank_of(root))
        holds(pgroup(pair for pair in pairs), grouped(pairs), rank_of(root))
        holds(preduce_by_key(add, (pair for pair in pairs)), folded(add, pairs), rank_of(root))


@pytest.mark.parametrize("schedule", ["static", "static,3", "dynamic,3", "guided,2", "af", "auto"])
def test_any_schedule_and_source(schedule: str) -> None:
    lines = [f"w{i % 7} w{i * i % 11} {'x' * (i % 3)}" for i in range(200)]
    words = [word for line in lines for word in line.split()]
    with options(schedule=schedule, root=None):
        holds(pcount(w for line in lines for w in line.split()), Counter(words), None)
        holds(pgroup((x % 5, x) for x in stream(range(300)) if x % 2),
              grouped((x % 5, x) for x in range(300) if x % 2), None)  # fmt: skip
        holds(preduce_by_key(add, (pair for pair in zip(words, lines * 3, strict=False))),
              folded(add, zip(words, lines * 3, strict=False)), None)  # fmt: skip
        nothing: list[int] = []
        holds(pcount(x for x in nothing), Counter(), None)


def test_floats_of_a_key_have_the_same_bits_in_any_schedule() -> None:
    pairs = [(i % 3, (i + 0.1) * 1.37) for i in range(1000)]
    with options(comm=MPI.COMM_SELF):
        alone = preduce_by_key(add, (pair for pair in pairs))
    assert alone is not None
    for schedule in ("static", "static,7", "guided", "auto"):
        got = preduce_by_key(add, (pair for pair in pairs), schedule=schedule, root=None)
        together(exactly(got) == exactly(alone), f"{schedule}: {got} != {alone}")


def test_word_count_of_real_text() -> None:
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("[a-e]*.py"))

    def words(path: Path) -> list[str]:
        return re.findall(r"[a-z]+", path.read_text(errors="replace").lower())

    sizes = [path.stat().st_size for path in paths]
    assert max(sizes) > 20 * min(sizes), "the files are to be uneven"
    counts = Counter(word for path in paths for word in words(path))
    for schedule in ("static", "dynamic,1", "auto"):
        holds(pcount((word for path in paths for word in words(path)), schedule=schedule), counts)
    ones = ((word, 1) for path in paths for word in words(path))
    holds(preduce_by_key(add, ones), dict(counts))


def test_a_key_is_the_object_that_came_first() -> None:
    keys = [1.0, True, 1, "a", np.str_("a"), 2] * 30
    for schedule in ("static,7", "dynamic,1"):
        holds(pcount((x for x in keys), schedule=schedule), Counter(keys))


def test_large_parts_go_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LIMIT", 1000)
    pairs = [(i % 11, np.full(30_000 + i, i)) for i in range(33)]
    got = pgroup((pair for pair in pairs), root=None)
    assert got is not None
    expected = grouped(pairs)
    same = list(got) == list(expected) and all(
        np.array_equal(a, b)
        for k in got
        for a, b in zip(got[k], expected[k], strict=True)
    )
    together(same, "arrays differ")


def test_each_rank_holds_its_share_of_the_keys() -> None:
    ranks = world(WORLD)
    if ranks.comm is None:
        return
    from mpicomp.engine.keyed import Keyed
    from mpicomp.plan.keyed import Groups

    keyed = Keyed(Groups())
    mine = range(3000 * WORLD.rank, 3000 * (WORLD.rank + 1))
    keyed.take(mine, iter([(f"key {i}", i) for i in mine]))
    keyed.meet(ranks)
    held = WORLD.allgather(len(keyed.table.entries))
    together(sum(held) == 3000 * WORLD.size, str(held))
    together(max(held) < 3000 * 1.3, f"keys are not spread evenly: {held}")


# keys in increasing order


@settings(max_examples=8)
@given(st.lists(st.sampled_from([3, -1, 2.5, True, 7, 0]), max_size=90), st.sampled_from(WAYS))
def test_keys_in_increasing_order(keys: list[Any], way: tuple[str, str]) -> None:
    schedule, root = way
    pairs = [((key, i % 2), str(i)) for i, key in enumerate(keys)]
    with options(schedule=schedule, root=rank_of(root)):
        counts = Counter(keys)
        expected = Counter({key: counts[key] for key in sorted(counts)})
        holds(pcount((key for key in keys), sort=True), expected, rank_of(root))
        groups = dict(sorted(grouped(pairs).items()))
        holds(pgroup((pair for pair in pairs), sort=True), groups, rank_of(root))
        folds = {key: "".join(values) for key, values in groups.items()}
        holds(preduce_by_key(add, (pair for pair in pairs), sort=True), folds, rank_of(root))


def test_keys_that_sort_cannot_compare() -> None:
    mixed = [*range(40), "seven", *range(40)]
    error = raised(lambda: pcount((x for x in mixed), sort=True), TypeError)
    assert "39 and 'seven' cannot be compared" in str(error)
    assert "leave sort= out" in str(error)
    raised(lambda: pgroup((x for x in [(1j, 1), (2j, 1)]), sort=True), TypeError)
    raised(lambda: pcount((x for x in mixed), sort="by key"), OptionError)  # type: ignore[arg-type]  # on purpose
    raised(lambda: pcount((x for x in mixed), sort=True, root="stay"), OptionError)
    if WORLD.size > 1:
        mine = WORLD.rank == 0
        raised(lambda: pcount((x for x in range(9)), sort=mine), CollectiveMismatch)


# keys that stay on the ranks


@pytest.mark.parametrize("schedule", ["static", "static,3", "dynamic,3", "auto"])
def test_keys_stay_where_their_digest_says(schedule: str) -> None:
    def pairs() -> Iterator[tuple[Any, str]]:
        return ((f"key {x * x % 47}", str(x)) for x in range(500) if x % 5)

    expected, folds = grouped(pairs()), folded(add, pairs())
    with options(schedule=schedule):
        d: Any
        for d, whole in (
            (pgroup(pairs(), root="stay"), expected),
            (preduce_by_key(add, pairs(), root="stay"), folds),
            (pcount((key for key, _ in pairs()), root="stay"), Counter(k for k, _ in pairs())),
        ):
            assert isinstance(d, Distributed)
            there = all(bucket_of(key, WORLD.size) == WORLD.rank for key, _ in d.part)
            together(there and len(d) == len(whole), f"{d.part}")
            holds(d.gather(), [*whole.items()])
            holds(pdict(pair for pair in d), dict(whole))
            holds(plist(key for key, _ in enumerate(d)), [*range(len(whole))])
            holds(d.redistribute("static").gather(root=None), [*whole.items()], None)
            for place, pair in zip(d.indices, d.part, strict=True):
                assert d[int(place)] == pair
            WORLD.Barrier()
        d = preduce_by_key(add, pairs(), root="stay")
        holds(psum(len(text) for _, text in d), sum(map(len, folds.values())))
        holds(pgroup((len(text), key) for key, text in d),
              grouped((len(text), key) for key, text in folds.items()))  # fmt: skip
        nothing: Any = pgroup(((x, x) for x in range(9) if x > 10), root="stay")
        together(isinstance(nothing, Distributed) and len(nothing) == 0, f"{nothing!r}")
        holds(plist(pair for pair in nothing), [])


def test_keys_that_stay_fail_as_others_do() -> None:
    raised(lambda: pgroup((bad_pair(x) for x in range(100)), root="stay"), ValueError)
    error = raised(lambda: pcount((Mine() if x == 7 else x for x in range(9)), root="stay"),
                   TransportError)  # fmt: skip
    assert any("item" in note for note in error.__notes__)
    ones = ((x % 2, x) for x in range(99))
    raised(lambda: preduce_by_key(refuse, ones, root="stay"), ArithmeticError)


class Bulk:
    """A value of which no rank may have many more than its share."""

    alive = most = 0

    def __init__(self) -> None:
        Bulk.alive += 1
        Bulk.most = max(Bulk.most, Bulk.alive)

    def __del__(self) -> None:
        Bulk.alive -= 1

    def __reduce__(self) -> Any:
        return Bulk, ()


def test_keys_of_very_different_weight_are_spread_evenly() -> None:
    """Some come a thousand times, most come once: each rank ends with its share of them."""
    n, heavy = 3000, 100
    keys = [*(k for k in range(1, heavy) for _ in range(n // k)), *range(n)]
    gc.collect()
    Bulk.most = Bulk.alive
    with options(schedule="static,64", effects="ignore"):  # counting is what it is here for
        d = preduce_by_key(lambda a, _: a, ((f"key {k}", Bulk()) for k in keys), root="stay")
    assert isinstance(d, Distributed)
    share = n / WORLD.size
    held = WORLD.allgather(len(d.part))
    together(sum(held) == n and max(held) < 1.15 * share, f"{held}")
    most = WORLD.allgather(Bulk.most)
    together(max(most) < 1.7 * share + 2 * heavy, f"{most} alive together, of {n}")


# errors: Law 2


def bad_pair(x: int) -> Any:
    return (1, 2, 3) if x == 60 else (x % 3, x)


class Mine:
    pass


class Stubborn:
    """A value that only some ranks can send."""

    def __reduce__(self) -> Any:
        raise RuntimeError("stays here")


def refuse(a: int, b: int) -> int:
    if a + b > 2000:
        raise ArithmeticError("too much")
    return a + b


def test_errors_are_those_of_the_loop() -> None:
    error = raised(lambda: pgroup(bad_pair(x) for x in range(100)), ValueError)
    assert "too many values to unpack" in str(error)
    assert any("in item 60" in note for note in error.__notes__)
    raised(lambda: pcount([x] for x in range(100)), TypeError)
    raised(lambda: pcount(10 // (x - 50) for x in range(100)), ZeroDivisionError)
    error = raised(lambda: preduce_by_key(refuse, ((x % 2, x) for x in range(99))), ArithmeticError)
    assert any("key" in note or "item" in note for note in error.__notes__)


def test_keys_that_cannot_meet() -> None:
    error = raised(lambda: pcount(Mine() if x == 70 else x for x in range(100)), TransportError)
    assert "write a key of text" in str(error)
    assert any("item" in note for note in error.__notes__)
    raised(lambda: pgroup((float("nan"), x) for x in range(10)), TransportError)


def test_values_that_cannot_travel() -> None:
    if WORLD.size == 1:
        return
    pairs = ((x, Stubborn() if x == 5 else x) for x in range(40 * WORLD.size))
    raised(lambda: pgroup((pair for pair in pairs), schedule="static"), TransportError)


def test_a_shuffle_tells_everybody_that_something_was_not_sent() -> None:
    ranks = world(WORLD)
    if ranks.comm is None:
        return

    def make(rank: int) -> Any:
        if WORLD.rank == WORLD.size - 1 and rank == 0:
            raise LookupError("not there")
        return WORLD.rank, rank

    got: list[Any] = []
    problem: BaseException | None = None
    try:
        shuffle.shuffle(ranks, make, got.append)
    except BaseException as exc:
        problem = exc
    told = WORLD.allgather(type(problem))
    if WORLD.size > 1:
        together(told[0] is transport.NothingSent and told[-1] is LookupError, str(told))
    else:
        together(told == [LookupError], str(told))
    still_works()


def test_bad_calls() -> None:
    raised(lambda: preduce_by_key(3, ((x, x) for x in range(3))), OptionError)  # type: ignore[arg-type]  # on purpose
    raised(lambda: pgroup(((x, x) for x in range(3)), errors="return"), OptionError)
    if WORLD.size > 1:
        other = pcount if WORLD.rank else pgroup
        raised(lambda: other((x, x) for x in range(3)), CollectiveMismatch)
