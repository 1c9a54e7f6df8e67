"""Laws of the fold: the tree depends on the positions, not on who took what."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp.plan.decomposition import Block, BlockCyclic, Cyclic
from mpicomp.plan.fold import LEAF, Fold, leaves, merged

Tree = tuple[Any, ...]


def pair(left: Tree, right: Tree) -> Tree:
    """An operation that shows the tree along which it was applied."""
    return (left, right)


def folded(op: Any, values: list[list[Any]], share: Any, *initial: Any) -> Any:
    """What ranks make of it together: item i gives ``values[i]``."""
    n = len(values)
    nodes = []
    for rank in range(share.p):
        fold = Fold(op)
        for span in share.spans(rank):
            for leaf in leaves(span):
                given = [value for i in leaf for value in values[i]]
                fold.add(leaf.start, leaf.stop, given)
        nodes += fold.nodes
    return merged(op, n, nodes).result(*initial)


def shares(n: int) -> list[Any]:
    return [
        *(Block(n, p) for p in (1, 2, 3, 7)),
        *(BlockCyclic(n, 3, b) for b in (2, 31, 32, 33, 1000)),
        Cyclic(n, 2),
    ]


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 64, 97, 127, 128, 129, 300])
def test_one_tree_for_every_share(n: int) -> None:
    values: list[list[Any]] = [[i] for i in range(n)]
    trees = {repr(folded(pair, values, share)) for share in shares(n)}
    assert len(trees) == 1
    assert list(map(int, "".join(c if c.isdigit() else " " for c in trees.pop()).split())) == [
        *range(n)
    ]


@given(st.lists(st.lists(st.text(max_size=2), max_size=3), max_size=200))
def test_items_may_give_any_number_of_values(values: list[list[str]]) -> None:
    serial = reduce(add, [value for given in values for value in given], "")
    assert all(folded(add, values, share, "") == serial for share in shares(len(values)))


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200))
def test_floats_have_the_same_bits(values: list[float]) -> None:
    found = {folded(add, [[v] for v in values], share).hex() for share in shares(len(values))}
    assert len(found) == 1


@pytest.mark.parametrize("n", range(1, LEAF + 1))
def test_a_leaf_is_folded_from_left_to_right(n: int) -> None:
    values: list[Any] = list(range(n))
    for share in shares(n):
        assert folded(pair, [[v] for v in values], share) == reduce(pair, values)


def test_what_a_rank_keeps_grows_with_the_logarithm_of_its_share() -> None:
    fold = Fold(add)
    for leaf in leaves(range(5, 10**5)):
        fold.add(leaf.start, leaf.stop, [1] * len(leaf))
    assert len(fold.nodes) < 40
    assert sum(value for node in fold.nodes for value in node[3]) == 10**5 - 5


def test_nothing_to_fold() -> None:
    with pytest.raises(TypeError, match="empty"):
        merged(add, 0, []).result()
    assert merged(add, 0, []).result(5) == 5


@given(st.integers(0, 300), st.integers(0, 300))
def test_leaves_cut_at_multiples(start: int, stop: int) -> None:
    cut = list(leaves(range(start, stop)))
    assert [i for leaf in cut for i in leaf] == list(range(start, stop))
    assert all(leaf.start // LEAF == (leaf.stop - 1) // LEAF for leaf in cut)
