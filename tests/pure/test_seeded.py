"""Laws of `seeded`: the stream of an item depends on the seed and on its number alone."""

# ruff: noqa: B905  # zip as users write it

from __future__ import annotations

import itertools
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from operator import length_hint
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import PCG64DXSM, Generator, SeedSequence

from mpicomp import plist, pmap, product, seeded
from mpicomp.errors import OptionError
from mpicomp.plan.batch import batched_map
from mpicomp.plan.comprehension import take_apart
from mpicomp.plan.find import find_source
from mpicomp.plan.source import Held, Source, Stream, rebuild

XS = [3, 1, 4, 1, 5, 9, 2, 6, 5]

Drawn = list[tuple[Any, list[int]]]

# name: what is seeded, where it can be cut
CUT: dict[str, Callable[[], Iterable[Any]]] = {
    "range": lambda: range(20, -5, -3),
    "empty range": lambda: range(0),
    "list": lambda: list(XS),
    "tuple": lambda: tuple(XS),
    "text": lambda: "letters",
    "rows": lambda: np.arange(12).reshape(4, 3),
    "set": lambda: {5, 3, 9},
    "dict items": lambda: {"a": 1, "b": 2}.items(),
    "deque": lambda: deque(XS),
    "list iterator": lambda: iter(XS),
    "zip": lambda: zip(XS, "some letters"),
    "enumerate": lambda: enumerate(XS, 5),
    "map": lambda: map(str, XS),
    "product": lambda: product(range(3), "ab"),
}
# and where it cannot
STREAMS: dict[str, Callable[[], Iterable[Any]]] = {
    "generator": lambda: (x for x in XS),
    "itertools": lambda: itertools.chain(XS, "ab"),
    "filter": lambda: filter(None, [0, 1, 0, 2]),
}

SEEDS = (0, 7, 2**32, 2**200 + 3, (7,), (7, 1), [1, 2, 3, 4, 5, 6], np.array([7, 1]), np.int64(9))


def drawn(pairs: Iterable[tuple[Any, Generator]]) -> Drawn:
    return [(np.array(x).tolist(), rng.bit_generator.random_raw(3).tolist()) for x, rng in pairs]


def first_drawn(pair: tuple[Any, Generator]) -> tuple[Any, list[int]]:
    return drawn([pair])[0]


def by_numpy(xs: Iterable[Any], seed: Any) -> Drawn:
    """What numpy says, without us."""
    streams = (SeedSequence(seed, spawn_key=(i,)) for i in itertools.count())
    return drawn((x, Generator(PCG64DXSM(stream))) for x, stream in zip(xs, streams))


def opened(source: Source) -> Drawn:
    return drawn(source.open()[0])


# the promise

# raw digits of numpy 2.4, kept for ever: who ran a program last year gets the same today
GOLDEN = [("a", "520319a7ceccbbbc"), ("b", "7c1b621a186ec610"), ("c", "b5e40845cadd42f5")]
FAR = "e24b90daed15e724"


def test_the_streams_never_change() -> None:
    assert [(x, f"{rng.bit_generator.random_raw():016x}") for x, rng in seeded("abc", 7)] == GOLDEN
    far = seeded(range(2**70), (2**130, 5))[2**64 + 1]
    assert (far[0], f"{far[1].bit_generator.random_raw():016x}") == (2**64 + 1, FAR)


@pytest.mark.parametrize("name", [*CUT, *STREAMS])
def test_an_item_has_the_stream_of_its_number(name: str) -> None:
    make = {**CUT, **STREAMS}[name]
    assert drawn(seeded(make(), 7)) == by_numpy(make(), 7)
    assert drawn(iter(seeded(make(), 7))) == by_numpy(make(), 7)


@pytest.mark.parametrize("seed", SEEDS, ids=str)
def test_a_seed_is_what_numpy_takes(seed: Any) -> None:
    plain = seed.tolist() if isinstance(seed, np.ndarray | np.generic) else seed
    assert drawn(seeded(XS, seed)) == by_numpy(XS, plain)


def test_streams_differ_by_number_and_by_seed() -> None:
    streams = [raw for seed in (0, 1, (0, 1), 2**32 + 5) for _, (raw, *_) in
               drawn(seeded(range(500), seed))]  # fmt: skip
    assert len(set(streams)) == 2000


def test_a_stream_has_children_of_its_own() -> None:
    def children() -> list[int]:
        return [child.bit_generator.random_raw()
                for _, rng in seeded(range(3), 7) for child in rng.spawn(2)]  # fmt: skip

    assert children() == children()
    assert len(set(children())) == 6


def test_each_walk_begins_each_stream_anew() -> None:
    pairs = seeded(XS, 7)
    assert drawn(pairs) == drawn(pairs)
    assert pairs[3][1] is not pairs[3][1]


# a sequence


@given(st.integers(0, 12), st.slices(12))
def test_a_slice_is_that_of_the_list_of_pairs(n: int, part: slice) -> None:
    for xs in (range(n), XS[:n], product(range(n), "a"), zip(range(n), "letters and more")):
        pairs = seeded(xs, 7)
        assert drawn(pairs[part]) == drawn(list(pairs)[part])
        assert len(pairs[part]) == len(list(pairs)[part])
        again = slice(None, None, -2)
        assert drawn(pairs[part][again]) == drawn(list(pairs)[part][again])


@pytest.mark.parametrize("name", CUT)
def test_items_by_number(name: str) -> None:
    pairs = seeded(CUT[name](), 7)
    whole = list(pairs)
    assert len(pairs) == len(whole)
    assert drawn(pairs[i] for i in range(-len(whole), len(whole))) == drawn(seeded(
        CUT[name](), 7)) * 2  # fmt: skip
    assert drawn(reversed(pairs)) == drawn(seeded(CUT[name](), 7))[::-1]
    for outside in (len(whole), -len(whole) - 1):
        with pytest.raises(
            IndexError, match=f"index {outside} is outside a seeded of {len(whole)}"
        ):
            pairs[outside]


def test_a_sequence_and_its_picture() -> None:
    pairs = seeded(range(5), 7)
    assert isinstance(pairs, Sequence)
    assert repr(pairs) == "seeded(range(0, 5), seed=7)"
    assert repr(pairs[1:3]) == "seeded(range(0, 5), seed=7) at range(1, 3)"
    assert repr(seeded([1], np.array([7, 1]))) == "seeded([1], seed=(7, 1))"


def test_a_pickled_one_is_the_same() -> None:
    pairs = seeded(XS, (7, 1))[2:]
    assert drawn(pickle.loads(pickle.dumps(pairs))) == drawn(pairs)


def test_beyond_maxsize() -> None:
    pairs = seeded(range(2**70), 7)
    assert drawn([pairs[-1]])[0][0] == 2**70 - 1
    assert drawn(pairs[2**66 : 2**66 + 2]) == drawn([pairs[2**66], pairs[2**66 + 1]])


@pytest.mark.parametrize("name", STREAMS)
def test_of_a_stream_the_items_have_no_place(name: str) -> None:
    pairs = seeded(STREAMS[name](), 7)
    for ask, wanted in ((len, "a length"), (lambda it: it[0], "items by number"),
                        (lambda it: it[1:], "items by number")):  # fmt: skip
        with pytest.raises(TypeError, match=rf"{wanted}.*write seeded\(list\(xs\), seed\)"):
            ask(pairs)
    assert drawn(pairs) == by_numpy(STREAMS[name](), 7)
    assert drawn(pairs) == []


def test_a_stream_is_read_when_asked_and_numbers_go_on() -> None:
    pairs = seeded(iter(iter(XS).__next__, None), 7)
    first = drawn(itertools.islice(pairs, 2))
    assert first + drawn(itertools.islice(pairs, 3)) == by_numpy(XS, 7)[:5]


# as a source


@pytest.mark.parametrize("name", CUT)
@given(cuts=st.lists(st.integers(0, 12), max_size=3), step=st.integers(1, 3))
def test_cut_anywhere_it_is_the_whole(name: str, cuts: list[int], step: int) -> None:
    expected = by_numpy(CUT[name](), 7)
    source = find_source(seeded(CUT[name](), 7))
    n = len(expected)
    assert source.n == n
    bounds = [0, *sorted(min(cut, n) for cut in cuts), n]
    assert [
        row for pair in pairwise(bounds) for row in opened(source.cut(range(*pair)))
    ] == expected
    for first in range(step):
        assert opened(source.cut(range(min(first, n), n, step))) == expected[first::step]


@pytest.mark.parametrize("name", CUT)
def test_another_rank_builds_the_same_from_the_outline(name: str) -> None:
    source = find_source(iter(seeded(CUT[name](), (7, 1))))
    held = [Held(leaf.items, leaf.n or 0, lambda i: i) for leaf in source.leaves()]
    outline = pickle.loads(pickle.dumps(source.outline()))
    built = rebuild(outline, iter(held), iter(source.functions()))
    n = source.n or 0
    assert built.n == n
    assert opened(built.cut(range(n // 2, n))) == by_numpy(CUT[name](), (7, 1))[n // 2 :]


def test_made_of_ranges_nothing_has_to_be_sent() -> None:
    for known in (range(5), zip(range(5), range(2)), product(range(3), range(4)), range(9)[2:]):
        assert find_source(seeded(known, 7)).known
        assert find_source(enumerate(seeded(known, 7)[1:])).known
    for sent in (XS, enumerate(XS), product(range(3), "ab")):
        assert not find_source(seeded(sent, 7)).known


def test_what_is_left_tells_which_item_is_at_work() -> None:
    it, probe = find_source(seeded(XS, 7)).open()
    next(it), next(it)
    assert length_hint(probe) == len(XS) - 2


def test_inside_other_sources() -> None:
    pairs = by_numpy(XS, 7)
    for source in (enumerate(seeded(XS, 7)), zip(range(50), seeded(XS, 7))):
        found = find_source(source)
        assert not isinstance(found, Stream)
        assert drawn(pair for _, pair in found.cut(range(2, 5)).open()[0]) == pairs[2:5]
    twice = find_source(seeded(seeded(XS, 1), 2))
    rows = list(twice.cut(range(3, 5)).open()[0])
    assert drawn(pair for pair, _ in rows) == by_numpy(XS, 1)[3:5]
    assert drawn((pair[0], rng) for pair, rng in rows) == by_numpy(XS, 2)[3:5]


def test_a_walk_that_has_begun_is_a_stream() -> None:
    walk = iter(seeded(XS, 7))
    next(walk)
    assert isinstance(find_source(walk), Stream)
    assert drawn(walk) == by_numpy(XS, 7)[1:]


# in a comprehension


@pytest.mark.parametrize("name", [*CUT, *STREAMS])
def test_a_comprehension_over_it_is_the_serial_one(name: str) -> None:
    make = {**CUT, **STREAMS}[name]
    expected = by_numpy(make(), 7)
    assert plist((np.array(x).tolist(), rng.bit_generator.random_raw(3).tolist())
                 for x, rng in seeded(make(), 7)) == expected  # fmt: skip
    assert pmap(lambda pair: drawn([pair])[0], seeded(make(), 7)) == expected
    assert pmap(drawn, seeded(make(), 7), batched=True) == list[Any](expected)
    assert (
        plist((drawn([pair])[0] for pair in iter(seeded(make(), 7))), errors="return") == expected
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda xs: take_apart((drawn([pair])[0] for pair in seeded(xs, 7)), "plist"),
        lambda xs: take_apart(map(first_drawn, seeded(xs, 7)), "plist"),
    ],
    ids=["comprehension", "map"],
)
def test_of_a_stream_the_numbers_travel_and_not_the_generators(make: Callable[[Any], Any]) -> None:
    on_the_root = make(x for x in XS)
    rows = list(on_the_root.source.iterator)
    assert rows == list(zip(XS, range(9)))
    for rank in (on_the_root, make([])):  # another one may have come with a list
        assert list(rank.streamed().make(iter(rows[4:]))) == by_numpy(XS, 7)[4:]


def test_a_batched_function_over_a_stream_is_so_on_a_rank_that_has_a_list() -> None:
    sources: list[Iterable[int]] = [(x for x in XS), []]
    ranks = [batched_map(lambda xs: [10 * x for x in xs], [xs], None) for xs in sources]
    assert [list(rank.streamed().make(iter([(1,), (2,)]))) for rank in ranks] == [[10, 20]] * 2


def test_the_digest_tells_seeds_apart() -> None:
    def digest(xs: Iterable[Any], seed: Any) -> int:
        return take_apart((x for x, _ in seeded(xs, seed)), "plist").digest

    def stream() -> Iterator[int]:
        return (x for x in XS)

    assert digest(XS, 7) == digest([], 7) == digest(range(3), 7) == digest(stream(), 7)
    assert digest(XS, (7, 1)) == digest(stream(), [7, 1])
    assert len({digest(XS, seed) for seed in (7, 8, (7, 1), 2**70)}) == 4
    assert "seed=8" in repr(take_apart((x for x in seeded(stream(), 8)), "plist").source)


# what is refused


@pytest.mark.parametrize("seed", [-1, 1.5, 7.0, True, "7", b"7", [7, -1], [[7]], [1.0], {7}, object,
                                  np.array([0.5]), np.array(-3)], ids=str)  # fmt: skip
def test_a_bad_seed_is_told(seed: Any) -> None:
    with pytest.raises(OptionError, match=r">= 0 .*got .*; write seed=7 or seed=\(7, 1\)"):
        seeded(XS, seed)


@pytest.mark.parametrize("seed", [[], (), np.array([], int)], ids=repr)
def test_no_seed_at_all_is_told(seed: Any) -> None:
    with pytest.raises(OptionError, match=r"at least, got .*; write seed=7"):
        seeded(XS, seed)


def test_a_seed_from_the_operating_system_is_refused() -> None:
    none: Any = None
    with pytest.raises(OptionError, match=r"another seed in each process.*write a number"):
        seeded(XS, none)


def test_what_is_not_iterable_is_a_type_error() -> None:
    nothing: Any = 5
    with pytest.raises(TypeError, match="not iterable"):
        seeded(nothing, 7)


def test_a_stream_for_many_items_of_a_product_is_refused() -> None:
    for factors in ((seeded(XS, 7), "ab"), ("ab", seeded(XS, 7)[2:])):
        with pytest.raises(OptionError, match=r"write seeded\(product\(xs, ys\), seed\)"):
            product(*factors)
