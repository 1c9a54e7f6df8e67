"""Values that lie on the ranks: where each is, and what may stand beside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp import ComprehensionError
from mpicomp.plan.source import Data, Filter, Map, Range, Source, Zip
from mpicomp.plan.spread import Spread, check_spread, merged_runs, own_runs, positions

runs_of_a_rank = st.lists(st.integers(0, 60), unique=True, max_size=20).map(
    lambda cuts: [range(a, b) for a, b in zip(*[iter(sorted(cuts))] * 2, strict=False)]
)


def spread(runs: list[range], n: int = 61, home: object = None, number: int = 0) -> Spread:
    return Spread([10 * i for run in runs for i in run], runs, n, number, home, alone=False)


@given(runs_of_a_rank, st.data())
def test_each_position_has_its_place(runs: list[range], data: st.DataObject) -> None:
    here = [i for run in runs for i in run]
    source = spread(runs)
    for i in here:
        assert source.items[source.place(i)] == 10 * i
    for i in set(range(61)) - set(here):
        with pytest.raises(IndexError, match="another rank"):
            source.place(i)
    assert list(positions(runs)) == here
    for run in runs:
        part = run[data.draw(st.integers(0, len(run))) :]
        assert list(source.cut(part).items) == [10 * i for i in part]


def test_strided_runs() -> None:
    source = spread([range(2, 61, 3)])
    assert list(source.cut(range(8, 20, 3)).items) == [80, 110, 140, 170]
    assert own_runs(source, strided=True) == [range(2, 61, 3)]
    assert own_runs(source, strided=False)[:2] == [range(2, 3), range(5, 6)]
    shorter = Zip([source, Range(range(9))])
    assert own_runs(shorter, strided=True) == [range(2, 9, 3)]


@given(runs_of_a_rank)
def test_merging_runs_keeps_their_positions(runs: list[range]) -> None:
    cut = [part for run in runs for part in (run[:1], run[1:1], run[1:])]
    assert [i for run in merged_runs(cut) for i in run] == [i for run in runs for i in run]
    assert len(merged_runs(cut)) <= len(runs)


def test_what_may_stand_beside() -> None:
    home, runs = object(), [range(5), range(20, 25)]
    one, other = spread(runs, home=home), spread(runs, home=home, number=1)
    elsewhere, shifted = spread(runs, home=object()), spread([range(6), range(20, 24)], home=home)
    good: list[Source] = [one, Zip([Range(range(61)), one]), Zip([one, other]), Map([one], abs)]
    for source in good:
        assert source.known
        check_spread(source, home, alone=False)
    assert not Filter([one], abs).one_to_one
    bad: list[Source] = [elsewhere, Zip([one, shifted]), Zip([one, Data([1] * 61)])]
    for source in bad:
        with pytest.raises(ComprehensionError, match=r"gather|redistribute"):
            check_spread(source, home, alone=False)
    with pytest.raises(ComprehensionError, match="several ranks"):
        one.open()


def test_ranks_tell_wholes_apart_by_number() -> None:
    arrays = Spread(np.arange(3), [range(3)], 9, 7, None, alone=False)
    lists = Spread([0, 1], [range(3, 5)], 9, 7, None, alone=False)
    assert repr(arrays.outline()) == repr(lists.outline())
    assert repr(arrays.outline()) != repr(spread([range(3)], 9, number=8).outline())


@given(runs_of_a_rank)
def test_one_rank_that_has_all_values_walks_over_them(runs: list[range]) -> None:
    n = sum(map(len, runs))
    whole = Spread([*range(n)], [range(n)], n, 0, None, alone=True)
    items, probe = whole.open()
    assert list(items) == [*range(n)]
    assert probe is items
    check_spread(Zip([whole, Spread([*range(n)], [range(n)], n, 1, None, alone=True)]), None, True)
