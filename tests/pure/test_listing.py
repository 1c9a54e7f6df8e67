"""The list comprehension made of a generator expression gives what the generator gives."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any

import pytest

from mpicomp.plan.listing import list_code, listed

FACTOR = 3


def of(gen: Iterable[Any]) -> Callable[[Iterator[Any]], list[Any]] | None:
    """The list maker of a generator expression that has not started."""
    code = list_code(gen.gi_code)  # type: ignore[attr-defined]  # a generator
    (function,) = (x for x in gc.get_referents(gen) if type(x) is FunctionType)
    return None if code is None else listed(code, function)


def expressions(xs: Iterable[Any]) -> list[Iterator[Any]]:
    """Generator expressions of every shape over *xs*."""
    k, seen = 10, {1: 2}
    return [
        (x for x in xs),
        (x * k + FACTOR for x in xs),
        (x for x in xs if x % 2),
        (x for x in xs if x % 2 if x > 3 if x != 7),
        ("a" if x % 3 else "b" for x in xs),
        ((x and k) or FACTOR for x in xs),
        ((x, y) for x in xs for y in range(x)),
        ((x, y, z) for x in xs if x for y in range(x) if y for z in (x, y)),
        ((x, y) for x in xs for y in [x + 1]),
        (lambda: x for x in xs),  # noqa: B023  # as it is meant
        ((lambda y: x + y + k)(x) for x in xs),
        ((y := x, y + k) for x in xs),
        (x for x in xs if (y := x + 1) % 2 and y),
        (sum(y for y in range(x)) for x in xs),
        (f"{x:>{k}}" for x in xs),
        (first + len(rest) for x in xs for first, *rest in ((x, x, k),)),
        (seen[x] if x in seen else seen.get(x, -x) for x in xs),
        (0 < x < k < 20 for x in xs),
        (None for _ in xs),
        ([*range(x)] for x in xs),
        ({**{x: 1}} for x in xs),
        (print for x in xs if not x if x),
    ]


NUMBER = len(expressions([]))


def plain(values: list[Any]) -> list[Any]:
    """Values that can be compared; all functions look at the last item."""
    return [value() if isinstance(value, FunctionType) else value for value in values]


@pytest.mark.parametrize("number", range(NUMBER))
def test_it_gives_the_values_of_the_generator(number: int) -> None:
    xs = range(12)
    make = of(expressions(xs)[number])
    assert make is not None
    assert plain(make(iter(xs))) == plain([*expressions(xs)[number]])
    assert make(iter([])) == []


def test_comprehensions_inside_are_run_or_left_alone() -> None:
    gen = ([y * y for y in range(x)] for x in range(5))
    make = of(gen)
    assert (make is None) == (sys.version_info >= (3, 12))  # from there on they have handlers
    assert make is None or make(iter(range(5))) == list(gen)


def test_an_error_leaves_the_iterator_behind_the_item_at_work() -> None:
    make = of(10 // x for x in range(0))
    assert make is not None
    items = iter([5, 2, 0, 1])
    with pytest.raises(ZeroDivisionError):
        make(items)
    assert list(items) == [1]


def test_stop_iteration_in_an_item_is_an_error_as_in_a_generator() -> None:
    empty = iter(())
    make = of(next(empty) for _ in [])
    assert make is not None
    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        make(iter([1]))
    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        [*(next(empty) for _ in [1])]


def test_every_list_is_new_and_the_closure_is_the_generators_own() -> None:
    k = 1

    def change() -> None:
        nonlocal k
        k = 5

    make = of(x + k for x in range(0))
    assert make is not None
    first = make(iter([1]))
    change()
    assert (first, make(iter([1]))) == ([2], [6])


def test_asynchronous_and_other_generators_are_left_alone() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    assert list_code(numbers().gi_code) is None  # type: ignore[attr-defined]  # a generator
    assert list_code((lambda: 1).__code__) is None
    asynchronous = compile("(x async for x in y)", "<test>", "eval").co_consts[0]
    assert list_code(asynchronous) is None


def test_many_times_over_it_keeps_its_references() -> None:
    make = of((x, y) for x in range(0) if x for y in range(2))
    assert make is not None
    item = object()
    before = sys.getrefcount(item)
    for _ in range(2000):
        make(iter([item, item]))
    assert sys.getrefcount(item) == before
