"""Laws of side effects on ranks: the root is warned, an error is everyone's, nobody is left."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from mpi4py import MPI

from mpicomp import OptionError, SideEffectError, SideEffectWarning, options, plist, psum
from tests.mpi.laws import (
    HANDED_OUT,
    ROOTS,
    SCHEDULES,
    holds,
    raised,
    rank_of,
    together,
)

WORLD = MPI.COMM_WORLD
counter = 0


def count(x: int) -> int:
    global counter
    counter += 1
    return x * x


def warned(call: Callable[[], Any]) -> tuple[Any, list[str]]:
    """The value, and what this rank was warned of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        value = call()
    return value, [str(w.message) for w in told if w.category is SideEffectWarning]


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("schedule", [*SCHEDULES, *HANDED_OUT])
def test_the_root_alone_is_warned_and_the_value_is_that_of_the_items(
    schedule: str, root: str
) -> None:
    at = rank_of(root)
    value, told = warned(lambda: plist((count(x) for x in range(9)), schedule=schedule, root=at))
    holds(value, [x * x for x in range(9)], at)
    together(len(told) == (WORLD.rank == (at or 0)), str(told))
    together(all("'counter'" in text and "in count" in text for text in told), str(told))


def refused(xs: Any, schedule: str) -> Any:
    items = (x for x in range(9)) if xs == "stream" else xs
    return plist((count(x) for x in items), effects="raise", schedule=schedule)


@pytest.mark.parametrize("source", [range(9), [*range(9)], "stream"])
def test_raise_refuses_on_every_rank_before_any_item(source: Any) -> None:
    before = counter
    for schedule in (*SCHEDULES, "dynamic,2"):
        error = raised(lambda: refused(xs=source, schedule=schedule), SideEffectError)  # noqa: B023  # called at once
        assert "test_effects.py" in str(error)
    together(counter == before, f"{counter - before} items ran")


def test_a_warning_that_is_an_error_is_raised_on_every_rank() -> None:
    before = counter
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raised(lambda: plist(count(x) for x in range(9)), SideEffectWarning)
    together(counter == before or WORLD.rank > 0, "an item ran on the root")


def test_what_one_rank_alone_finds_is_raised_on_every_rank() -> None:
    f = count if WORLD.rank == WORLD.size - 1 else abs
    raised(lambda: plist((f(x) for x in range(9)), effects="raise"), SideEffectError)


def test_ranks_may_be_of_different_minds() -> None:
    effects = "raise" if WORLD.rank == WORLD.size - 1 else "ignore"
    raised(lambda: plist((count(x) for x in range(9)), effects=effects), SideEffectError)


def test_a_wrong_word_is_told_on_every_rank() -> None:
    raised(lambda: plist((x for x in range(9)), effects="warm"), OptionError)


def test_a_verb_inside_an_item_is_the_items_own_affair() -> None:
    def inner(x: int) -> Any:
        return psum(count(y) for y in range(x))

    with options(schedule="static,1"):
        value, told = warned(lambda: plist(inner(x) for x in range(9)))
    holds(value, [sum(y * y for y in range(x)) for x in range(9)])
    outer = [text for text in told if "of plist at" in text]
    together(len(outer) == (WORLD.rank == 0), str(told))
    together(told == outer or WORLD.size == 1, str(told))  # a rank alone knows of no outer call
