"""A call that computes only what is missing: what was done before is united with it.

Each law interrupts a call on purpose: a first part of its items is computed, by any schedule,
and then, by another, the rest.  The value is the serial one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import add
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

import mpicomp
from mpicomp.engine.agree import Agreement
from mpicomp.engine.alone import alone
from mpicomp.engine.arrayed import Arrayed
from mpicomp.engine.call import Call
from mpicomp.engine.collect import Collector, Listed, dict_of
from mpicomp.engine.computing import computed
from mpicomp.engine.keeping import Keeper
from mpicomp.engine.reducing import Folded, Searched, Summed, picked
from mpicomp.engine.run import conclude
from mpicomp.options import Options
from mpicomp.plan.comprehension import take_apart
from mpicomp.plan.gaps import Gaps
from mpicomp.wire.cutoff import Cutoff
from tests.mpi.laws import holds, together

WORLD = MPI.COMM_WORLD
N = 150
parallel = pytest.mark.skipif(WORLD.size == 1, reason="one rank takes the serial way")

DONE: tuple[list[tuple[int, int]], ...] = (
    [(0, N)], [], [(0, 10), (40, 41), (100, N)], [(at, at + 1) for at in range(0, N, 3)],
)  # fmt: skip
WAYS = (
    ("static", "static,1"), ("static,1", "dynamic,3"), ("dynamic,3", "static"), ("auto", "af"),
    ("guided", "auto"), ("af", "static,4"), ("factoring", "guided"),
)  # fmt: skip


def recomputed(
    gen: Callable[[], Iterable[Any]],
    collector: Collector,
    first: list[tuple[int, int]],
    ways: tuple[str, str],
    dispatch: tuple[str | None, str | None] = (None, None),
) -> tuple[Any, int]:
    """The value of a call of which *first* was computed by itself; how many items came after."""
    ranks, keeper = mpicomp.world(), Keeper()
    n = None if dispatch == ("stream", "stream") else N
    after = 0
    for which, (schedule, sent_by) in enumerate(zip(ways, dispatch, strict=True)):
        asked = Options({"schedule": schedule, "dispatch": None if n is None else sent_by})

        def build(asked: Options = asked) -> Call:
            return Call("plist", take_apart(gen(), "plist"), collector, asked, keeper=keeper)

        spans = [span for part in WORLD.allgather(keeper.spans) for span in part]
        told = sum(stop - start for start, stop in spans)
        if which == 0:
            rest = Gaps(first, N)
            keeper.miss([(run.start, run.stop) for run in rest.spread(range(rest.count or 0))], n)
        else:
            keeper.miss(spans, n)
        with alone("plist"):
            agreed = Agreement(ranks, "plist", build)
            cutoff = Cutoff(ranks, agreed.settle)
            done = computed(ranks, agreed, cutoff)
        WORLD.Barrier()
        if which == 0:
            cutoff.settle(WORLD.allreduce(cutoff.announced), WORLD.bcast(cutoff.relays))
        after = sum(WORLD.allgather(sum(b - a for a, b in keeper.spans))) - told
        if done.counter is not None:
            done.counter.rest()
    return conclude(ranks, agreed.call, done._replace(counter=None), cutoff), after


@parallel
@pytest.mark.parametrize("ways", WAYS, ids=" then ".join)
def test_any_schedule_goes_on_where_another_stopped(ways: tuple[str, str]) -> None:
    for first in DONE:
        gen: Callable[[], Iterable[Any]]
        for gen in (
            lambda: (x * x for x in range(N)),
            lambda: (x for x in [*range(N)] if x % 4),
            lambda: ((x, y) for x, y in zip(np.arange(N) / 7, range(N), strict=True)),
        ):
            value, after = recomputed(gen, Listed(keeps_errors=True), first, ways)
            holds(value, [*gen()])
            together(after == N - sum(b - a for a, b in first), f"{after} items after {first}")


@parallel
@pytest.mark.parametrize("ways", [("static", "static,2"), ("af", "guided"), ("dynamic", "static")])
def test_a_stream_is_read_again_and_what_was_done_is_left_out(ways: tuple[str, str]) -> None:
    for first in DONE:
        value, after = recomputed(
            lambda: (x * x for x in (y for y in range(N)) if x % 5),
            Listed(), first, ways, ("stream", "stream"),
        )  # fmt: skip
        holds(value, [x * x for x in range(N) if x % 5])
        together(after == N - sum(b - a for a, b in first), f"{after} items after {first}")


def awkward(x: int) -> float:
    return (1.0 - x % 2 * 2) * 10.0 ** (x % 30) / 3


KINDS: dict[str, tuple[Callable[[], Collector], Callable[[int], Any], Callable[..., Any]]] = {
    "sum": (lambda: Summed(0, one_to_one=True), awkward, mpicomp.psum),
    "sum of arrays": (
        lambda: Summed(0, one_to_one=True),
        lambda x: np.array([x, awkward(x)]),
        mpicomp.psum,
    ),
    "fold": (lambda: Folded(add), awkward, lambda gen: mpicomp.preduce(add, gen)),
    "text": (lambda: Folded(add), str, lambda gen: "".join(gen)),
    "dict": (dict_of, lambda x: (x % 7, x), dict),
    "min": (lambda: picked(min, None, ...), awkward, min),
    "any": (lambda: Searched(sought=True), lambda x: x == 77, any),
    "none": (lambda: Searched(sought=True), lambda x: x < 0, any),
    "array": (lambda: Arrayed(float), awkward, lambda gen: np.array([*gen])),
    "rows": (lambda: Arrayed(int), lambda x: [x, -x], lambda gen: np.array([*gen])),
}


@parallel
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_result(kind: str) -> None:
    make, function, serially = KINDS[kind]
    root_of_one = mpicomp.options(comm=MPI.COMM_SELF)
    with root_of_one:
        expected = serially(function(x) for x in range(N))
    for first, ways in zip(DONE, WAYS, strict=False):
        for dispatch in ((None, None), ("master", "master")):
            value, _ = recomputed(
                lambda: (function(x) for x in range(N)), make(), first, ways, dispatch
            )
            holds(value, expected)
