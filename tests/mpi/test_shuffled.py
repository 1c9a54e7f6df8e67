"""check="shuffle": what depends on more than its item is told, and what does not is not."""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import (
    SideEffectError,
    SideEffectWarning,
    options,
    parray,
    pdict,
    plist,
    pmap,
    product,
    psum,
    seeded,
)
from tests.mpi.laws import holds, raised, still_works, together

WORLD = MPI.COMM_WORLD
N = 40


class Point:
    def __init__(self, x: int) -> None:
        self.x = x  # and no __eq__


counter = itertools.count()
clean: dict[str, tuple[Callable[..., Any], Any]] = {
    "range": (lambda **o: plist((x * x for x in range(N)), **o), [x * x for x in range(N)]),
    "list": (lambda **o: plist((x + "!" for x in [*"abcdef"]), **o), [x + "!" for x in "abcdef"]),
    "inner": (lambda **o: psum((y for x in range(N) for y in range(x)), **o), sum(
        y for x in range(N) for y in range(x))),
    "stream": (lambda **o: plist((x for x in (2 * y for y in range(N))), **o),
               [*range(0, 2 * N, 2)]),
    "zip": (lambda **o: plist((a * b for a, b in zip([1, 2, 3], (4, 5, 6), strict=True)), **o),
            [4, 10, 18]),
    "mapped": (lambda **o: plist((x for x in map(abs, [*range(-5, 5)])), **o),
               [*map(abs, range(-5, 5))]),
    "product": (lambda **o: plist((x + y for x, y in product([1, 2], range(3))), **o),
                [1, 2, 3, 2, 3, 4]),
    "nan": (lambda **o: len(plist((float("nan") for x in range(N)), root=None, **o) or ()), N),
    "sets": (lambda **o: plist(({str(x), "a", "b"} for x in range(N)), **o),
             [{str(x), "a", "b"} for x in range(N)]),
    "pairs": (lambda **o: pdict(((x, (x, [x])) for x in range(N)), **o),
              {x: (x, [x]) for x in range(N)}),
    "array": (lambda **o: parray((x / 3 for x in range(N)), float, **o), np.arange(N) / 3),
    "batch": (lambda **o: pmap(
        lambda chunk: [2 * x for x in chunk], [*range(N)], batched=True, **o),
              [2 * x for x in range(N)]),
    "seeded": (lambda **o: plist((float(rng.random()) for x, rng in seeded(range(N), 3)), **o),
               [float(rng.random()) for _, rng in seeded(range(N), 3)]),
    "failing": (lambda **o: [str(v) for v in plist(
        (1 // (x % 5) for x in range(N)), errors="return", root=None, **o) or ()], [
            "integer division or modulo by zero" if x % 5 == 0 else str(1 // (x % 5))
            for x in range(N)]),
    "objects": (lambda **o: [
        p.x for p in plist((Point(x) for x in range(N)), root=None, **o) or ()], [*range(N)]),
}  # fmt: skip
everywhere = ("nan", "failing", "objects")


@pytest.mark.parametrize("name", clean)
def test_no_false_alarm(name: str) -> None:
    call, expected = clean[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for schedule in ("static", "dynamic,3"):
            got = call(check="shuffle", schedule=schedule)
            holds(got, expected, None if name in everywhere else 0)


state = {"last": 0}


def remembers(x: int) -> int:
    """Depends on what ran before."""
    exec("state['last'] += x", {"state": state, "x": x})  # not seen in the code
    return state["last"]


dirty: dict[str, Callable[[Iterable[int]], Any]] = {
    "what ran before": lambda xs: (remembers(x) for x in xs),
    "chance": lambda xs: (random.random() for x in xs),
    "how often": lambda xs: (next(counter) for x in xs),
    "an inner value": lambda xs: (y for x in xs for y in (x, next(counter))),
}


@pytest.mark.parametrize("source", ["range", "stream"])
@pytest.mark.parametrize("name", dirty)
def test_what_differs_is_told(name: str, source: str) -> None:
    def make() -> Any:
        return dirty[name](range(N) if source == "range" else (x for x in range(N)))

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        plist(make(), check="shuffle", effects="ignore")
    due = WORLD.rank == 0
    together(bool(told) is due, f"{told}")
    if due:
        assert told[0].category is SideEffectWarning
        text = str(told[0].message)
        for part in ("when run again in another order", "test_shuffled.py", "gave", "on rank"):
            assert part in text
    with options(effects="raise"):
        if name == "what ran before":  # the others are seen in the code, before anything runs
            error = raised(lambda: plist(make(), check="shuffle"), SideEffectError)
            assert "gave" in str(error)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SideEffectWarning)
        raised(lambda: plist(make(), check="shuffle", effects="ignore"), SideEffectWarning)
    still_works()


def test_what_cannot_travel_is_left_out() -> None:
    got = plist(((y for y in [x]) for x in range(3)), check="shuffle", comm=MPI.COMM_SELF)
    assert got is not None
    assert len(got) == 3


def test_an_item_that_fails_the_second_time() -> None:
    met: set[int] = set()

    def once(x: int) -> int:
        if WORLD.rank == 0 and not met:  # on the other rank, or at the second time
            met.add(x)
        if x in met and len(met) > 1:
            raise KeyError(x)
        met.add(x)
        return x

    if WORLD.size == 1:
        with pytest.warns(SideEffectWarning, match="KeyError"):
            plist((once(x) for x in range(2)), check="shuffle", effects="ignore")
