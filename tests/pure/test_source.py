"""Laws of sources: what the hidden iterator gives back, cut anywhere, is the serial sequence."""

# ruff: noqa: B905  # zip as users write it

from __future__ import annotations

import io
import itertools
from array import array
from collections import UserList, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import length_hint
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpicomp.plan.decomposition import Block, BlockCyclic, Cyclic
from mpicomp.plan.find import find_source
from mpicomp.plan.product import product
from mpicomp.plan.source import Held, Map, Source, Stream, length, rebuild

XS = [3, 1, 4, 1, 5, 9, 2, 6, 5]


class Plain(Sequence[int]):
    """A user's sequence, with the ``__iter__`` of the abstract class."""

    def __init__(self, items: Iterable[int] = XS) -> None:
        self.items = list(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]


class Doubling(Plain):
    """One whose iterator gives something else than its items."""

    def __iter__(self) -> Iterator[int]:
        for item in self.items:
            yield 2 * item


class Loud(list[int]):
    """A list whose iterator is the plain one, while its items cannot be had by number."""

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("the iterator of a list does not ask")

    def __len__(self) -> int:
        return 0


class DoublingList(list[int]):
    def __iter__(self) -> Iterator[int]:
        for item in super().__iter__():
            yield 2 * item


class Old:
    """Items by number and no length, as before there were iterators."""

    def __getitem__(self, index: int) -> int:
        return XS[index]


class Unsized(Old):
    def __len__(self) -> int:
        return 4  # and yet its iterator gives more


def consumed(iterator: Iterator[Any], items: int) -> Iterator[Any]:
    for _ in range(items):
        next(iterator)
    return iterator


def odd(x: int) -> bool:
    return x % 2 == 1


# name: what stands behind "for x in"
CUT: dict[str, Callable[[], Iterable[Any]]] = {
    "range": lambda: range(7),
    "range backwards": lambda: range(20, -5, -3),
    "range beyond 64 bits": lambda: range(2**70, 2**70 - 50, -7),
    "empty range": lambda: range(5, 5),
    "list": lambda: list(XS),
    "empty list": list,
    "tuple": lambda: tuple(XS),
    "text": lambda: "h\u00e9llo w\u00f6rld",
    "ascii text": lambda: "hello",
    "bytes": lambda: b"hello",
    "bytearray": lambda: bytearray(b"hello"),
    "array.array": lambda: array("d", XS),
    "dict": lambda: dict.fromkeys(XS),
    "dict values": lambda: dict(enumerate(XS)).values(),
    "dict items": lambda: dict(enumerate(XS)).items(),
    "set": lambda: set(XS),
    "frozenset": lambda: frozenset(XS),
    "deque": lambda: deque(XS),
    "sequence": Plain,
    "UserList": lambda: UserList(XS),
    "list of a subclass": lambda: Loud(XS),
    "array": lambda: np.array(XS),
    "matrix": lambda: np.array(XS).reshape(3, 3),
    "columns": lambda: np.arange(12).reshape(3, 4).T,
    "every third": lambda: np.arange(20)[::3],
    "objects": lambda: np.array([1, "two", None], object),
    "array of a subclass": lambda: np.array(XS).view(np.recarray),
    "list iterator": lambda: iter(XS),
    "list iterator, begun": lambda: consumed(iter(XS), 3),
    "list iterator, ended": lambda: consumed(iter(XS), len(XS)),
    "range iterator, begun": lambda: consumed(iter(range(5, 50, 7)), 2),
    "text iterator, begun": lambda: consumed(iter("hello"), 2),
    "dict iterator, begun": lambda: consumed(iter(dict.fromkeys(XS)), 2),
    "set iterator, begun": lambda: consumed(iter(set(XS)), 2),
    "deque iterator, begun": lambda: consumed(iter(deque(XS)), 2),
    "array iterator, begun": lambda: consumed(iter(np.array(XS)), 2),
    "reversed list": lambda: reversed(XS),
    "reversed list, begun": lambda: consumed(reversed(XS), 2),
    "reversed list of a subclass": lambda: reversed(Loud(XS)),
    "reversed range": lambda: reversed(range(3, 30, 4)),
    "reversed text": lambda: reversed("hello"),
    "reversed deque, begun": lambda: consumed(reversed(deque(XS)), 2),
    "reversed dict": lambda: reversed(dict(enumerate(XS)).items()),
    "zip": lambda: zip(range(100), XS, "some letters"),
    "zip of one": lambda: zip(XS),
    "zip, begun": lambda: consumed(zip(iter(XS), range(4)), 2),
    "strict zip": lambda: zip(XS, range(len(XS)), strict=True),
    "enumerate": lambda: enumerate(XS, -2),
    "enumerate, begun": lambda: consumed(enumerate("hello"), 2),
    "enumerate beyond 64 bits": lambda: enumerate(XS, 2**70),
    "map": lambda: map(str, XS),
    "map of two": lambda: map(pow, XS, range(5)),
    "filter": lambda: filter(odd, XS),
    "filter by truth": lambda: filter(None, [0, 1, 0, 2]),
    "map of filter": lambda: map(str, filter(odd, XS)),
    "filter of zip": lambda: filter(None, zip(XS, XS)),
    "nested": lambda: enumerate(zip(map(str, XS), reversed(range(30)))),
    "product": lambda: product(range(3), "ab", [1.5, None]),
    "product with an empty factor": lambda: product(range(3), []),
    "product of nothing": lambda: product(),
    "product of one": lambda: product(Plain()),
    "product inside": lambda: enumerate(product("ab", range(2))),
}

WHOLE: dict[str, Callable[[], Any]] = {
    "generator": lambda: (x for x in XS),
    "generator, begun": lambda: consumed((x for x in XS), 2),
    "file": lambda: io.StringIO("a\nb\n"),
    "itertools": lambda: itertools.chain(XS, XS),
    "callable iterator": lambda: iter(iter(XS).__next__, 9),
    "shared iterator": lambda: zip(*[iter(XS)] * 2),
    "shared deeper": lambda: (lambda it: zip(it, map(str, it)))(iter(XS)),
    "memory": lambda: memoryview(b"hello"),
    "old protocol": Old,
    "old protocol, wrong length": Unsized,
    "sequence with its own iterator": Doubling,
    "list with its own iterator": lambda: DoublingList(XS),
    "reversed sequence": lambda: reversed(Plain()),
    "iterator inside": lambda: enumerate(x for x in XS),
    # positions and items part
    "enumerate of filter": lambda: enumerate(filter(odd, XS)),
    "zip of filter": lambda: zip(XS, filter(odd, XS)),
    "map of filters": lambda: map(pow, filter(odd, XS), XS),
}

each_cut = pytest.mark.parametrize("name", CUT)


@each_cut
def test_the_source_is_found_and_nothing_consumed(name: str) -> None:
    origin = iter(CUT[name]())  # as in a generator expression's frame
    source = find_source(origin)
    assert not isinstance(source, Stream)
    expected = list(CUT[name]())
    for found in (opened(source), list(origin)):
        assert repr(found) == repr(expected)
        assert [type(x) for x in found] == [type(x) for x in expected]


def opened(source: Source) -> list[Any]:
    return list(source.open()[0])


@each_cut
@settings(max_examples=20)
@given(cuts=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(1, 4))))
def test_a_cut_of_a_cut_holds_the_items_at_its_positions(
    name: str, cuts: list[tuple[int, int, int]]
) -> None:
    source = find_source(CUT[name]())
    positions = range(source.n or 0)
    for start, stop, step in cuts:
        part = range(len(positions))[start:stop:step]
        source, positions = source.cut(part), positions[part.start : part.stop : part.step]
    whole = [find_source(CUT[name]()).cut(range(i, i + 1)) for i in positions]
    assert source.n == len(positions)
    assert repr(opened(source)) == repr([item for one in whole for item in opened(one)])


@each_cut
def test_the_probe_tells_which_item_is_at_work(name: str) -> None:
    source = find_source(CUT[name]())
    if source.one_to_one:
        it, probe = source.cut(range(source.n or 0)).open()
        assert [length_hint(probe) for _ in it] == [*reversed(range(source.n or 0))]


@each_cut
@pytest.mark.parametrize("share", [Block, Cyclic, lambda n, p: BlockCyclic(n, p, 2)])
def test_a_share_is_found_by_positions_in_the_whole(name: str, share: Any) -> None:
    whole = find_source(CUT[name]())
    decomposition = share(whole.n, 3)
    for rank in range(3):
        indices = decomposition.indices(rank)
        held = [
            Held([item for i in indices for item in leaf.cut(range(i, i + 1)).items],
                 leaf.n or 0, decomposition.local)
            for leaf in whole.leaves()
        ]  # fmt: skip
        here = rebuild(whole.outline(), iter(held), iter(whole.functions()))
        for span in decomposition.spans(rank):
            assert repr(opened(here.cut(span))) == repr(opened(whole.cut(span)))


@pytest.mark.parametrize("name", WHOLE)
def test_what_cannot_be_cut_is_a_stream(name: str) -> None:
    source = find_source(iter(WHOLE[name]()))
    assert isinstance(source, Stream)
    assert source.n is None
    assert list(source.iterator) == list(WHOLE[name]())


def test_a_strict_zip_that_will_fail_fails_where_the_serial_one_does() -> None:
    source = find_source(zip(XS, XS[:-1], strict=True))
    assert isinstance(source, Stream)
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        list(source.iterator)


def test_a_function_that_runs_before_the_end_is_noticed_runs_here_too() -> None:
    seen: list[int] = []
    source = find_source(zip(map(seen.append, range(4)), range(3)))
    assert isinstance(source, Stream)
    assert len(list(source.iterator)) == 3
    assert seen == [0, 1, 2, 3]


def test_ranges_alone_need_not_be_sent() -> None:
    for known in (range(3), zip(range(3), range(9)), enumerate(range(3)), map(str, range(3)),
                  product(range(3), range(2**70))):  # fmt: skip
        assert find_source(known).known
    for sent in ("ab", zip(range(3), "ab"), enumerate("ab"), product(range(3), "ab")):
        assert not find_source(sent).known


@pytest.mark.parametrize("make", [map, filter])
def test_a_function_cannot_end_its_map(make: Any) -> None:
    def stop(x: int) -> int:
        return x if x != 4 else next(iter(()))

    source = find_source(make(stop, XS))
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        opened(source)
    assert opened(source.cut(range(2))) == XS[:2]
    it, probe = source.cut(range(1, 3)).open()  # also when it is the last of a slice
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        list(it)
    assert length_hint(probe) == 0


def test_an_item_that_cannot_be_had_fails_by_itself() -> None:
    class Broken(Plain):
        def __getitem__(self, index: Any) -> Any:
            if index == 5:
                raise ValueError(index)
            return super().__getitem__(index)

    it, probe = find_source(Broken()).cut(range(3, 8)).open()
    assert [next(it), next(it)] == XS[3:5]
    with pytest.raises(ValueError, match="5"):
        next(it)
    assert length_hint(probe) == 2


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(-4, 4).filter(bool))
def test_length_is_len(start: int, stop: int, step: int) -> None:
    assert length(range(start, stop, step)) == len(range(start, stop, step))


def test_length_beyond_maxsize() -> None:
    assert length(range(2**200)) == 2**200
    assert length(range(0, -(2**200), -3)) == 2**200 // 3 + 1


# product


@given(st.lists(st.lists(st.integers(), max_size=3), max_size=4))
def test_product_is_that_of_itertools(factors: list[list[int]]) -> None:
    ours, theirs = product(*factors), list(itertools.product(*factors))
    assert list(ours) == theirs
    assert [ours[i] for i in range(len(ours))] == theirs
    assert ours[::-1] == theirs[::-1]


def test_product_of_huge_ranges() -> None:
    huge = product(range(2**70), range(2**70))
    assert huge[2**71 + 3] == (2, 3)
    assert opened(find_source(huge).cut(range(2**70 - 1, 2**70 + 1))) == [(0, 2**70 - 1), (1, 0)]


def test_product_keeps_the_items_of_an_iterator() -> None:
    pairs = product(iter([1, 2]), {"a": 1})
    assert list(pairs) == list(pairs) == [(1, "a"), (2, "a")]


def test_product_refuses_an_index_outside() -> None:
    with pytest.raises(IndexError, match="index 4 is outside a product of 4 items"):
        product("ab", "cd")[4]
    assert product("ab", "cd")[-1] == ("b", "d")


def test_a_map_over_a_source_keeps_its_function() -> None:
    source = find_source(map(str, zip(map(abs, XS), filter(odd, range(3)))))
    assert isinstance(source, Stream)
    source = find_source(map(str, zip(range(3), map(abs, XS))))
    assert isinstance(source, Map)
    assert source.functions() == [str, abs]


# what it is called, and what it cannot do


@given(factors=st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=3),
       data=st.data())  # fmt: skip
def test_the_text_of_a_product_makes_it_again(
    factors: list[list[int]], data: st.DataObject
) -> None:
    whole = product(*factors)
    assert list(eval(repr(whole), {"product": product})) == list(itertools.product(*factors))
    start = data.draw(st.integers(0, max(0, len(whole) - 1)))
    cut = whole.source.cut(range(start, len(whole)))
    assert repr(cut) == f"{whole!r} at {range(start, len(whole))!r}"


def test_a_walk_over_nothing_is_found_and_is_one_of_no_items() -> None:
    source = find_source(zip())
    assert not isinstance(source, Stream)
    assert (source.n, list(source.open()[0]), list(source.cut(range(0)).open()[0])) == (0, [], [])


def test_a_function_that_is_asked_until_it_ends_is_a_stream() -> None:
    values = iter([1, 2, 0, 3])
    source = find_source(iter(lambda: next(values), 0))
    assert isinstance(source, Stream)
    assert list(source.open()[0]) == [1, 2]
    assert list(values) == [3]


def test_a_stream_cannot_be_cut_and_other_ranks_learn_that_it_is_one() -> None:
    stream = Stream(iter([1, 2]))
    with pytest.raises(TypeError, match="a Stream cannot be cut"):
        stream.cut(range(1))
    assert stream.outline() == ("stream",)
    assert list(stream.open()[0]) == [1, 2]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda source: source.cut(range(1)), "a Walled cannot be cut"),
        (lambda source: source.open(), "a Walled cannot be opened"),
        (lambda source: source.outline(), "a Walled has no outline"),
    ],
    ids=["cut", "open", "outline"],
)
def test_what_a_source_cannot_do_it_says(ask: Any, message: str) -> None:
    class Walled(Source):
        pass

    with pytest.raises(TypeError, match=message):
        ask(Walled())
