"""How the cores of a node are shared among its ranks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mpicomp.wire.threads import fair

masks = st.lists(st.frozensets(st.integers(0, 9), min_size=1), min_size=1, max_size=6)


@given(masks)
def test_no_more_threads_than_cores_unless_there_are_more_ranks(
    masks: list[frozenset[int]],
) -> None:
    each = [fair([*map(sorted, masks)], sorted(mine), len(masks)) for mine in masks]
    assert all(1 <= n <= len(mine) for n, mine in zip(each, masks, strict=True))
    # who has less than a core to himself has one thread all the same
    wanted = sum(n for n in each if n > 1)
    assert wanted <= len(frozenset().union(*masks))


@given(st.integers(1, 256), st.integers(1, 300), st.data())
def test_ranks_that_are_not_bound_get_equal_parts(
    cores: int, ranks: int, data: st.DataObject
) -> None:
    expected = max(1, cores // ranks)
    assert fair([range(cores)] * ranks, range(cores), ranks) == expected
    seen = data.draw(st.integers(1, ranks))  # the rest is in another communicator
    assert fair([range(cores)] * seen, range(cores), ranks) == expected


@given(st.integers(1, 16), st.integers(1, 16))
def test_a_rank_that_is_bound_alone_has_its_cores(cores: int, ranks: int) -> None:
    bound = [range(cores * k, cores * (k + 1)) for k in range(ranks)]
    assert all(fair(bound, mine, ranks) == cores for mine in bound)
