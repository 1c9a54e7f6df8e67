"""Laws of taking a comprehension apart: its own code runs on any slice of its source."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp import seeded
from mpicomp.errors import ComprehensionError
from mpicomp.plan.comprehension import code_of, over_items, take_apart, yields_once
from mpicomp.plan.source import Stream

GLOBAL = 3


class Thing:
    factor = 7

    def times(self, xs: list[int]) -> Iterator[int]:
        return (self.factor * x for x in xs)


def closure(xs: list[int]) -> Iterator[Any]:
    late = 1
    gen = (x + late for x in xs)
    late = 2  # the comprehension sees this: it holds the cell, not the value
    return gen


# name: (comprehension over xs, each item gives exactly one value)
SHAPES: dict[str, tuple[Callable[[list[int]], Iterator[Any]], bool]] = {
    "plain": (lambda xs: (x * x for x in xs), True),
    "constant": (lambda xs: (None for _ in xs), True),
    "global": (lambda xs: (x + GLOBAL for x in xs), True),
    "closure": (closure, True),
    "self": (lambda xs: Thing().times(xs), True),
    "conditional": (lambda xs: (x if x % 2 else -x for x in xs), True),
    "and or": (lambda xs: ((x and -x) or "zero" for x in xs), True),
    "chained comparison": (lambda xs: (0 < x < 5 for x in xs), True),
    "walrus": (lambda xs: ([y := x + 1, y * y] for x in xs), True),
    "nested list": (lambda xs: ([x * y for y in range(3) if y != x] for x in xs), True),
    "nested generator": (lambda xs: (sum(x * y for y in range(3)) for x in xs), True),
    "lambda": (lambda xs: ((lambda y, z=x: y + z)(x) for x in xs), True),
    "method": (lambda xs: (str(x).zfill(3).upper() for x in xs), True),
    "f-string": (lambda xs: (f"{x:>4}{x!r}" for x in xs), True),
    "unpacking": (lambda xs: (a + b for a, b in [(x, x + 1) for x in xs]), True),
    "starred": (lambda xs: ((first, rest) for first, *rest in [(x, 1, 2) for x in xs]), True),
    "dict": (lambda xs: ({"x": x, **{"y": x}} for x in xs), True),
    "filter": (lambda xs: (x for x in xs if x % 2), False),
    "filter with and": (lambda xs: (x for x in xs if x % 2 and x > 2), False),
    "two filters": (lambda xs: (x for x in xs if x % 2 if x > 2), False),
    "filter with walrus": (lambda xs: (y for x in xs if (y := x % 3)), False),
    "inner loop": (lambda xs: ((x, y) for x in xs for y in range(x % 3)), False),
    "inner loop of one": (lambda xs: (y for x in xs for y in [x] * 1), False),
    "inner loop and filter": (lambda xs: (y for x in xs for y in "ab" if x % 2), False),
}
each_shape = pytest.mark.parametrize("shape", SHAPES)
ints = st.lists(st.integers(0, 9), max_size=9)


@each_shape
@given(xs=ints, cuts=st.lists(st.integers(0, 9), max_size=3))
def test_the_code_runs_on_slices_and_together_they_are_the_whole(
    shape: str, xs: list[int], cuts: list[int]
) -> None:
    gen, _ = SHAPES[shape]
    expected = list(gen(xs))
    apart = take_apart(gen(xs), "plist")
    bounds = [0, *sorted(min(cut, len(xs)) for cut in cuts), len(xs)]
    slices = [range(*pair) for pair in pairwise(bounds)]
    found = [apart.make(apart.source.cut(part).open()[0]) for part in slices]
    assert list(chain.from_iterable(found)) == expected


@each_shape
def test_whether_an_item_gives_exactly_one_value(shape: str) -> None:
    gen, one_to_one = SHAPES[shape]
    assert take_apart(gen([1, 2]), "plist").one_to_one is one_to_one


def test_a_filter_in_the_source_is_not_one_to_one() -> None:
    assert not take_apart((x for x in filter(None, [0, 1])), "plist").one_to_one
    assert take_apart((x for x in map(abs, [0, 1])), "plist").one_to_one


def test_the_generator_is_not_advanced() -> None:
    gen = (x for x in [1, 2, 3])
    take_apart(gen, "plist")
    assert list(gen) == [1, 2, 3]


def test_a_name_bound_later_is_seen_and_one_never_bound_is_a_name_error() -> None:
    def unbound() -> Iterator[int]:
        if not GLOBAL:
            missing = 1
        return (x + missing for x in [1, 2])

    apart = take_apart(unbound(), "plist")
    with pytest.raises(NameError, match="missing"):
        list(apart.make(iter([1])))


def test_a_comprehension_in_a_class_body() -> None:
    class Body:
        values = (x + GLOBAL for x in [1, 2])

    assert list(take_apart(Body.values, "plist").make(iter([5]))) == [8]


# map


def test_a_map_is_one_to_one_over_its_items() -> None:
    apart = take_apart(map(pow, [1, 2, 3], [2, 2]), "plist")
    assert apart.one_to_one
    assert list(apart.make(apart.source.cut(range(1, 2)).open()[0])) == [4]


@pytest.mark.parametrize(
    ("stream", "items", "value"),
    [
        (lambda: map(abs, (x for x in [-1, -2])), [-1, -2], [1, 2]),
        (lambda: map(pow, (x for x in [2, 3]), [3, 2, 1]), [(2, 3), (3, 2)], [8, 9]),
    ],
)
def test_of_a_map_over_a_stream_the_items_are_streamed_and_not_the_values(
    stream: Callable[[], map[Any]], items: list[Any], value: list[Any]
) -> None:
    source = take_apart(stream(), "plist").source
    assert isinstance(source, Stream)
    assert list(source.iterator) == items
    assert list(take_apart(stream(), "plist").streamed().make(iter(items))) == value


def test_a_mapped_function_cannot_end_a_stream() -> None:
    apart = take_apart(map(next, (iter(xs) for xs in ([1], [], [2]))), "plist")
    assert isinstance(apart.source, Stream)
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        list(apart.streamed().make(apart.source.iterator))


class Callable_:
    def __call__(self, x: int) -> int:
        return x

    def method(self, x: int) -> int:
        return x


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (partial(partial(Callable_.method, Callable_()), 1), "method"),
        (Callable_().method, "method"),
        (Callable_(), "__call__"),
        (lambda x: x, "<lambda>"),
    ],
)
def test_the_python_code_behind_a_function(function: object, name: str) -> None:
    code = code_of(function)
    assert code is not None
    assert code.co_name == name


@pytest.mark.parametrize("function", [abs, int, partial(pow, 2), str.upper])
def test_a_function_without_python_code_is_told_by_its_name(function: Any) -> None:
    assert code_of(function) is None
    apart = take_apart(map(function, [1]), "plist")
    assert apart.where in ("abs", "int", "pow", "str.upper")


# the digest, by which ranks know that they came with the same code


def test_the_same_line_has_one_digest_and_another_line_another() -> None:
    def line(xs: list[int], y: int) -> Any:
        return take_apart((x + y for x in xs), "plist")

    assert line([1], 2).digest == line([3, 4], 5).digest
    others = [
        take_apart((x - 1 for x in [1]), "plist"),
        take_apart((x - 2 for x in [1]), "plist"),
        take_apart(((lambda y: y - 1) for _ in [1]), "plist"),
        take_apart(((lambda y: y - 2) for _ in [1]), "plist"),
        take_apart(map(abs, [1]), "plist"),
        take_apart(map(str, [1]), "plist"),
        take_apart(map(partial(pow, 2), [1]), "plist"),
    ]
    digests = [apart.digest for apart in (line([1], 2), *others)]
    assert len(set(digests)) == len(digests)
    assert all(0 <= digest < 2**63 for digest in digests)


def test_the_digest_does_not_depend_on_the_process() -> None:
    program = (
        "from mpicomp.plan.comprehension import take_apart\n"
        "gen = (x for x in 'abc' if x in {'a', 'b', 'c', 1, 2.0})\n"
        "print(take_apart(gen, 'plist').digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(digests) == 1


# what is refused, with what to write instead


def started() -> Iterator[int]:
    gen = (x for x in [1, 2])
    next(gen)
    return gen


def ended() -> Iterator[int]:
    gen = (x for x in [1])
    list(gen)
    return gen


def function(xs: list[int]) -> Iterator[int]:
    yield from xs


async def numbers() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (started, r"has already started .*plist\(f\(x\) for x in xs\)"),
        (ended, r"has ended .*plist\(f\(x\) for x in xs\)"),
        (lambda: function([1]), r"function 'function'.*plist\(f\(x\) for x in function\(...\)\)"),
        (lambda: (x async for x in numbers()), r"asynchronous.*plist\(f\(x\) for x in xs\)"),
        (lambda: [1, 2], r"got \[1, 2\]; write plist\(f\(x\) for x in xs\)"),
        (lambda: range(3), r"got range\(0, 3\)"),
        (lambda: iter([1]), "got <list_iterator"),
        (lambda: zip([1]), "got <zip"),
        (lambda: None, "got None"),
        (lambda: "x" * 10**6, "got 'xxx"),
    ],
)
def test_what_is_no_comprehension_is_refused_with_the_line_to_write(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(ComprehensionError, match=message) as caught:
        take_apart(make(), "plist")
    assert isinstance(caught.value, TypeError)
    assert len(str(caught.value)) < 500


# a map as a function over items


def doubled(x: int, y: int = 0) -> int:
    return 2 * x + y


@given(ints, ints)
def test_a_function_over_items_gives_what_its_map_gives(xs: list[int], ys: list[int]) -> None:
    made: list[Callable[[], map[int]]] = [
        lambda: map(doubled, xs),
        lambda: map(doubled, xs, ys),
        lambda: map(doubled, iter([*xs]), (y for y in ys)),
        lambda: map(doubled, (x for x in xs)),
    ]
    for make in made:
        apart = over_items(take_apart(make(), "plist"))
        assert doubled not in apart.source.functions()
        assert apart.bring == ()
        if not isinstance(apart.source, Stream):
            rows = list(apart.source.open()[0])
            assert rows in (xs, list(zip(xs, ys, strict=False)))
            apart = take_apart(make(), "plist")
            source = over_items(apart).source.cut(range(len(rows)))
            assert list(over_items(apart).make(source.open()[0])) == list(make())
        else:
            assert list(apart.make(apart.source.iterator)) == list(make())


def test_a_map_over_seeded_items_brings_their_streams_first() -> None:
    expected = [rng.random() for _, rng in seeded(range(3), 7)]
    for items in (range(3), (x for x in range(3))):
        apart = over_items(take_apart(map(drawn, seeded(items, 7)), "plist"))
        if isinstance(apart.source, Stream):
            [bring] = apart.bring
            assert list(apart.make(bring(apart.source.iterator))) == expected
        else:
            assert list(apart.make(apart.source.open()[0])) == expected


def drawn(pair: tuple[int, Any]) -> float:
    return float(pair[1].random())


def test_code_without_a_loop_yields_not_once_each() -> None:
    gen: Any = (x async for x in numbers())
    assert not yields_once(gen.ag_code)
    assert not yields_once(doubled.__code__)


def test_the_name_of_what_is_wrapped_many_times_is_found_to_a_bounded_depth() -> None:
    class Wrapped:
        def __init__(self, func: Any) -> None:
            self.func = func

        def __call__(self, x: int) -> int:
            return int(self.func(x))

    found: Any = doubled
    for _ in range(30):
        found = Wrapped(found)
    code = code_of(found)
    assert code is not None
    assert code.co_name == "__call__"
    assert list(take_apart(map(found, [1, 2]), "plist").source.open()[0]) == [2, 4]
