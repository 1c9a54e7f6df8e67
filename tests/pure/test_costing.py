"""Laws of costs: every item once, the dearest share as cheap as can be, the longest items first."""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise
from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp.errors import OptionError
from mpicomp.plan.costing import GIANT, Cuts, Sorted, checked_costs, cuts, longest_first
from mpicomp.plan.schedule import KINDS, parse

TABLES = [name for name, kind in KINDS.items() if kind in ("table", "auto") and name != "fsc"]
schedules = st.sampled_from([*TABLES, "dynamic,3", "guided,4", "factoring,2"])
each_cost = st.one_of(st.just(0.0), st.integers(0, 9).map(float), st.floats(0, 1e6))
costs = st.lists(each_cost, max_size=60)
ranks = st.integers(1, 9)


def chunks_of(plan: Sorted) -> list[list[int]]:
    return [[i for run in plan.runs(k) for i in run] for k in range(plan.nchunks)]


def ends(chunks: list[float], p: int) -> float:
    """When the last of p ranks is done that take *chunks* one after the other."""
    free = [0.0] * p
    for chunk in chunks:
        free[free.index(min(free))] += chunk
    return max(free)


@given(costs, schedules, ranks)
def test_every_item_is_in_one_chunk(given_costs: list[float], schedule: str, p: int) -> None:
    each = checked_costs(given_costs, len(given_costs))
    chunks = chunks_of(longest_first(each, parse(schedule), p))
    assert sorted(i for chunk in chunks for i in chunk) == [*range(len(each))]
    assert all(chunks)
    least = parse(schedule).least
    assert all(len(chunk) >= least for chunk in chunks[:-1])


@given(costs, schedules, ranks)
def test_the_longest_come_first(given_costs: list[float], schedule: str, p: int) -> None:
    each = checked_costs(given_costs, len(given_costs))
    plan = longest_first(each, parse(schedule), p)
    order = [i for chunk in chunks_of(plan) for i in chunk]
    giants = {i for i in order if each[i] > GIANT * each.sum() / p}
    first, rest = order[: len(giants)], order[len(giants) :]
    assert set(first) == giants
    assert len(giants) <= p / GIANT
    assert all(each[a] >= each[b] for a, b in pairwise(first))
    assert rest == sorted(rest)
    assert len(plan.order) <= 2 * len(giants) + 1


@given(st.lists(st.integers(1, 100).map(float), min_size=1, max_size=80), ranks)
def test_single_items_longest_first_are_within_grahams_bound(each: list[float], p: int) -> None:
    # Graham 1969, SIAM J. Applied Mathematics 17(2): LPT is within 4/3 - 1/3p of the best
    array = np.array(each)
    plan = longest_first(array, parse("dynamic"), p)
    possible = max(array.sum() / p, array.max(), (2 * sorted(each)[-p - 1]) if len(each) > p else 0)
    made = ends([array[chunk].sum() for chunk in chunks_of(plan)], p)
    unsorted_tail = GIANT * array.sum() / p  # what is no giant keeps its own order
    assert made <= (4 / 3 - 1 / (3 * p)) * possible + array.max() / 3 + unsorted_tail


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=200), st.integers(1, 5))
def test_auto_takes_the_2pth_part_of_the_cost_that_remains(each: list[float], p: int) -> None:
    array = np.array(each)
    left = array.sum()
    for items in chunks_of(longest_first(array, parse("auto"), p)):
        assert len(items) == 1 or array[items[:-1]].sum() <= left / (2 * p) + 1e-6
        left -= array[items].sum()


def test_one_giant_item_that_comes_last() -> None:
    each = np.array([1.0] * 400 + [400.0])
    for schedule in ("auto", "dynamic", "factoring", "guided"):
        chunks = chunks_of(longest_first(each, parse(schedule), 2))
        assert chunks[0][0] == 400
        assert ends([float(each[chunk].sum()) for chunk in chunks], 2) <= 403


@given(st.lists(st.integers(0, 20).map(float), max_size=9), st.integers(1, 4))
def test_shares_are_the_best_contiguous_ones(given_costs: list[float], p: int) -> None:
    each = checked_costs(given_costs, len(given_costs))
    n = len(each)
    found = cuts(each, p)
    best = min(
        max(each[a:b].sum() for a, b in pairwise((0, *inner, n)))
        for inner in combinations_with_replacement(range(n + 1), p - 1)
    )
    shares = [float(each[found.indices(rank)].sum()) for rank in range(p)]
    assert max(shares) == pytest.approx(best)


@given(costs, ranks)
def test_shares_are_a_decomposition(given_costs: list[float], p: int) -> None:
    each = checked_costs(given_costs, len(given_costs))
    found = cuts(each, p)
    items = [i for rank in range(p) for i in found.indices(rank)]
    assert items == [*range(len(each))]
    for rank in range(p):
        assert [i for span in found.spans(rank) for i in span] == [*found.indices(rank)]
        for local, i in enumerate(found.indices(rank)):
            assert (found.owner(i), found.local(i), found.index(rank, local)) == (rank, local, i)
    everything = np.arange(len(each))
    assert found.owner(everything).tolist() == [found.owner(i) for i in items]
    assert found.local(everything).tolist() == [found.local(i) for i in items]
    assert sum(found.counts) == len(each)


def test_equal_costs_are_equal_shares() -> None:
    found = cuts(np.ones(1000), 7)
    assert max(found.counts) == ceil(1000 / 7)


@pytest.mark.parametrize(
    ("given_costs", "message"),
    [
        ([1.0] * 3, "one number for each of 4 items, got the shape"),
        ([[1.0]] * 4, "got the shape"),
        ([1.0, -1.0, 1.0, 1.0], "got -1.0 for item 1"),
        ([1.0, 1.0, float("nan"), 1.0], "got nan for item 2"),
        ([1.0, 1.0, 1.0, float("inf")], "got inf for item 3"),
        (["a"] * 4, "a number for each item"),
        ([None] * 4, "got nan for item 0|a number for each item"),
    ],
)
def test_what_is_no_cost(given_costs: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        checked_costs(given_costs, 4)


def test_they_travel() -> None:
    import pickle

    plan = longest_first(np.arange(9.0), parse("guided"), 2)
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert pickle.loads(pickle.dumps(cuts(np.arange(9.0), 2))) == Cuts(9, 2, (0, 7, 9))
