"""Laws of ``cost=``: the value is the serial one, and who takes what follows from the costs."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from math import fsum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpi4py import MPI

import mpicomp
from mpicomp import CollectiveMismatch, OptionError, pany, parray, pdict, plist, pmap, preduce, psum
from mpicomp.record.timeline import Timeline
from tests.mpi.laws import holds, raised, together

WORLD = MPI.COMM_WORLD
SCHEDULES = ("auto", "dynamic", "dynamic,3", "guided,2", "factoring", "trapezoid", "mfsc", "static")
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES)


def dear(x: int) -> float:
    return float(x * x % 17)


@given(
    costs=st.lists(st.integers(0, 50), max_size=60),
    schedule=st.sampled_from(SCHEDULES),
    keep=st.integers(1, 3),
    last=st.booleans(),
)
def test_the_value_is_the_serial_one(
    costs: list[int], schedule: str, keep: int, last: bool
) -> None:
    root = WORLD.size - 1 if last else 0
    mine = costs if WORLD.rank == root else []  # the root's count
    got = plist(
        (x for x in range(len(costs)) if x % keep == 0), cost=mine, schedule=schedule, root=root
    )
    holds(got, list(range(0, len(costs), keep)), root)


@each_schedule
def test_all_results_of_all_sources(schedule: str) -> None:
    way: Any = {"schedule": schedule, "cost": dear}
    holds(psum((x / 3 for x in range(99)), **way), fsum(x / 3 for x in range(99)))
    holds(pdict(((x % 7, x) for x in range(99)), **way), {x % 7: x for x in range(99)})
    joined = preduce(operator.add, (str(x) for x in range(99)), "", **way)
    holds(joined, "".join(map(str, range(99))))
    holds(parray((x * 0.5 for x in range(99)), **way), np.arange(99) * 0.5)
    holds(pany((x == 50 for x in range(99)), **way), True)
    words = [x * "a" for x in range(40)] if WORLD.rank == 0 else []
    holds(plist((len(w) for w in words), schedule=schedule, cost=len), list(range(40)))
    rows = np.arange(60).reshape(30, 2) if WORLD.rank == 0 else np.empty((0, 2), int)
    got = plist((int(row.sum()) for row in rows), schedule=schedule, cost=max, root=None)
    holds(got, [4 * k + 1 for k in range(30)], None)
    holds(pmap(lambda xs: [2 * x for x in xs], range(40), batched=True, **way), [*range(0, 80, 2)])
    pairs = plist(((x, y) for x, y in zip(range(9), "abcdefghi", strict=True)), schedule=schedule,
                  cost=lambda pair: pair[0])  # fmt: skip
    holds(pairs, [*zip(range(9), "abcdefghi", strict=True)])


@each_schedule
def test_the_lowest_item_that_fails_decides_whatever_comes_first(schedule: str) -> None:
    # the dearer, the later: each rank meets an error at the end of the source first
    def call() -> Any:
        return plist((1 // (x % 10) for x in range(1, 100)), cost=range(99), schedule=schedule)

    error = raised(call, ZeroDivisionError)
    if WORLD.size > 1:
        assert "in item 9 (x=10)" in error.__notes__[0]
    got = plist((6 // (x % 4) for x in range(20)), cost=dear, schedule=schedule, errors="return")
    together([type(v) for v in got or ()] in ([], [ZeroDivisionError, int, int, int] * 5), f"{got}")


def test_what_comes_first_in_the_serial_order_decides_a_search() -> None:
    def sought(x: int) -> bool:
        return (x in (20, 60)) or bool(1 // (x - 30))  # true, an error, true

    holds(pany((sought(x) for x in range(5, 90)), cost=range(85), schedule="dynamic"), True)
    raised(
        lambda: pany((x == 60 or 1 // (x - 30) > 2 for x in range(90)), cost=range(90),
                     schedule="dynamic"), ZeroDivisionError)  # fmt: skip


class Backwards:
    """A schedule of one's own: every item a chunk, the last first."""

    def __init__(self, n: int, p: int) -> None:
        self.n, self.p, self.nchunks = n, p, n

    def span(self, k: int) -> tuple[int, int]:
        return self.n - k - 1, self.n - k

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return map(self.span, range(self.n))


def test_a_plan_of_ones_own_in_another_order_obeys_law_2_too() -> None:
    plan: Any = Backwards(90, WORLD.size)
    error = raised(
        lambda: plist((1 // (x % 10) for x in range(1, 91)), schedule=plan), ZeroDivisionError
    )
    if WORLD.size > 1:
        assert "in item 9 (x=10)" in error.__notes__[0]


def test_a_giant_that_comes_last_is_begun_first() -> None:
    costs = [1.0] * 60 + [60.0]
    for schedule in ("auto", "dynamic", "factoring"):
        with mpicomp.record() as rec:
            plist((x for x in range(61)), cost=costs, schedule=schedule)
        together(all(map(giant_first, rec.calls)), f"{[call.events for call in rec.calls]}")


def giant_first(call: Timeline) -> bool:
    if WORLD.size == 1:
        return True
    (giant,) = call.events[call.events["start"] == 60]
    mine = call.events[call.events["rank"] == giant["rank"]]
    return bool(mine["begin"].min() == giant["begin"]) and "cost= was given" in call.reason


def test_static_shares_cost_alike() -> None:
    costs = [float(k % 10 + k // 10) for k in range(200)]
    with mpicomp.record() as rec:
        plist((x for x in range(200)), cost=costs, schedule="static")
    shares = [0.0] * WORLD.size
    for event in [event for call in rec.calls for event in call.events]:
        shares[event["rank"]] += sum(costs[event["start"] : event["stop"]])
    together(max(shares) <= sum(costs) / WORLD.size + max(costs), f"{shares}")


def test_the_costs_of_the_last_run_are_costs_of_the_next() -> None:
    costs = None
    for _ in range(3):
        with mpicomp.record() as rec:
            holds(plist((sum(range(50 * x)) for x in range(40)), cost=costs, schedule="dynamic"),
                  [sum(range(50 * x)) for x in range(40)])  # fmt: skip
        costs = rec.costs()
        together(len(costs) == (40 if WORLD.rank == 0 else 0), f"{costs}")


def test_what_is_wrong_is_told_on_every_rank() -> None:
    def wrong(error: type[BaseException], **given: Any) -> None:
        raised(lambda: plist((x for x in range(9)), **given), error)

    wrong(OptionError, cost=[1.0] * 8)
    wrong(OptionError, cost=[-1.0] * 9)
    wrong(OptionError, cost=["long"] * 9)
    wrong(OptionError, cost=3)
    wrong(OptionError, cost=[1.0] * 9, schedule="static,2")
    wrong(OptionError, cost=[1.0] * 9, schedule="af")
    wrong(OptionError, cost=[1.0] * 9, dispatch="master")
    wrong(OptionError, cost=[1.0] * 9, schedule=Backwards(9, WORLD.size))
    raised(lambda: plist((x for x in (x for x in range(9))), cost=len), OptionError)
    if WORLD.size > 1:
        wrong(OptionError, cost=lambda x: float("nan"))
        error = raised(lambda: plist((x for x in range(9)), cost=lambda x: 1 / (x - 3)),
                       ZeroDivisionError)  # fmt: skip
        together("asked for item 3" in str(error.__notes__), str(error.__notes__))
        cost = [1.0] * 9 if WORLD.rank else None
        raised(lambda: plist((x for x in range(9)), cost=cost), CollectiveMismatch)
